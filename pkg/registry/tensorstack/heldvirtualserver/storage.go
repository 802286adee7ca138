package heldvirtualserver

import (
	"context"
	"net/http"

	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/utils/clock"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// Keeper holds VirtualServers. held.Keeper is one.
type Keeper interface {
	// Restore gives the VirtualServer of the UID back to its namespace. Errors are API errors.
	Restore(ctx context.Context, uid string) (*tensorstack.VirtualServer, error)
	// ExpiresAt returns when a VirtualServer that is held since then is deleted for good.
	ExpiresAt(since metav1.Time) metav1.Time
}

// Storage is the resource heldvirtualservers and its subresource.
type Storage struct {
	// Held is the main resource.
	Held *REST
	// Restore gives one back.
	Restore *RestoreREST
}

// REST is the main resource. It can be read and deleted.
type REST struct {
	store *genericregistry.Store
}

var (
	_ rest.Getter               = &REST{}
	_ rest.Lister               = &REST{}
	_ rest.GracefulDeleter      = &REST{}
	_ rest.Scoper               = &REST{}
	_ rest.SingularNameProvider = &REST{}
)

// New returns the storage of held VirtualServers in the etcd that getter describes.
func New(getter generic.RESTOptionsGetter, typer runtime.ObjectTyper, keeper Keeper, clock clock.PassiveClock) (*Storage, error) {
	rules := strategy{ObjectTyper: typer, NameGenerator: names.SimpleNameGenerator}
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return &tensorstack.HeldVirtualServer{} },
		NewListFunc:               func() runtime.Object { return &tensorstack.HeldVirtualServerList{} },
		DefaultQualifiedResource:  tensorstack.Resource("heldvirtualservers"),
		SingularQualifiedResource: tensorstack.Resource("heldvirtualserver"),
		UpdateStrategy:            rules,
		DeleteStrategy:            rules,
		TableConvertor:            tableConvertor{clock: clock},
		Decorator:                 func(obj runtime.Object) { date(obj, keeper) },
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: asServers{getter}}); err != nil {
		return nil, err
	}
	return &Storage{Held: &REST{store: store}, Restore: &RestoreREST{keeper: keeper}}, nil
}

// date writes down when held VirtualServers expire: that is a setting of the server, and not stored.
func date(obj runtime.Object, keeper Keeper) {
	switch typed := obj.(type) {
	case *tensorstack.HeldVirtualServer:
		expires := keeper.ExpiresAt(typed.CreationTimestamp)
		typed.ExpiresAt = &expires
	case *tensorstack.HeldVirtualServerList:
		for i := range typed.Items {
			date(&typed.Items[i], keeper)
		}
	}
}

// asServers encrypts held VirtualServers as VirtualServers are: a configuration of encryption names that resource, and who
// wrote it does not know of this one.
type asServers struct {
	generic.RESTOptionsGetter
}

// GetRESTOptions implements generic.RESTOptionsGetter.
func (g asServers) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	options, err := g.RESTOptionsGetter.GetRESTOptions(resource, example)
	if err != nil {
		return options, err
	}
	servers, err := g.RESTOptionsGetter.GetRESTOptions(tensorstack.Resource("virtualservers"), &tensorstack.VirtualServer{})
	if err != nil {
		return options, err
	}
	config := *options.StorageConfig
	config.Transformer = servers.StorageConfig.Transformer
	options.StorageConfig = &config
	return options, nil
}

// New implements rest.Storage.
func (r *REST) New() runtime.Object { return r.store.New() }

// NewList implements rest.Lister.
func (r *REST) NewList() runtime.Object { return r.store.NewList() }

// Destroy implements rest.Storage.
func (r *REST) Destroy() { r.store.Destroy() }

// NamespaceScoped implements rest.Scoper.
func (r *REST) NamespaceScoped() bool { return false }

// GetSingularName implements rest.SingularNameProvider.
func (r *REST) GetSingularName() string { return r.store.GetSingularName() }

// Get implements rest.Getter.
func (r *REST) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return r.store.Get(ctx, name, options)
}

// List implements rest.Lister.
func (r *REST) List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	return r.store.List(ctx, options)
}

// ConvertToTable implements rest.TableConvertor.
func (r *REST) ConvertToTable(ctx context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	return r.store.ConvertToTable(ctx, obj, options)
}

// Delete implements rest.GracefulDeleter.
func (r *REST) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	return r.store.Delete(ctx, name, validate, options)
}

// RestoreREST is the subresource restore, which gives a VirtualServer back.
type RestoreREST struct {
	keeper Keeper
}

var (
	_ rest.Connecter       = &RestoreREST{}
	_ rest.StorageMetadata = &RestoreREST{}
)

// New implements rest.Storage.
func (r *RestoreREST) New() runtime.Object { return &tensorstack.ProxyOptions{} }

// Destroy implements rest.Storage.
func (r *RestoreREST) Destroy() {}

// NewConnectOptions implements rest.Connecter.
func (r *RestoreREST) NewConnectOptions() (runtime.Object, bool, string) {
	return &tensorstack.ProxyOptions{}, false, ""
}

// ConnectMethods implements rest.Connecter.
func (r *RestoreREST) ConnectMethods() []string { return []string{http.MethodPost} }

// Connect implements rest.Connecter. The answer is the VirtualServer as it is then.
func (r *RestoreREST) Connect(_ context.Context, name string, _ runtime.Object, responder rest.Responder) (http.Handler, error) {
	return http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		vs, err := r.keeper.Restore(req.Context(), name)
		if err != nil {
			responder.Error(err)
			return
		}
		responder.Object(http.StatusOK, vs)
	}), nil
}

// ProducesMIMETypes adds no type to those of the group.
func (r *RestoreREST) ProducesMIMETypes(string) []string { return nil }

// ProducesObject is the VirtualServer that was given back.
func (r *RestoreREST) ProducesObject(string) any { return v1beta1.VirtualServer{} }
