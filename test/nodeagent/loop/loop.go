// Package loop runs one level-triggered reconcile function behind a work queue.
package loop

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

const (
	retryFirst = 10 * time.Millisecond
	retryLast  = 5 * time.Second
)

// quietRetries is how often a write from a stale cache is tried again before
// anybody hears of it.
const quietRetries = 3

// stale tells whether a write most likely failed because the cache was behind,
// which the object's next event or a retry settles. A JSON patch of a field that
// has gone meanwhile is Invalid.
func stale(err error) bool {
	return errors.IsConflict(err) || errors.IsNotFound(err) || errors.IsInvalid(err)
}

// Func reconciles the object with the given key. A positive result asks for
// another turn after that time; an error asks for one with back-off.
type Func func(ctx context.Context, key string) (again time.Duration, err error)

// Loop is a work queue and the function that empties it.
type Loop struct {
	name      string
	reconcile Func
	queue     workqueue.TypedRateLimitingInterface[string]
}

// New returns a loop; it does nothing before Run.
func New(name string, reconcile Func) *Loop {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[string](retryFirst, retryLast)
	return &Loop{
		name:      name,
		reconcile: reconcile,
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(limiter,
			workqueue.TypedRateLimitingQueueConfig[string]{Name: name}),
	}
}

// Add asks for a turn of the key.
func (l *Loop) Add(key string) { l.queue.Add(key) }

// Handler returns an informer handler that adds the key of every object.
func (l *Loop) Handler() cache.ResourceEventHandler {
	return l.HandlerFor(func(object any) []string {
		key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object)
		if err != nil {
			return nil
		}
		return []string{key}
	})
}

// HandlerFor returns an informer handler that adds the keys that an object
// concerns. The function sees the object itself, never a deletion marker, so
// that callers may assert its type.
func (l *Loop) HandlerFor(keys func(object any) []string) cache.ResourceEventHandler {
	add := func(object any) {
		if marker, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = marker.Obj
		}
		for _, key := range keys(object) {
			l.queue.Add(key)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    add,
		UpdateFunc: func(_, object any) { add(object) },
		DeleteFunc: add,
	}
}

// Run works until the context ends and returns when the last worker has.
func (l *Loop) Run(ctx context.Context, workers int) {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName(l.name))
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for l.turn(ctx) {
			}
		})
	}
	<-ctx.Done()
	l.queue.ShutDown()
	group.Wait()
}

func (l *Loop) turn(ctx context.Context) bool {
	key, stop := l.queue.Get()
	if stop {
		return false
	}
	defer l.queue.Done(key)
	again, err := l.reconcile(ctx, key)
	switch {
	case ctx.Err() != nil:
		return true
	case err != nil:
		if !stale(err) || l.queue.NumRequeues(key) >= quietRetries {
			klog.FromContext(ctx).Error(err, "Reconciling failed, will retry", "key", key)
		}
		l.queue.AddRateLimited(key)
	default:
		l.queue.Forget(key)
		if again > 0 {
			l.queue.AddAfter(key, again)
		}
	}
	return true
}
