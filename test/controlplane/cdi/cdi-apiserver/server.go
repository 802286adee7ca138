package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	snapshots "github.com/kubernetes-csi/external-snapshotter/client/v6/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	aggregator "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"kubevirt.io/containerized-data-importer/pkg/apiserver"
	cdiclient "kubevirt.io/containerized-data-importer/pkg/client/clientset/versioned"
	"kubevirt.io/containerized-data-importer/pkg/controller/datavolume"
	"kubevirt.io/containerized-data-importer/pkg/util/cert/watcher"
	tlscryptowatch "kubevirt.io/containerized-data-importer/pkg/util/tls-crypto-watch"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// background is what runs beside the server.
type background struct {
	storage cache.Cache
	certs   *watcher.CertWatcher
	running sync.WaitGroup
}

// start runs the parts until ctx ends. The channel gives the first failure.
func (b *background) start(ctx context.Context) <-chan error {
	failed := make(chan error, 2)
	b.running.Go(func() {
		if err := b.storage.Start(ctx); err != nil {
			failed <- fmt.Errorf("watch the storage objects: %w", err)
		}
	})
	b.running.Go(func() {
		if err := b.certs.Start(ctx.Done()); err != nil {
			failed <- fmt.Errorf("watch the serving certificate: %w", err)
		}
	})
	return failed
}

// synced returns once the webhooks can read the storage objects.
func (b *background) synced(ctx context.Context) error {
	if !b.storage.WaitForCacheSync(ctx) {
		return errors.New("the watch of the storage objects was stopped before it had begun")
	}
	return nil
}

func (b *background) wait() { b.running.Wait() }

// newServer assembles CDI's server from its packages.
func newServer(ctx context.Context, config *rest.Config, opts options) (apiserver.CdiAPIServer, *background, error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, nil, err
	}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("make a client: %w", err)
	}
	aggregation, err := aggregator.NewForConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("make a client of APIServices: %w", err)
	}
	cdi, err := cdiclient.NewForConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("make a client of CDI: %w", err)
	}
	snapshot, err := snapshots.NewForConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("make a client of snapshots: %w", err)
	}
	objects, storage, err := newReader(config, scheme)
	if err != nil {
		return nil, nil, err
	}

	auth, err := apiserver.NewAuthConfigWatcher(ctx, kube)
	if err != nil {
		return nil, nil, fmt.Errorf("read the aggregator's certificate authority: %w", err)
	}
	authorizer, err := apiserver.NewAuthorizorFromConfig(config, auth)
	if err != nil {
		return nil, nil, fmt.Errorf("make the authorizer: %w", err)
	}
	crypto, err := tlscryptowatch.NewCdiConfigTLSWatcher(ctx, cdi)
	if err != nil {
		return nil, nil, fmt.Errorf("watch the CDIConfig: %w", err)
	}
	certs, err := watcher.New(opts.certFile, opts.keyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("load the serving certificate: %w", err)
	}
	server, err := apiserver.NewCdiAPIServer(opts.bindAddress, opts.securePort, kube, aggregation, cdi, snapshot,
		objects, authorizer, auth, crypto, certs, map[string]string{})
	if err != nil {
		return nil, nil, fmt.Errorf("make the server: %w", err)
	}
	return server, &background{storage: storage, certs: certs}, nil
}

// newScheme also fills client-go's global scheme, where CDI's webhooks look up
// the kinds that they decode.
func newScheme() (*runtime.Scheme, error) {
	scheme := clientgoscheme.Scheme
	for _, add := range []func(*runtime.Scheme) error{cdiv1.AddToScheme, snapshotv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("register kinds: %w", err)
		}
	}
	return scheme, nil
}

// newReader returns the client of the webhooks and the cache behind it.
func newReader(config *rest.Config, scheme *runtime.Scheme) (client.Client, cache.Cache, error) {
	direct, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, nil, fmt.Errorf("make a client: %w", err)
	}
	storage, err := cache.New(config, cache.Options{
		Scheme: scheme,
		ByObject: map[client.Object]cache.ByObject{
			&corev1.PersistentVolume{}: {},
			&storagev1.StorageClass{}:  {},
			&cdiv1.StorageProfile{}:    {},
		},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("make the cache: %w", err)
	}
	if err := datavolume.CreateAvailablePersistentVolumeIndex(storage); err != nil {
		return nil, nil, fmt.Errorf("index the persistent volumes: %w", err)
	}
	return storageReader{Client: direct, storage: storage}, storage, nil
}

// storageReader reads the objects that describe storage from a cache, which
// the webhooks need for its index, and everything else from the server, which
// they may not list.
type storageReader struct {
	client.Client
	storage client.Reader
}

func (r storageReader) source(object runtime.Object) client.Reader {
	switch object.(type) {
	case *corev1.PersistentVolume, *corev1.PersistentVolumeList,
		*storagev1.StorageClass, *storagev1.StorageClassList,
		*cdiv1.StorageProfile, *cdiv1.StorageProfileList:
		return r.storage
	}
	return r.Client
}

// Get reads one object.
func (r storageReader) Get(ctx context.Context, key client.ObjectKey, object client.Object, opts ...client.GetOption) error {
	return r.source(object).Get(ctx, key, object, opts...)
}

// List reads many objects.
func (r storageReader) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	return r.source(list).List(ctx, list, opts...)
}
