package disks

import (
	"context"
	"fmt"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// Servers is where the plugin finds VirtualServers. Admission is put together before the storage, which is set later, before
// requests come.
type Servers struct {
	store atomic.Pointer[rest.Lister]
}

// Set names the storage of VirtualServers.
func (s *Servers) Set(store rest.Lister) { s.store.Store(&store) }

// List is a Lister. It answers from the watch cache, as of now.
func (s *Servers) List(ctx context.Context, namespace string) ([]*tensorstack.VirtualServer, error) {
	store := s.store.Load()
	if store == nil {
		return nil, apierrors.NewServiceUnavailable("the storage of VirtualServers is not ready yet; try again")
	}
	object, err := (*store).List(request.WithNamespace(ctx, namespace), &internalversion.ListOptions{})
	if err != nil {
		return nil, err
	}
	list, ok := object.(*tensorstack.VirtualServerList)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("the storage returned %T instead of a list of VirtualServers", object))
	}
	servers := make([]*tensorstack.VirtualServer, 0, len(list.Items))
	for i := range list.Items {
		servers = append(servers, &list.Items[i])
	}
	return servers, nil
}
