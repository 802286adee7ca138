package app

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

func kubeconfig() *clientcmdapi.Config {
	config := clientcmdapi.NewConfig()
	config.CurrentContext = "daily"
	config.Clusters["here"] = &clientcmdapi.Cluster{Server: "https://here:6443", CertificateAuthorityData: []byte("CA"), ProxyURL: "http://proxy"}
	config.Clusters["there"] = &clientcmdapi.Cluster{Server: "https://there:6443/behind/a/path/"}
	config.AuthInfos["ann"] = &clientcmdapi.AuthInfo{Token: "ann's"}
	config.AuthInfos["bob"] = &clientcmdapi.AuthInfo{Token: "bob's"}
	config.Contexts["daily"] = &clientcmdapi.Context{Cluster: "here", AuthInfo: "ann", Namespace: "team"}
	config.Contexts["rare"] = &clientcmdapi.Context{Cluster: "there", AuthInfo: "bob"}
	return config
}

// virtctl gets the prefix by its kubeconfig, and the credentials stay where they are.
func TestTheKubeconfigOfVirtctl(t *testing.T) {
	for name, test := range map[string]struct {
		config         rest.Config
		chosen         choice
		server, user   string
		token          string
		ownCredentials bool
	}{
		"the current context": {config: rest.Config{Host: "https://here:6443"}, server: "https://here:6443" + virtPrefix, user: "ann", token: "ann's"},
		"another context": {config: rest.Config{Host: "https://there:6443/behind/a/path/"}, chosen: choice{context: "rare"},
			server: "https://there:6443/behind/a/path" + virtPrefix, user: "bob", token: "bob's"},
		"another user":       {config: rest.Config{Host: "https://here:6443"}, chosen: choice{user: "bob"}, server: "https://here:6443" + virtPrefix, user: "bob", token: "bob's"},
		"a server by a flag": {config: rest.Config{Host: "https://elsewhere"}, server: "https://elsewhere" + virtPrefix, user: "ann", token: "ann's"},
		"a token by a flag": {config: rest.Config{Host: "https://here:6443", BearerToken: "given"}, chosen: choice{changesUser: true},
			server: "https://here:6443" + virtPrefix, user: overlayContext, token: "given", ownCredentials: true},
	} {
		t.Run(name, func(t *testing.T) {
			test.chosen.prefix = virtPrefix
			made := overlay(&test.config, kubeconfig(), "my-namespace", test.chosen)
			assert.Equal(t, test.ownCredentials, len(made.AuthInfos) > 0, "a file with no credential in it needs no care")

			// As virtctl reads both files, the made one first.
			merged := kubeconfig()
			merged.CurrentContext = made.CurrentContext
			merged.Clusters[overlayContext], merged.Contexts[overlayContext] = made.Clusters[overlayContext], made.Contexts[overlayContext]
			if user := made.AuthInfos[overlayContext]; user != nil {
				merged.AuthInfos[overlayContext] = user
			}
			client := clientcmd.NewDefaultClientConfig(*merged, &clientcmd.ConfigOverrides{})
			config, err := client.ClientConfig()
			require.NoError(t, err)
			assert.Equal(t, test.server, config.Host)
			assert.Equal(t, test.token, config.BearerToken)
			assert.Equal(t, test.user, merged.Contexts[overlayContext].AuthInfo)
			namespace, _, err := client.Namespace()
			require.NoError(t, err)
			assert.Equal(t, "my-namespace", namespace)
		})
	}
}

func TestTheKubeconfigOfVirtctlKeepsTheWayToTheCluster(t *testing.T) {
	config := &rest.Config{Host: "https://here:6443", TLSClientConfig: rest.TLSClientConfig{ServerName: "kubernetes", CAData: []byte("CA")}}
	cluster := overlay(config, kubeconfig(), "team", choice{}).Clusters[overlayContext]
	assert.Equal(t, "http://proxy", cluster.ProxyURL)
	assert.Equal(t, "kubernetes", cluster.TLSServerName)
	assert.Equal(t, []byte("CA"), cluster.CertificateAuthorityData)
	assert.False(t, cluster.InsecureSkipTLSVerify)
}

func TestAPodWithoutAKubeconfig(t *testing.T) {
	made := overlay(&rest.Config{Host: "https://kubernetes", BearerTokenFile: "/var/run/token"}, clientcmdapi.NewConfig(), "team", choice{prefix: virtPrefix})
	assert.Equal(t, "/var/run/token", made.AuthInfos[overlayContext].TokenFile)
	assert.Equal(t, "https://kubernetes"+virtPrefix, made.Clusters[overlayContext].Server)
}
