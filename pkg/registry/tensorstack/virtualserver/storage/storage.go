// Package storage serves the resource virtualservers and its subresources from etcd. There is one file per subresource.
package storage

import (
	"context"

	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/utils/clock"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/registry/tensorstack/virtualserver"
)

// Options are what the storage needs from outside.
type Options struct {
	// Typer knows the types of the group.
	Typer runtime.ObjectTyper
	// Namespaces tells which namespace a new VirtualServer belongs to.
	Namespaces NamespaceReader
	// Machines tells in which state the machine behind a VirtualServer is.
	Machines MachineReader
	// Clock dates operations.
	Clock clock.PassiveClock
}

// Storage is the resource virtualservers and the subresources that are served from etcd.
type Storage struct {
	// VirtualServer is the main resource.
	VirtualServer *REST
	// Status is the subresource status.
	Status *StatusREST
	// Start, Stop and Restart are the operations.
	Start   *StartREST
	Stop    *StopREST
	Restart *RestartREST
}

// REST is the main resource.
type REST struct {
	*genericregistry.Store
}

var (
	_ rest.StandardStorage      = &REST{}
	_ rest.ShortNamesProvider   = &REST{}
	_ rest.CategoriesProvider   = &REST{}
	_ rest.SingularNameProvider = &REST{}
	_ rest.ResetFieldsStrategy  = &REST{}
	_ rest.TableConvertor       = &REST{}
)

// New returns the storage of virtualservers in the etcd that getter describes.
func New(getter generic.RESTOptionsGetter, options Options) (*Storage, error) {
	main := virtualserver.NewStrategy(options.Typer, options.Clock)
	status := virtualserver.NewStatusStrategy(main)
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return &tensorstack.VirtualServer{} },
		NewListFunc:               func() runtime.Object { return &tensorstack.VirtualServerList{} },
		PredicateFunc:             virtualserver.Match,
		DefaultQualifiedResource:  tensorstack.Resource("virtualservers"),
		SingularQualifiedResource: tensorstack.Resource("virtualserver"),

		BeginCreate:         belongTo(options.Namespaces),
		CreateStrategy:      main,
		UpdateStrategy:      main,
		DeleteStrategy:      main,
		ResetFieldsStrategy: main,
		TableConvertor:      virtualserver.TableConvertor{},
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{
		RESTOptions: getter,
		AttrFunc:    virtualserver.GetAttrs,
		TriggerFunc: virtualserver.Triggers(),
		Indexers:    virtualserver.Indexers(),
	}); err != nil {
		return nil, err
	}

	statusStore := *store
	statusStore.UpdateStrategy = status
	statusStore.ResetFieldsStrategy = status

	operationStore := *store
	operationStore.UpdateStrategy = virtualserver.NewOperationStrategy(status)
	operations := &operator{store: &operationStore, machines: options.Machines, clock: options.Clock}

	return &Storage{
		VirtualServer: &REST{Store: store},
		Status:        &StatusREST{store: &statusStore},
		Start:         &StartREST{operator: operations},
		Stop:          &StopREST{operator: operations},
		Restart:       &RestartREST{operator: operations},
	}, nil
}

// ShortNames are the short names of the resource. Istio and NGINX have a "vs" of their own: in a cluster that has one, kubectl takes the
// group that comes first by priority and name, which is theirs, and "vsrv" means this resource everywhere.
func (*REST) ShortNames() []string { return []string{"vs", "vsrv"} }

// Categories are the groups of resources that "kubectl get" knows.
func (*REST) Categories() []string { return []string{"all"} }

// ListUsing returns the VirtualServers of the namespace that have one of these keys of claims, as of now. See
// validation.ClaimUse.
func (r *REST) ListUsing(ctx context.Context, namespace string, keys []string) ([]*tensorstack.VirtualServer, error) {
	object, err := r.ListPredicate(request.WithNamespace(ctx, namespace), virtualserver.MatchClaims(keys), &internalversion.ListOptions{})
	if err != nil {
		return nil, err
	}
	items := object.(*tensorstack.VirtualServerList).Items
	servers := make([]*tensorstack.VirtualServer, len(items))
	for i := range items {
		servers[i] = &items[i]
	}
	return servers, nil
}

// GetVirtualServer returns the VirtualServer of that name in the namespace of the context.
func (r *REST) GetVirtualServer(ctx context.Context, name string) (*tensorstack.VirtualServer, error) {
	obj, err := r.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return obj.(*tensorstack.VirtualServer), nil
}
