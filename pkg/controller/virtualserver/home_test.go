package virtualserver

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// Whatever state a VirtualServer is in, nothing is written, not even its own status, where it does not belong. The cache may
// be old in either direction; what kube-apiserver says counts.
func TestNothingIsDoneAwayFromHome(t *testing.T) {
	operation := &v1beta1.Operation{ID: "x", Type: v1beta1.OperationStop, ToRunStrategy: v1beta1.RunStrategyHalted}
	states := map[string]func(*v1beta1.VirtualServer){
		"new":     func(vs *v1beta1.VirtualServer) { vs.Status.VM.Name, vs.Finalizers = "", nil },
		"settled": func(*v1beta1.VirtualServer) {},
		"pending operation": func(vs *v1beta1.VirtualServer) {
			vs.Status.PendingOperation = operation
		},
		"edited":        func(vs *v1beta1.VirtualServer) { vs.Spec.Network.TCP = []int32{80, 443} },
		"being deleted": func(vs *v1beta1.VirtualServer) { now := metav1.Now(); vs.DeletionTimestamp = &now },
	}
	for _, away := range []struct {
		name string
		// stamp is what the VirtualServer belongs to, cached and live are the namespaces, empty if there is none.
		stamp, cached, live types.UID
	}{
		{"replaced", "old", "new", "new"},
		{"gone", "old", "", ""},
		{"not stamped", "", "new", "new"},
		{"replaced, and the cache knows none", "old", "", "new"},
		{"a new one in the cache's view of an older one", "newest", "old", "new"},
	} {
		for state, change := range states {
			t.Run(away.name+"/"+state, func(t *testing.T) {
				b := newBench(t, testServer())
				b.settle("web")
				vs := b.server("web")
				change(vs)
				vs.Status.NamespaceUID = away.stamp
				require.NoError(t, b.servers.Tracker().Update(v1beta1.SchemeGroupVersion.WithResource("virtualservers"), vs, testNamespace))
				b.replaceNamespace(away.live)
				result, events, err := b.passIn("web", away.cached)
				require.NoError(t, err)
				assert.Empty(t, b.writes())
				assert.Empty(t, events)
				assert.Equal(t, notAtHomeDelay, result.again)
			})
		}
	}
}

// The cache still has the old namespace. What kube-apiserver itself cannot refuse in the new one is not asked of it: to make
// an object, and to operate on a machine by its name.
func TestACacheThatIsBehindMakesNothing(t *testing.T) {
	for name, change := range map[string]func(*bench, *v1beta1.VirtualServer){
		"everything": func(b *bench, _ *v1beta1.VirtualServer) {
			clear(b.kubevirt.machines)
			clear(b.kubevirt.volumes)
			b.drop("secrets", "services")
		},
		"the machine": func(b *bench, _ *v1beta1.VirtualServer) { clear(b.kubevirt.machines) },
		"the disk":    func(b *bench, _ *v1beta1.VirtualServer) { clear(b.kubevirt.volumes) },
		"the Secret":  func(b *bench, _ *v1beta1.VirtualServer) { b.drop("secrets") },
		"the Service": func(b *bench, _ *v1beta1.VirtualServer) { b.drop("services") },
		"an operation": func(_ *bench, vs *v1beta1.VirtualServer) {
			vs.Status.RunStrategy = v1beta1.RunStrategyManual
			vs.Status.PendingOperation = &v1beta1.Operation{ID: "x", Type: v1beta1.OperationStart, ToRunStrategy: v1beta1.RunStrategyManual}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, testServer())
			b.settle("web")
			vs := b.server("web")
			change(b, vs)
			require.NoError(t, b.servers.Tracker().Update(v1beta1.SchemeGroupVersion.WithResource("virtualservers"), vs, testNamespace))
			b.replaceNamespace("new")
			result, _, err := b.passIn("web", testNamespaceUID)
			require.NoError(t, err)
			for _, write := range b.writes() {
				assert.NotContains(t, write, "create ")
				assert.NotContains(t, []string{"start", "stop", "restart"}, write)
			}
			assert.Equal(t, notAtHomeDelay, result.again)
		})
	}
}

// A cache that has not seen the namespace yet, or not its present form, does not keep a VirtualServer waiting.
func TestACacheThatIsBehindDoesNotHoldUp(t *testing.T) {
	for _, cached := range []types.UID{"", "older"} {
		b := newBench(t, testServer())
		_, _, err := b.passIn("web", cached)
		require.NoError(t, err)
		assert.Contains(t, b.writes(), "create VirtualMachine")
	}
}

// If kube-apiserver does not tell, nothing is done, and the pass is tried again.
func TestAnUnreadableNamespaceIsNotGuessed(t *testing.T) {
	b := newBench(t, testServer())
	b.kubernetes.PrependReactor("get", "namespaces", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewInternalError(assert.AnError)
	})
	_, _, err := b.passIn("web", testNamespaceUID)
	require.Error(t, err)
	for _, write := range b.writes() {
		assert.NotContains(t, write, "create ")
	}
}

// replaceNamespace makes another namespace of the name, or none if the UID is empty.
func (b *bench) replaceNamespace(uid types.UID) {
	b.t.Helper()
	resource := corev1.SchemeGroupVersion.WithResource("namespaces")
	require.NoError(b.t, b.kubernetes.Tracker().Delete(resource, "", testNamespace))
	if uid != "" {
		require.NoError(b.t, b.kubernetes.Tracker().Add(namespaceOf(uid)))
	}
}

// drop takes all objects of core resources away.
func (b *bench) drop(resources ...string) {
	b.t.Helper()
	name := b.server("web").Status.VM.Name
	for _, resource := range resources {
		require.NoError(b.t, b.kubernetes.Tracker().Delete(corev1.SchemeGroupVersion.WithResource(resource), testNamespace, name))
	}
}

// passIn runs a pass while the cache has a namespace of that UID, or none if it is empty.
func (b *bench) passIn(name string, cached types.UID) (outcome, []string, error) {
	b.t.Helper()
	b.namespaceSeen = func(indexer cache.Indexer) error {
		if cached == "" {
			return nil
		}
		return indexer.Add(namespaceOf(cached))
	}
	return b.pass(name)
}
