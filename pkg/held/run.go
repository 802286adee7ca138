package held

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"tensorstack.dev/virtualserver/pkg/etcd"
)

const (
	// startTimeout is how long the first sweep may take, with all attempts.
	startTimeout = 2 * time.Minute
	// startPause is the time between two attempts.
	startPause = time.Second
	// upkeepPeriod is how often held VirtualServers are looked at.
	upkeepPeriod = time.Minute
	// sweepPeriod is how often all VirtualServers are looked at, beside the events of their namespaces: a request to create
	// one may arrive in etcd after the last event of its namespace, and a replica of version 0.1.0 loses what it does not know.
	sweepPeriod = time.Minute
)

// everything in the queue stands for all namespaces.
const everything = ""

// Start does the first sweep, before the server serves anything: not even a read may find a VirtualServer in somebody
// else's namespace. It tries for a while if kube-apiserver does not answer. A store of another cluster is told in the log and
// is no error: the controllers refuse it, and an administrator needs the API to look at it. Nor is a single VirtualServer that
// cannot be dealt with: the others are served, and nothing is done for that one.
func (k *Keeper) Start(ctx context.Context) error {
	logger := klog.FromContext(ctx)
	// The store is adopted now or not at all.
	defer func() { k.Guard.Adopt = false }()
	var last error
	err := wait.PollUntilContextTimeout(ctx, startPause, startTimeout, true, func(ctx context.Context) (bool, error) {
		last = k.Sweep(ctx)
		var foreign *etcd.MismatchError
		if errors.As(last, &foreign) {
			logger.Error(foreign, "It is not known which namespaces the VirtualServers belong to, and none is held")
			return true, nil
		}
		var left leftError
		if errors.As(last, &left) {
			logger.Error(left, "VirtualServers are served though it is not known whose they are")
			return true, nil
		}
		if last != nil {
			logger.Error(last, "Cannot see which namespaces the VirtualServers belong to; trying again")
		}
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("see which namespaces the VirtualServers belong to: %w", errors.Join(err, last))
	}
	return nil
}

// Run looks at the VirtualServers of each namespace that comes, goes or is replaced, until the context ends. It is called
// before the informer of namespaces starts or after.
func (k *Keeper) Run(ctx context.Context, namespaces cache.SharedIndexInformer) error {
	queue := workqueue.NewTypedRateLimitingQueueWithConfig(workqueue.DefaultTypedControllerRateLimiter[string](),
		workqueue.TypedRateLimitingQueueConfig[string]{Name: "held"})
	handler, err := namespaces.AddEventHandler(onNamespaces(queue.Add))
	if err != nil {
		return fmt.Errorf("watch namespaces: %w", err)
	}
	defer func() { _ = namespaces.RemoveEventHandler(handler) }()
	// What happened since the first sweep is part of the next one or has an event.
	if !cache.WaitForCacheSync(ctx.Done(), handler.HasSynced) {
		return nil
	}

	var running sync.WaitGroup
	defer running.Wait()
	defer queue.ShutDown()
	running.Go(func() {
		for k.next(ctx, queue) {
		}
	})
	running.Go(func() {
		wait.UntilWithContext(ctx, func(context.Context) { queue.Add(everything) }, sweepPeriod)
	})
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		if err := k.upkeep(ctx); err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Cannot look after held VirtualServers", "nextAttempt", upkeepPeriod)
		}
	}, upkeepPeriod)
	return nil
}

// onNamespaces calls add with the name of each namespace that comes, goes, or has another UID than before. Those that are
// there at the start are part of the first look at everything.
func onNamespaces(add func(name string)) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(object any, isInInitialList bool) {
			if namespace, ok := object.(*corev1.Namespace); ok && !isInInitialList {
				add(namespace.Name)
			}
		},
		UpdateFunc: func(before, after any) {
			old, ok := before.(*corev1.Namespace)
			namespace, isNamespace := after.(*corev1.Namespace)
			if ok && isNamespace && old.UID != namespace.UID {
				add(namespace.Name)
			}
		},
		DeleteFunc: func(object any) {
			if name, err := cache.DeletionHandlingObjectToName(object); err == nil {
				add(name.Name)
			}
		},
	}
}

// next looks at the next namespace in the queue. It returns false when the queue has been shut down.
func (k *Keeper) next(ctx context.Context, queue workqueue.TypedRateLimitingInterface[string]) bool {
	namespace, shutdown := queue.Get()
	if shutdown {
		return false
	}
	defer queue.Done(namespace)
	if ctx.Err() != nil {
		return true
	}
	err := k.sweep(ctx, namespace)
	var foreign *etcd.MismatchError
	switch {
	case err == nil:
		queue.Forget(namespace)
	case errors.As(err, &foreign):
		// Only a person can put that right. It is looked at again with everything.
		queue.Forget(namespace)
		klog.FromContext(ctx).Error(foreign, "No VirtualServer is held")
	case ctx.Err() == nil:
		klog.FromContext(ctx).Error(err, "Cannot see which namespace VirtualServers belong to; trying again", "namespace", namespace)
		queue.AddRateLimited(namespace)
	}
	return true
}
