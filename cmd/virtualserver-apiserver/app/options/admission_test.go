package options

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
)

// The parameters of a policy that this server may not list must not hold up its readiness, which waits for what the
// shared factory has started.
func TestPolicyParametersAreNotAmongTheServersInformers(t *testing.T) {
	client := fake.NewClientset()
	shared := informers.NewSharedInformerFactory(client, 0)
	factory := admissionInformers{SharedInformerFactory: shared, parameters: informers.NewSharedInformerFactory(client, 0)}

	_, err := factory.ForResource(corev1.SchemeGroupVersion.WithResource("configmaps"))
	require.NoError(t, err)
	factory.Start(t.Context().Done())
	shared.Start(t.Context().Done())

	assert.Empty(t, shared.WaitForCacheSync(t.Context().Done()))
	assert.Len(t, factory.parameters.WaitForCacheSync(t.Context().Done()), 1)
}
