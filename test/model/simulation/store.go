package simulation

import (
	"context"
	"reflect"
	"strconv"
	"strings"
	"sync"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// firstVersion keeps resourceVersions of VirtualServers from looking like those of the cluster.
const firstVersion = 1000

// store is etcd for VirtualServers: it keeps objects by key, and makes updates in one go or not at all.
type store struct {
	// Interface lets what the registry never calls panic.
	storage.Interface
	versioner storage.APIObjectVersioner
	mu        sync.Mutex
	version   uint64
	objects   map[string]*tensorstack.VirtualServer
	// changed is told of every write.
	changed func(watch.EventType, *tensorstack.VirtualServer)
}

func newStore(changed func(watch.EventType, *tensorstack.VirtualServer)) *store {
	return &store{version: firstVersion, objects: map[string]*tensorstack.VirtualServer{}, changed: changed}
}

// options makes a registry use the store.
func (s *store) options() generic.RESTOptionsGetter {
	return generic.RESTOptions{
		StorageConfig:  &storagebackend.ConfigForResource{},
		ResourcePrefix: "/virtualservers",
		Decorator: func(*storagebackend.ConfigForResource, string, func(runtime.Object) (string, error),
			func() runtime.Object, func() runtime.Object, storage.AttrFunc, storage.IndexerFuncs, *cache.Indexers,
		) (storage.Interface, factory.DestroyFunc, error) {
			return s, func() {}, nil
		},
	}
}

// only returns the one VirtualServer of the world, or nil.
func (s *store) only() *tensorstack.VirtualServer {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, object := range s.objects {
		return object.DeepCopy()
	}
	return nil
}

// Versioner implements storage.Interface.
func (s *store) Versioner() storage.Versioner { return s.versioner }

// Create implements storage.Interface.
func (s *store) Create(_ context.Context, key string, obj, out runtime.Object, _ uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.objects[key] != nil {
		return storage.NewKeyExistsError(key, 0)
	}
	return s.put(key, watch.Added, obj, out)
}

// put stores an object under a new version. It is called with the lock held.
func (s *store) put(key string, kind watch.EventType, obj, out runtime.Object) error {
	stored := obj.DeepCopyObject().(*tensorstack.VirtualServer)
	s.version++
	if err := s.versioner.UpdateObject(stored, s.version); err != nil {
		return err
	}
	s.objects[key] = stored
	s.changed(kind, stored)
	return set(out, stored)
}

func set(out, value runtime.Object) error {
	if out != nil {
		reflect.ValueOf(out).Elem().Set(reflect.ValueOf(value.DeepCopyObject()).Elem())
	}
	return nil
}

// Get implements storage.Interface.
func (s *store) Get(_ context.Context, key string, _ storage.GetOptions, out runtime.Object) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.objects[key] == nil {
		return storage.NewKeyNotFoundError(key, 0)
	}
	return set(out, s.objects[key])
}

// GetList implements storage.Interface.
func (s *store) GetList(_ context.Context, key string, _ storage.ListOptions, out runtime.Object) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := out.(*tensorstack.VirtualServerList)
	for at, object := range s.objects {
		if strings.HasPrefix(at, key) {
			list.Items = append(list.Items, *object.DeepCopy())
		}
	}
	list.ResourceVersion = strconv.FormatUint(s.version, 10)
	return nil
}

// Delete implements storage.Interface.
func (s *store) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validate storage.ValidateObjectFunc, _ runtime.Object, _ storage.DeleteOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	object := s.objects[key]
	if object == nil {
		return storage.NewKeyNotFoundError(key, 0)
	}
	if err := preconditions.Check(key, object); err != nil {
		return err
	}
	if err := validate(ctx, object.DeepCopy()); err != nil {
		return err
	}
	delete(s.objects, key)
	s.version++
	gone := object.DeepCopy()
	if err := s.versioner.UpdateObject(gone, s.version); err != nil {
		return err
	}
	s.changed(watch.Deleted, gone)
	return set(out, gone)
}

// GuaranteedUpdate implements storage.Interface.
func (s *store) GuaranteedUpdate(_ context.Context, key string, out runtime.Object, _ bool,
	preconditions *storage.Preconditions, update storage.UpdateFunc, _ runtime.Object) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	object := s.objects[key]
	if object == nil {
		return storage.NewKeyNotFoundError(key, 0)
	}
	if err := preconditions.Check(key, object); err != nil {
		return err
	}
	version, err := s.versioner.ObjectResourceVersion(object)
	if err != nil {
		return err
	}
	updated, _, err := update(object.DeepCopy(), storage.ResponseMeta{ResourceVersion: version})
	if err != nil {
		return err
	}
	same := updated.DeepCopyObject().(*tensorstack.VirtualServer)
	same.ResourceVersion = object.ResourceVersion
	if apiequality.Semantic.DeepEqual(same, object) {
		return set(out, object)
	}
	return s.put(key, watch.Modified, updated, out)
}
