package controlplane

import (
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// writeKubeconfig writes a kubeconfig with one context for one user.
func writeKubeconfig(path, server string, caPEM []byte, user *clientcmdapi.AuthInfo) error {
	const name = "virtualserver"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: caPEM}
	config.AuthInfos[name] = user
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name, Namespace: "default"}
	config.CurrentContext = name
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("kubeconfig: %w", err)
	}
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	return nil
}

// certificateUser issues a client certificate of the cluster for a user in groups.
func certificateUser(ca *authority, name string, groups []string) (*clientcmdapi.AuthInfo, error) {
	certPEM, keyPEM, err := ca.issue(certRequest{commonName: name, organizations: groups, client: true})
	if err != nil {
		return nil, err
	}
	return &clientcmdapi.AuthInfo{ClientCertificateData: certPEM, ClientKeyData: keyPEM}, nil
}

// restConfig is the same connection for use in this process. Rate limits are off: the
// launcher and the tests are the only clients, and waiting would only make them slow.
func restConfig(server string, caPEM []byte, user *clientcmdapi.AuthInfo) *rest.Config {
	return &rest.Config{
		Host:            server,
		BearerToken:     user.Token,
		BearerTokenFile: user.TokenFile,
		TLSClientConfig: rest.TLSClientConfig{
			CAData:   caPEM,
			CertData: user.ClientCertificateData,
			KeyData:  user.ClientKeyData,
		},
		QPS:       -1,
		UserAgent: "virtualserver-controlplane",
	}
}
