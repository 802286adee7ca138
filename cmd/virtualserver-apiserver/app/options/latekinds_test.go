package options

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"
	clocktesting "k8s.io/utils/clock/testing"
)

var policyKinds = []string{
	"validatingadmissionpolicies", "validatingadmissionpolicybindings", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings",
}

// served is a kube-apiserver that serves kinds of admissionregistration.k8s.io/v1, or does not serve that version.
type served struct {
	discovery.DiscoveryInterface
	lock  sync.Mutex
	kinds []string
}

func (s *served) set(kinds ...string) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.kinds = kinds
}

func (s *served) ServerResourcesForGroupVersion(version string) (*metav1.APIResourceList, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if len(s.kinds) == 0 {
		return nil, apierrors.NewNotFound(schema.GroupResource{}, version)
	}
	list := &metav1.APIResourceList{GroupVersion: version}
	for _, kind := range s.kinds {
		list.APIResources = append(list.APIResources, metav1.APIResource{Name: kind})
	}
	return list, nil
}

// informersOf asks for all informers of policies as the plugins do.
func informersOf(f *policyInformers) map[string]cache.SharedIndexInformer {
	v1 := f.Admissionregistration().V1()
	return map[string]cache.SharedIndexInformer{
		"validatingadmissionpolicies":       v1.ValidatingAdmissionPolicies().Informer(),
		"validatingadmissionpolicybindings": v1.ValidatingAdmissionPolicyBindings().Informer(),
		"mutatingadmissionpolicies":         v1.MutatingAdmissionPolicies().Informer(),
		"mutatingadmissionpolicybindings":   v1.MutatingAdmissionPolicyBindings().Informer(),
	}
}

// Nobody waits for a kind that is not served: neither a write, nor the readiness of the server, which waits for what was
// asked of the shared informers. Kinds that are served are waited for.
func TestKindsThatAreNotServedAreNotWaitedFor(t *testing.T) {
	for name, there := range map[string][]string{
		"none": nil, "no mutating ones, as before 1.36": policyKinds[:2], "no bindings": {policyKinds[0], policyKinds[2]}, "all": policyKinds,
	} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset()
			kinds, err := newLateKinds(&served{kinds: there}, clocktesting.NewFakeClock(time.Now()))
			require.NoError(t, err)
			shared := informers.NewSharedInformerFactory(client, 0)
			factory := &policyInformers{SharedInformerFactory: shared, policiesInitializer: policiesInitializer{kube: client, kinds: kinds}}
			for resource, informer := range informersOf(factory) {
				// Nothing runs yet, so one that waits has not synced.
				assert.Equal(t, !kinds.served.Has(resource), informer.HasSynced(), resource)
			}
			shared.Start(t.Context().Done())
			assert.Len(t, shared.WaitForCacheSync(t.Context().Done()), len(there))
			assert.Equal(t, len(there) < len(policyKinds), kinds.any())
		})
	}
}

// After an upgrade of the cluster the policies are in force without a restart, and the log says so; before, it says once what is
// left out.
func TestKindsAreFoundAfterAnUpgrade(t *testing.T) {
	client := fake.NewClientset(&admissionregistrationv1.MutatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "labels"}})
	cluster := &served{kinds: policyKinds[:2]}
	now := clocktesting.NewFakeClock(time.Now())
	kinds, err := newLateKinds(cluster, now)
	require.NoError(t, err)
	factory := &policyInformers{
		SharedInformerFactory: informers.NewSharedInformerFactory(client, 0),
		policiesInitializer:   policiesInitializer{kube: client, kinds: kinds},
	}
	policies := informersOf(factory)["mutatingadmissionpolicies"]
	var log bytes.Buffer
	ctx, cancel := context.WithCancel(klog.NewContext(t.Context(), textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(&log)))))
	done := make(chan struct{})
	go func() { defer close(done); kinds.run(ctx) }()

	step := func() {
		require.Eventually(t, now.HasWaiters, 10*time.Second, time.Millisecond)
		now.Step(lookAgainPeriod)
	}
	step()
	step()
	assert.Empty(t, policies.GetStore().ListKeys())
	cluster.set(policyKinds...)
	require.Eventually(t, func() bool {
		now.Step(lookAgainPeriod)
		select {
		case <-done:
			return true
		default:
			return false
		}
	}, 10*time.Second, time.Millisecond)
	require.Eventually(t, func() bool { return len(policies.GetStore().ListKeys()) == 1 }, 10*time.Second, time.Millisecond)
	cancel()
	assert.Equal(t, 1, strings.Count(log.String(), "left out until it does"), log.String())
	assert.Equal(t, 2, strings.Count(log.String(), "it is in force"), log.String())
}
