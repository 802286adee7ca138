// Package rest installs the resources of the group tensorstack.dev.
package rest

import (
	"fmt"

	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/apiserver/scheme"
	"tensorstack.dev/virtualserver/pkg/registry/tensorstack/heldvirtualserver"
	"tensorstack.dev/virtualserver/pkg/registry/tensorstack/virtualserver/storage"
)

// Subresources makes the subresources that are not served from etcd. They find VirtualServers in servers. The keys are the
// names of the subresources, such as "console".
type Subresources func(servers *storage.Storage) (map[string]rest.Storage, error)

// StorageProvider makes the storage of the group.
type StorageProvider struct {
	// Options are what the storage of virtualservers needs.
	Options storage.Options
	// Keeper holds VirtualServers whose namespace is gone. Without one they are not served.
	Keeper heldvirtualserver.Keeper
	// Subresources makes further subresources. It may be nil.
	Subresources Subresources
}

// APIGroupInfo returns the group with everything that it serves, ready to be installed.
func (p StorageProvider) APIGroupInfo(getter generic.RESTOptionsGetter) (*genericapiserver.APIGroupInfo, error) {
	group := genericapiserver.NewDefaultAPIGroupInfo(v1beta1.GroupName, scheme.Scheme, scheme.ParameterCodec, scheme.Codecs)
	group.NegotiatedSerializer = scheme.Negotiated()

	servers, err := storage.New(getter, p.Options)
	if err != nil {
		return nil, fmt.Errorf("storage of virtualservers: %w", err)
	}
	resources := map[string]rest.Storage{
		"virtualservers":         servers.VirtualServer,
		"virtualservers/status":  servers.Status,
		"virtualservers/start":   servers.Start,
		"virtualservers/stop":    servers.Stop,
		"virtualservers/restart": servers.Restart,
	}
	if p.Keeper != nil {
		held, err := heldvirtualserver.New(getter, p.Options.Typer, p.Keeper, p.Options.Clock)
		if err != nil {
			return nil, fmt.Errorf("storage of heldvirtualservers: %w", err)
		}
		resources["heldvirtualservers"], resources["heldvirtualservers/restore"] = held.Held, held.Restore
	}
	if p.Subresources != nil {
		more, err := p.Subresources(servers)
		if err != nil {
			return nil, fmt.Errorf("subresources of virtualservers: %w", err)
		}
		for name, subresource := range more {
			path := "virtualservers/" + name
			if _, taken := resources[path]; taken {
				return nil, fmt.Errorf("subresource %s of %s is served already", name, tensorstack.GroupName)
			}
			resources[path] = subresource
		}
	}
	group.VersionedResourcesStorageMap[v1beta1.SchemeGroupVersion.Version] = resources
	return &group, nil
}
