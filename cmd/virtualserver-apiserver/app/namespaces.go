package app

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	"tensorstack.dev/virtualserver/cmd/virtualserver-apiserver/app/options"
	"tensorstack.dev/virtualserver/pkg/etcd"
	"tensorstack.dev/virtualserver/pkg/held"
)

// namespaces ties VirtualServers to the namespaces that they belong to.
type namespaces struct {
	client   kubernetes.Interface
	store    *clientv3.Client
	keeper   *held.Keeper
	informer cache.SharedIndexInformer
}

// newNamespaces does the first sweep, before the storage is made and anything is served.
func newNamespaces(ctx context.Context, o *options.Options, generic *genericapiserver.RecommendedConfig,
	metrics *held.Metrics) (_ *namespaces, err error) {
	client, err := kubernetes.NewForConfig(generic.ClientConfig)
	if err != nil {
		return nil, fmt.Errorf("client for namespaces: %w", err)
	}
	store, err := etcd.NewClient(context.WithoutCancel(ctx), o.Recommended.Etcd.StorageConfig.Transport)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = store.Close()
		}
	}()
	objects, err := held.NewStore(store, generic.RESTOptionsGetter)
	if err != nil {
		return nil, err
	}
	keeper := &held.Keeper{
		Store: objects, Kubernetes: client, Retention: o.Store.HeldRetention, Clock: clock.RealClock{}, Metrics: metrics,
		Guard: &etcd.Guard{
			Store: store, Prefix: o.Recommended.Etcd.StorageConfig.Prefix,
			Cluster: client, Namespace: o.Store.Namespace, Adopt: o.Store.Adopt,
		},
	}
	if err := keeper.Start(ctx); err != nil {
		return nil, err
	}
	return &namespaces{
		client: client, store: store, keeper: keeper,
		// Named before the factory starts its informers, or it might never start.
		informer: generic.SharedInformerFactory.Core().V1().Namespaces().Informer(),
	}, nil
}

// NamespaceUID implements storage.NamespaceReader.
func (n *namespaces) NamespaceUID(ctx context.Context, name string) (types.UID, error) {
	namespace, err := n.client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	return namespace.UID, nil
}

// keep is an apiserver.ExtraConfig.KeepNamespaces.
func (n *namespaces) keep(ctx context.Context) error {
	defer func() { _ = n.store.Close() }()
	return n.keeper.Run(ctx, n.informer)
}
