package latency

import (
	"fmt"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// timeline notes when each fact about a machine was first seen, and when it was seen again after another one. All facts
// come through watches of one client, so that their distances can be compared.
type timeline struct {
	e *framework.Environment

	mu sync.Mutex
	// current is the fact of an aspect of an object, facts when each was seen.
	current map[string]string
	facts   map[string][]time.Time
}

// aspects are what is noted of each resource. The name of the object is that of the machine, or of the VirtualServer.
func aspects() map[schema.GroupVersionResource]map[string][]string {
	kubevirt := func(resource string) schema.GroupVersionResource {
		return schema.GroupVersionResource{Group: "kubevirt.io", Version: "v1", Resource: resource}
	}
	return map[schema.GroupVersionResource]map[string][]string{
		kubevirt("virtualmachines"):                               {"strategy": {"spec", "runStrategy"}},
		kubevirt("virtualmachineinstances"):                       {"phase": {"status", "phase"}},
		v1beta1.SchemeGroupVersion.WithResource("virtualservers"): {"status": {"status", "printableStatus"}},
	}
}

// newTimeline watches until the test ends.
func newTimeline(e *framework.Environment) *timeline {
	e.T.Helper()
	t := &timeline{e: e, current: map[string]string{}, facts: map[string][]time.Time{}}
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(e.Dynamic, 0, e.Namespace, nil)
	for resource, paths := range aspects() {
		seen := func(object any) { t.note(object, paths) }
		_, err := factory.ForResource(resource).Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: seen, UpdateFunc: func(_, object any) { seen(object) },
		})
		require.NoError(e.T, err)
	}
	factory.Start(e.Context.Done())
	e.T.Cleanup(factory.Shutdown)
	for resource, synced := range factory.WaitForCacheSync(e.Context.Done()) {
		require.True(e.T, synced, "%s can be watched", resource)
	}
	return t
}

func (t *timeline) note(object any, paths map[string][]string) {
	now := time.Now()
	item, ok := object.(*unstructured.Unstructured)
	if !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for aspect, path := range paths {
		value, _, _ := unstructured.NestedString(item.Object, path...)
		key := fact(aspect, item.GetName(), "")
		// Another instance of the machine starts anew.
		state := string(item.GetUID()) + value
		if t.current[key] == state {
			continue
		}
		t.current[key] = state
		t.facts[fact(aspect, item.GetName(), value)] = append(t.facts[fact(aspect, item.GetName(), value)], now)
	}
}

// fact names one value of an aspect of an object.
func fact(aspect, name, value string) string { return aspect + " of " + name + " is " + value }

// await waits until the fact has been seen after a time, and returns when that was.
func (t *timeline) await(after time.Time, aspect, name, value string) time.Time {
	t.e.T.Helper()
	var at time.Time
	t.e.Eventually(fact(aspect, name, value), func() error {
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, seen := range t.facts[fact(aspect, name, value)] {
			if seen.After(after) {
				at = seen
				return nil
			}
		}
		return fmt.Errorf("not seen; now it is %q", t.current[fact(aspect, name, "")])
	})
	return at
}
