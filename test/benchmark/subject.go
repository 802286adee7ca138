package main

import (
	"context"
	"errors"
	"time"

	"k8s.io/client-go/kubernetes"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/test/controlplane"
)

// Namespaces that hold the objects of the operations.
const (
	createNamespace = "bench-create"
	fewNamespace    = "bench-few"
	manyNamespace   = "bench-many"
	watchNamespace  = "bench-watch"
)

// few is how many objects the short list has.
const few = 100

// readyTimeout is how long a new resource may take to be served.
const readyTimeout = time.Minute

// subject is something that stores VirtualServers.
type subject interface {
	// Name is a column of the report.
	Name() string
	// Create stores a new object.
	Create(ctx context.Context, namespace, name string) error
	// Get reads an object.
	Get(ctx context.Context, namespace, name string) error
	// List reads all objects of a namespace.
	List(ctx context.Context, namespace string) error
	// Updater returns a function that changes an object. Each call uses what the one before answered.
	Updater(ctx context.Context, namespace, name string) (func(ctx context.Context) error, error)
	// Watch follows a namespace from now on.
	Watch(ctx context.Context, namespace string) (stream, error)
}

// stream is a watch. Next returns when one more event has arrived.
type stream interface {
	Next() error
	Close()
}

// newSubjects makes everything that is compared. The first is the peer that the others are compared with.
func newSubjects(ctx context.Context, plane *controlplane.ControlPlane) ([]subject, func(), error) {
	client, err := kubernetes.NewForConfig(plane.AdminConfig())
	if err != nil {
		return nil, nil, err
	}
	for _, name := range []string{createNamespace, fewNamespace, manyNamespace, watchNamespace} {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return nil, nil, err
		}
	}
	crd, err := newCustomResource(ctx, plane)
	if err != nil {
		return nil, nil, err
	}
	aggregated, err := newAggregated(plane)
	if err != nil {
		return nil, nil, err
	}
	direct, err := newDirect(plane)
	if err != nil {
		return nil, nil, err
	}
	// The bytes that etcd is given are those of a real object.
	if err := aggregated.Create(ctx, watchNamespace, "sample"); err != nil {
		return nil, nil, err
	}
	sample, err := aggregated.body(ctx, watchNamespace, "sample")
	if err != nil {
		return nil, nil, err
	}
	raw, err := newRawEtcd(ctx, sample)
	if err != nil {
		return nil, nil, err
	}
	return []subject{crd, aggregated, direct, raw}, raw.close, nil
}

// until calls check until it succeeds.
func until(ctx context.Context, limit time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}
