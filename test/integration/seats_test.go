package integration

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"tensorstack.dev/virtualserver/test/framework"
)

// kube-apiserver counts an open console as a request that it has yet to finish. It takes a seat that no other request of the
// cluster can have, or some hundred consoles would stop every controller; and whoever only asks is not exempt, whether he has
// the right to one or not. What this server asks of KubeVirt is exempt: it has authorized the user, who has his seat already.
func TestConsolesHaveSeatsOfTheirOwnInKubeAPIServer(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	levels := e.Kube.FlowcontrolV1().PriorityLevelConfigurations()
	own, err := levels.Get(e.Context, "virtualserver-streams", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, flowcontrolv1.LimitResponseTypeQueue, own.Spec.Limited.LimitResponse.Type)
	exempt, err := levels.Get(e.Context, "exempt", metav1.GetOptions{})
	require.NoError(t, err)

	product := rest.CopyConfig(e.Config)
	product.Impersonate = rest.ImpersonationConfig{UserName: productUser}
	administrator := rest.CopyConfig(e.Config)
	administrator.Impersonate = rest.ImpersonationConfig{UserName: "ann", Groups: []string{"system:authenticated"}}
	for name, test := range map[string]struct {
		config *rest.Config
		level  *flowcontrolv1.PriorityLevelConfiguration
		direct bool
	}{
		"somebody with the right":    {e.UserInRole("operator", "edit").Config, own, false},
		"somebody who may only read": {e.UserInRole("viewer", "view").Config, own, false},
		"somebody without any right": {e.UserWith("nobody").Config, own, false},
		"somebody impersonated":      {administrator, own, false},
		"the product":                {product, own, false},
		"the product, to KubeVirt":   {product, exempt, true},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := rest.HTTPClientFor(test.config)
			require.NoError(t, err)
			for _, stream := range []string{"console", "vnc", "usbredir"} {
				inKubeVirt := kubeVirtPath(e.Namespace, "virtualmachineinstances", "no-vs", stream)
				paths := []string{framework.Path(e.Namespace) + "/no-vs/" + stream, framework.KubeVirtPrefix + inKubeVirt}
				if test.direct {
					paths = []string{inKubeVirt}
				}
				for _, path := range paths {
					// The answer is a refusal; what counts is which level kube-apiserver put the request into.
					response, err := client.Get(test.config.Host + path)
					require.NoError(t, err)
					require.NoError(t, response.Body.Close())
					assert.GreaterOrEqual(t, response.StatusCode, http.StatusBadRequest, path)
					assert.Equal(t, string(test.level.UID), response.Header.Get(flowcontrolv1.ResponseHeaderMatchedPriorityLevelConfigurationUID), path)
				}
			}
		})
	}
	t.Run("somebody without any right, past this server", func(t *testing.T) {
		config := e.UserWith("past").Config
		client, err := rest.HTTPClientFor(config)
		require.NoError(t, err)
		response, err := client.Get(config.Host + kubeVirtPath(e.Namespace, "virtualmachineinstances", "no-vs", "console"))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.NotEqual(t, string(exempt.UID), response.Header.Get(flowcontrolv1.ResponseHeaderMatchedPriorityLevelConfigurationUID))
	})
}
