package integration

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"tensorstack.dev/virtualserver/test/framework"
)

// kube-apiserver does not count an open console among the requests that it has to finish before it takes others. Otherwise
// some hundred of them would stop every controller of the cluster.
func TestAConsoleHoldsNoSeatInKubeAPIServer(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	schema, err := e.Kube.FlowcontrolV1().FlowSchemas().Get(e.Context, "virtualserver-streams", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "exempt", schema.Spec.PriorityLevelConfiguration.Name)

	viewer := e.UserInRole("viewer", "view").Config
	product := rest.CopyConfig(e.Config)
	product.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:virtualserver-system:virtualserver-apiserver"}
	for _, stream := range []string{"console", "vnc", "usbredir"} {
		inKubeVirt := kubeVirtPath(e.Namespace, "virtualmachineinstances", "no-vs", stream)
		for path, config := range map[string]*rest.Config{
			framework.Path(e.Namespace) + "/no-vs/" + stream: viewer,
			framework.KubeVirtPrefix + inKubeVirt:            viewer,
			inKubeVirt:                                       product,
		} {
			client, err := rest.HTTPClientFor(config)
			require.NoError(t, err)
			// The answer is a refusal; what counts is which schema kube-apiserver put the request under.
			response, err := client.Get(config.Host + path)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			assert.GreaterOrEqual(t, response.StatusCode, http.StatusBadRequest, path)
			assert.Equal(t, string(schema.UID), response.Header.Get("X-Kubernetes-Pf-Flowschema-Uid"), path)
		}
	}
}
