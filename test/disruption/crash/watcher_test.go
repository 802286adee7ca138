package crash

import (
	"sync"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"

	"tensorstack.dev/virtualserver/test/framework"
)

// watcher sees every instance that ever existed in the namespace, however short it lived.
type watcher struct {
	// changes gets a value for each change of a machine or an instance, as far as somebody listens.
	changes chan struct{}

	mu sync.Mutex
	// instances are the UIDs by the name of the machine.
	instances map[string]map[types.UID]bool
}

// watch watches until the test ends.
func watch(e *framework.Environment) *watcher {
	e.T.Helper()
	w := &watcher{changes: make(chan struct{}, 1), instances: map[string]map[types.UID]bool{}}
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(e.Dynamic, 0, e.Namespace, nil)
	var handlers []cache.DoneChecker
	for _, resource := range []schema.GroupVersionResource{virtualMachines(), virtualMachineInstances()} {
		seen := func(object any) { w.changed(resource, object) }
		handler, err := factory.ForResource(resource).Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    seen,
			UpdateFunc: func(_, object any) { seen(object) },
			DeleteFunc: seen,
		})
		require.NoError(e.T, err)
		handlers = append(handlers, handler.HasSyncedChecker())
	}
	factory.Start(e.Context.Done())
	e.T.Cleanup(factory.Shutdown)
	for resource, synced := range factory.WaitForCacheSync(e.Context.Done()) {
		require.True(e.T, synced, "%s can be watched", resource)
	}
	require.True(e.T, cache.WaitFor(e.Context, "", handlers...), "everything there is has been seen")
	return w
}

func (w *watcher) changed(resource schema.GroupVersionResource, object any) {
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}
	accessor, err := meta.Accessor(object)
	if err != nil {
		return
	}
	if resource == virtualMachineInstances() {
		w.mu.Lock()
		if w.instances[accessor.GetName()] == nil {
			w.instances[accessor.GetName()] = map[types.UID]bool{}
		}
		w.instances[accessor.GetName()][accessor.GetUID()] = true
		w.mu.Unlock()
	}
	select {
	case w.changes <- struct{}{}:
	default:
	}
}

// count is the number of instances that the machine ever had.
func (w *watcher) count(machine string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.instances[machine])
}

// knows says whether the instance was seen.
func (w *watcher) knows(machine string, instance types.UID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.instances[machine][instance]
}
