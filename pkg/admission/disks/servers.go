package disks

import (
	"context"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/endpoints/request"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// Store reads VirtualServers.
type Store interface {
	// GetVirtualServer returns the VirtualServer of that name in the namespace of the context.
	GetVirtualServer(ctx context.Context, name string) (*tensorstack.VirtualServer, error)
	// ListUsing returns those of the namespace that have one of these keys of claims (validation.ClaimUse), as of now.
	ListUsing(ctx context.Context, namespace string, keys []string) ([]*tensorstack.VirtualServer, error)
}

// Servers is where the plugin finds VirtualServers. Admission is put together before the storage, which is set later, before
// requests come.
type Servers struct {
	store atomic.Pointer[Store]
}

// Set names the storage of VirtualServers.
func (s *Servers) Set(store Store) { s.store.Store(&store) }

var errNoStore = apierrors.NewServiceUnavailable("the storage of VirtualServers is not ready yet; try again")

func (s *Servers) get(ctx context.Context, namespace, name string) (*tensorstack.VirtualServer, error) {
	store := s.store.Load()
	if store == nil {
		return nil, errNoStore
	}
	return (*store).GetVirtualServer(request.WithNamespace(ctx, namespace), name)
}

// rivalsOf returns the other machines that use a claim in a manner that does not go well with one of the uses.
func (s *Servers) rivalsOf(ctx context.Context, namespace, name string, uses []use) ([]*tensorstack.VirtualServer, error) {
	var keys []string
	for _, use := range uses {
		keys = append(keys, use.Rivals()...)
	}
	if len(keys) == 0 {
		return nil, nil
	}
	store := s.store.Load()
	if store == nil {
		return nil, errNoStore
	}
	servers, err := (*store).ListUsing(ctx, namespace, keys)
	if err != nil {
		return nil, err
	}
	var rivals []*tensorstack.VirtualServer
	for _, server := range servers {
		if server.Name != name {
			rivals = append(rivals, server)
		}
	}
	return rivals, nil
}
