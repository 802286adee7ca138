// Package virtualserver reconciles VirtualServers: it makes the objects of KubeVirt, CDI and Kubernetes behind each one,
// carries out operations on the machine, and writes what it sees into status.
//
// Every decision is a pure function of the objects; a thin shell around it reads, writes and retries. The process may be
// killed between any two lines: whatever was begun is seen in the objects and goes on from there.
package virtualserver

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	snapshotclient "github.com/kubernetes-csi/external-snapshotter/client/v8/clientset/versioned"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"tensorstack.dev/virtualserver/pkg/generated/clientset/versioned"
)

// Delays between two attempts on the same VirtualServer: the first, doubled with each failure, and the longest.
const (
	firstRetry   = 20 * time.Millisecond
	longestRetry = 30 * time.Second
)

// Clients are what the controller talks through.
type Clients struct {
	// Kubernetes reads and writes Secrets, Services and PersistentVolumeClaims, and reads Pods, Nodes and
	// StorageClasses, with the ServiceAccount of the product.
	Kubernetes kubernetes.Interface
	// KubeVirt reads and writes VirtualMachines and DataVolumes with the same identity.
	KubeVirt KubeVirt
	// VirtualServers reads and writes VirtualServers in our own API server.
	VirtualServers versioned.Interface
	// Traces takes the traces of reconciliations. It may be nil.
	Traces trace.TracerProvider
	// Snapshots makes and deletes VolumeSnapshots with the same identity. It may be nil: then none are made.
	Snapshots snapshotclient.Interface
}

// Controller reconciles VirtualServers for as long as this process leads. It is used once.
type Controller struct {
	clients  Clients
	clock    clock.WithTicker
	metrics  *Metrics
	caches   *caches
	queue    workqueue.TypedRateLimitingInterface[cache.ObjectName]
	recorder record.EventRecorder
	tracer   trace.Tracer
	failures failures
	memories memories
}

// NewController returns a controller that has not started yet.
func NewController(clients Clients, metrics *Metrics, clock clock.WithTicker) *Controller {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](firstRetry, longestRetry)
	c := &Controller{
		clients: clients,
		clock:   clock,
		metrics: metrics,
		caches:  newCaches(clients),
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(limiter,
			workqueue.TypedRateLimitingQueueConfig[cache.ObjectName]{Name: "virtualserver", Clock: clock}),
	}
	if clients.Traces == nil {
		clients.Traces = noop.NewTracerProvider()
	}
	c.tracer = clients.Traces.Tracer(tracerName)
	return c
}

// Run reconciles until ctx ends. It returns when all workers, informers and the event recorder have stopped.
func (c *Controller) Run(ctx context.Context, workers int) {
	logger := klog.FromContext(ctx)
	stopEvents := c.startRecorder(ctx)
	defer stopEvents()

	if err := c.caches.watch(c.queue.Add, c.sawEnded); err != nil {
		// Only a programming error gets here: handlers are added before the informers start.
		utilruntime.HandleErrorWithContext(ctx, err, "Cannot watch")
		return
	}
	var running sync.WaitGroup
	defer running.Wait()
	defer c.queue.ShutDown()
	for _, named := range c.caches.all() {
		running.Go(func() { named.informer.RunWithContext(ctx) })
	}

	if !c.caches.waitForSync(ctx) {
		return
	}
	logger.Info("All caches are filled", "workers", workers)
	running.Go(func() { c.census(ctx) })
	for range workers {
		running.Go(func() {
			wait.UntilWithContext(ctx, func(ctx context.Context) {
				for c.processNext(ctx) {
				}
			}, time.Second)
		})
	}
	<-ctx.Done()
}

// processNext reconciles the next VirtualServer in the queue. It returns false when the queue has been shut down.
func (c *Controller) processNext(ctx context.Context) bool {
	key, shutdown := c.queue.Get()
	if shutdown {
		return false
	}
	defer c.queue.Done(key)
	if ctx.Err() != nil {
		return true
	}

	logger := klog.FromContext(ctx).WithValues("virtualServer", klog.KRef(key.Namespace, key.Name))
	outcome, err := c.traced(klog.NewContext(ctx, logger), key)
	switch {
	case outcome.waits:
		// Nothing was tried, so nothing has succeeded or failed.
	case err == nil && !outcome.retry:
		c.queue.Forget(key)
	case err != nil && ctx.Err() == nil:
		c.tell(logger, err)
		c.queue.AddRateLimited(key)
	default:
		c.queue.AddRateLimited(key)
	}
	if outcome.again > 0 {
		c.queue.AddAfter(key, outcome.again)
	}
	return true
}

// tell logs and counts a pass that is tried again.
func (c *Controller) tell(logger klog.Logger, err error) {
	if isConflict(err) {
		// Somebody else wrote first, which is no failure; the next attempt sees it.
		logger.V(4).Info("Trying again", "err", err)
		return
	}
	logger.Info("Trying again", "err", err)
	c.metrics.observeFailure(err)
}

// outcome says when to look at a VirtualServer again.
type outcome struct {
	// retry asks for another attempt after a growing delay.
	retry bool
	// again asks for another look after a fixed time, if it is not zero.
	again time.Duration
	// waits says that nothing was done, because a cache is older than what an earlier pass has seen.
	waits bool
}

// reconcile brings one VirtualServer one step closer to what it should be, most often all the way.
//
// A panic is an error of this one VirtualServer. The API server in the same process serves all of them, and must not end
// for it.
func (c *Controller) reconcile(ctx context.Context, key cache.ObjectName) (result outcome, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("reconcile VirtualServer %s: panic: %v\n%s", key, cause, debug.Stack())
		}
	}()
	vs := c.caches.server(key.Namespace, key.Name)
	if vs == nil {
		c.failures.forget(key, nil)
		c.memories.forget(key)
		return outcome{}, nil
	}
	p := newPass(c, vs)
	p.memory = c.memories.of(key)
	if p.memory.waits(c.clock.Now()) {
		return outcome{waits: true, again: unseenDelay}, nil
	}
	defer p.remember()
	if err := p.run(ctx); err != nil {
		return p.outcome, fmt.Errorf("reconcile VirtualServer %s: %w", key, err)
	}
	return p.outcome, nil
}
