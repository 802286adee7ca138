package app

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	registryrest "k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"tensorstack.dev/virtualserver/cmd/virtualserver-apiserver/app/options"
	"tensorstack.dev/virtualserver/pkg/apiserver"
	"tensorstack.dev/virtualserver/pkg/apiserver/scheme"
	"tensorstack.dev/virtualserver/pkg/etcd"
	"tensorstack.dev/virtualserver/pkg/kubevirt"
	"tensorstack.dev/virtualserver/pkg/registry/tensorstack/virtualserver"
	"tensorstack.dev/virtualserver/pkg/registry/tensorstack/virtualserver/storage"
)

// newServer checks the surroundings and puts the server together.
func newServer(ctx context.Context, o *options.Options) (*apiserver.Server, error) {
	if err := checkStore(ctx, o); err != nil {
		return nil, err
	}
	generic := genericapiserver.NewRecommendedConfig(scheme.Codecs)
	apiserver.SetOpenAPI(&generic.Config)
	if err := o.ApplyTo(generic); err != nil {
		return nil, err
	}
	if !o.AllowExistingCRDs {
		if err := checkGroup(ctx, generic.ClientConfig); err != nil {
			return nil, err
		}
	}
	machines, err := kubevirt.NewClient(generic.ClientConfig)
	if err != nil {
		return nil, err
	}
	measures, err := newMeasures()
	if err != nil {
		return nil, err
	}
	streams, err := newStreams(ctx, generic, o.Recommended.Etcd.StorageConfig, measures.stream)
	if err != nil {
		return nil, err
	}
	namespaces, err := newNamespaces(ctx, o, generic, measures.held)
	if err != nil {
		return nil, err
	}
	config := &apiserver.Config{
		Generic: generic,
		Extra: apiserver.ExtraConfig{
			Storage: storage.Options{
				Typer:      scheme.Scheme,
				Namespaces: namespaces,
				Machines:   machineReader{instances: machines},
				Clock:      clock.RealClock{},
			},
			Keeper:         namespaces.keeper,
			KeepNamespaces: namespaces.keep,
			Subresources: func(servers *storage.Storage) (map[string]registryrest.Storage, error) {
				o.Servers.Set(servers.VirtualServer)
				return streams.subresources(servers)
			},
			Handlers:     streams.handlers,
			RequestInfo:  streams.requestInfo,
			CloseStreams: streams.close,
		},
	}
	if o.Controllers.Enabled {
		config.Extra.Controller = controllers{options: o, kubernetes: generic.ClientConfig, metrics: measures.controller,
			traces: generic.TracerProvider}.run
	}
	server, err := config.Complete().New()
	if err != nil {
		return nil, err
	}
	transport := o.Recommended.Etcd.StorageConfig.Transport
	certificates := certificatesOf(&generic.Config, map[string]string{
		"etcd-client": transport.CertFile, "etcd-ca": transport.TrustedCAFile,
	})
	if err := checkVersions(server.Generic, machines); err != nil {
		return nil, err
	}
	return server, measures.install(server.Generic, streams, certificates)
}

// checkStore looks at the etcd before the library does, which would wait for one that cannot be used.
func checkStore(ctx context.Context, o *options.Options) error {
	client, err := etcd.NewClient(ctx, o.Recommended.Etcd.StorageConfig.Transport)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	return etcd.CheckVersions(ctx, client)
}

func checkGroup(ctx context.Context, config *rest.Config) error {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("client for CustomResourceDefinitions: %w", err)
	}
	return apiserver.CheckGroupIsFree(ctx, client)
}

// machineReader reads the state of a machine from KubeVirt, not from a cache: an operation is accepted or refused by it.
type machineReader struct {
	instances kubevirt.InstanceReader
}

// Machine implements storage.MachineReader.
func (r machineReader) Machine(ctx context.Context, namespace, name string) (virtualserver.Machine, error) {
	instance, err := r.instances.Instance(ctx, namespace, name)
	if apierrors.IsNotFound(err) {
		return virtualserver.Machine{}, nil
	}
	if err != nil {
		return virtualserver.Machine{}, err
	}
	return virtualserver.Machine{
		InstanceUID: instance.UID,
		Final:       instance.IsFinal(),
		Stopping:    instance.DeletionTimestamp != nil && !instance.IsFinal(),
	}, nil
}
