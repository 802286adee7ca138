package storage

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// Operator starts, stops and restarts machines for other parts of the server, by the same rules as the subresources. The
// caller has authorized the user, who is in the context.
type Operator struct {
	storage *Storage
}

// Operator returns the operations of the storage.
func (s *Storage) Operator() Operator { return Operator{storage: s} }

// Start starts a machine and returns the VirtualServer after it.
func (o Operator) Start(ctx context.Context, namespace, name string, options *tensorstack.StartOptions) (runtime.Object, error) {
	return o.storage.Start.Create(genericapirequest.WithNamespace(ctx, namespace), name, options, nil, &metav1.CreateOptions{})
}

// Stop stops a machine and returns the VirtualServer after it.
func (o Operator) Stop(ctx context.Context, namespace, name string, options *tensorstack.StopOptions) (runtime.Object, error) {
	return o.storage.Stop.Create(genericapirequest.WithNamespace(ctx, namespace), name, options, nil, &metav1.CreateOptions{})
}

// Restart restarts a machine and returns the VirtualServer after it.
func (o Operator) Restart(ctx context.Context, namespace, name string, options *tensorstack.RestartOptions) (runtime.Object, error) {
	return o.storage.Restart.Create(genericapirequest.WithNamespace(ctx, namespace), name, options, nil, &metav1.CreateOptions{})
}
