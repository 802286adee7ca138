// Package options holds the flags of the server.
package options

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/features"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	cliflag "k8s.io/component-base/cli/flag"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/logs/json/register" // Offers --logging-format=json.
	"k8s.io/component-base/tracing"

	"tensorstack.dev/virtualserver/pkg/admission/disks"
	"tensorstack.dev/virtualserver/pkg/admission/importurl"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/apiserver/scheme"
	"tensorstack.dev/virtualserver/pkg/etcd"
)

// etcdPrefix is the default of --etcd-prefix.
const etcdPrefix = "/registry/" + v1beta1.GroupName

// Options are all options of the server.
type Options struct {
	// Recommended are those of every extension API server. None of its parts is left out: without its authentication or
	// authorization the server would be open to everybody.
	Recommended *genericoptions.RecommendedOptions
	// ServerRun are limits, timeouts, feature gates and the manner of shutdown.
	ServerRun *genericoptions.ServerRunOptions
	// Logging is the log.
	Logging *logsapi.LoggingConfiguration
	// Store is where objects are kept.
	Store *StoreOptions
	// Controllers are the controllers beside the API.
	Controllers *ControllerOptions
	// Imports says from where root disks may be imported.
	Imports *importurl.Config
	// Servers is told the storage of VirtualServers, which admission looks into.
	Servers *disks.Servers
	// AllowExistingCRDs starts the server although custom resources of its group and version are defined.
	AllowExistingCRDs bool
}

// New returns the default options.
func New() *Options {
	recommended := genericoptions.NewRecommendedOptions(etcdPrefix, scheme.Codecs.LegacyCodec(v1beta1.SchemeGroupVersion))
	recommended.SecureServing.BindPort = 8443
	recommended.SecureServing.ServerCert.CertDirectory = ""
	imports := &importurl.Config{}
	servers := &disks.Servers{}
	addAdmission(recommended, imports, servers)
	return &Options{
		Recommended: recommended,
		ServerRun:   genericoptions.NewServerRunOptions(),
		Logging:     logsapi.NewLoggingConfiguration(),
		Store:       NewStoreOptions(),
		Controllers: NewControllerOptions(),
		Imports:     imports,
		Servers:     servers,
	}
}

// init sets up the feature gate of the process, which the libraries read and which can be changed only before its first
// use. It offers the features of the log, and turns one feature off: all requests that come through kube-apiserver share a
// few HTTP/2 connections, and UnauthenticatedHTTP2DOSMitigation closes a connection after an unauthenticated request, and
// with it everybody's requests (https://github.com/kubernetes/kubernetes/issues/122308).
func init() {
	gate := utilfeature.DefaultMutableFeatureGate
	utilruntime.Must(logsapi.AddFeatureGates(gate))
	utilruntime.Must(gate.OverrideDefault(features.UnauthenticatedHTTP2DOSMitigation, false))
}

// Flags returns the flags in sections, for help.
func (o *Options) Flags() cliflag.NamedFlagSets {
	var sections cliflag.NamedFlagSets
	o.Store.AddFlags(sections.FlagSet("store"))
	o.Recommended.Etcd.AddFlags(sections.FlagSet("etcd"))
	o.Controllers.AddFlags(sections.FlagSet("controllers"))
	guard := sections.FlagSet("cluster")
	o.Recommended.CoreAPI.AddFlags(guard)
	guard.BoolVar(&o.AllowExistingCRDs, "allow-existing-crds", o.AllowExistingCRDs, "Start although "+
		"CustomResourceDefinitions of "+v1beta1.SchemeGroupVersion.String()+" exist, which the APIService of this server "+
		"hides from their users.")
	o.ServerRun.AddUniversalFlags(sections.FlagSet("generic"))
	o.Recommended.SecureServing.AddFlags(sections.FlagSet("secure serving"))
	o.Recommended.Authentication.AddFlags(sections.FlagSet("authentication"))
	o.Recommended.Authorization.AddFlags(sections.FlagSet("authorization"))
	o.Recommended.Admission.AddFlags(sections.FlagSet("admission"))
	o.Imports.AddFlags(sections.FlagSet("admission"))
	o.Recommended.Audit.AddFlags(sections.FlagSet("auditing"))
	o.Recommended.Features.AddFlags(sections.FlagSet("features"))
	o.Recommended.EgressSelector.AddFlags(sections.FlagSet("egress selector"))
	o.Recommended.Traces.AddFlags(sections.FlagSet("traces"))
	logsapi.AddFlags(o.Logging, sections.FlagSet("logs"))
	return sections
}

// Validate returns everything that is wrong with the options.
func (o *Options) Validate() error {
	etcdServers := o.Recommended.Etcd.StorageConfig.Transport.ServerList
	errs := o.Store.Validate(etcdServers)
	if len(etcdServers) == 0 {
		// The embedded etcd fills them in later; the library would ask for --etcd-servers.
		o.Recommended.Etcd.StorageConfig.Transport.ServerList = []string{"unix:"}
		errs = append(errs, o.Recommended.Validate()...)
		o.Recommended.Etcd.StorageConfig.Transport.ServerList = nil
	} else {
		errs = append(errs, o.Recommended.Validate()...)
		if err := etcd.CheckTransport(o.Recommended.Etcd.StorageConfig.Transport); err != nil {
			errs = append(errs, err)
		}
	}
	if len(o.Recommended.Etcd.EtcdServersOverrides) > 0 {
		errs = append(errs, fmt.Errorf("--etcd-servers-overrides is not supported: this server stores one resource, use --etcd-servers"))
	}
	if media := o.Recommended.Etcd.DefaultStorageMediaType; media == runtime.ContentTypeProtobuf {
		errs = append(errs, fmt.Errorf("--storage-media-type %s is not supported: VirtualServers have no protobuf form", media))
	}
	errs = append(errs, o.ServerRun.Validate()...)
	errs = append(errs, o.Controllers.Validate()...)
	errs = append(errs, o.Imports.Validate()...)
	return utilerrors.NewAggregate(errs)
}

// ApplyTo configures the generic server. The OpenAPI of the configuration must be set before.
func (o *Options) ApplyTo(config *genericapiserver.RecommendedConfig) error {
	if err := o.ServerRun.DefaultAdvertiseAddress(o.Recommended.SecureServing.SecureServingOptions); err != nil {
		return err
	}
	if err := o.ServerRun.ApplyTo(&config.Config); err != nil {
		return err
	}
	if err := o.applyStorage(&config.Config); err != nil {
		return err
	}
	others := *o.Recommended
	others.Etcd, others.Admission = nil, nil
	if err := others.ApplyTo(config); err != nil {
		return err
	}
	// The library leaves client-go's limit of five requests a second, for which everybody's operations, quotas, consoles
	// and warnings would queue up. What users may ask of both servers is limited by priority and fairness.
	config.ClientConfig.QPS = -1
	if o.Recommended.Traces.ConfigFile != "" {
		// What is asked of other servers for a request, KubeVirt included, is part of its trace.
		config.ClientConfig.Wrap(tracing.WrapperFor(config.TracerProvider))
	}
	return applyAdmission(o.Recommended, config)
}

// applyStorage stores objects as PREFIX/virtualservers/NAMESPACE/NAME, in the version that the scheme prefers. The
// library's own way would put the name of the group between prefix and resource, and ignore --storage-media-type. JSON is
// the default because it is fastest: for the guide's first example CBOR takes three times as long to write and as long to
// read (BenchmarkStorageEncodings).
func (o *Options) applyStorage(config *genericapiserver.Config) error {
	storage := o.Recommended.Etcd.StorageConfig
	storage.StorageObjectCountTracker = config.StorageObjectCountTracker
	factory := serverstorage.NewDefaultStorageFactory(storage, o.Recommended.Etcd.DefaultStorageMediaType, scheme.Codecs,
		serverstorage.NewDefaultResourceEncodingConfig(scheme.Scheme), serverstorage.NewResourceConfig(), nil)
	return o.Recommended.Etcd.ApplyWithStorageFactoryTo(factory, config)
}
