package options

import (
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/admission/plugin/resourcequota"
	"k8s.io/apiserver/pkg/quota/v1/generic"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"tensorstack.dev/virtualserver/pkg/admission/copies"
	"tensorstack.dev/virtualserver/pkg/admission/disks"
	"tensorstack.dev/virtualserver/pkg/admission/importurl"
	"tensorstack.dev/virtualserver/pkg/admission/preflight"
	"tensorstack.dev/virtualserver/pkg/admission/references"
)

// addAdmission adds to the library's plugins, which are NamespaceLifecycle, webhooks and admission policies.
// kube-apiserver runs no admission for the kinds of extension servers, quota included. Quota comes last, so that a
// refused object is not counted.
func addAdmission(options *genericoptions.RecommendedOptions, imports *importurl.Config, servers *disks.Servers) {
	references.Register(options.Admission.Plugins)
	importurl.Register(options.Admission.Plugins, imports)
	disks.Register(options.Admission.Plugins, servers)
	copies.Register(options.Admission.Plugins)
	preflight.Register(options.Admission.Plugins)
	resourcequota.Register(options.Admission.Plugins)
	options.Admission.RecommendedPluginOrder = append(options.Admission.RecommendedPluginOrder,
		references.PluginName, importurl.PluginName, disks.PluginName, copies.PluginName, preflight.PluginName, resourcequota.PluginName)
	options.ExtraAdmissionInitializers = func(*genericapiserver.RecommendedConfig) ([]admission.PluginInitializer, error) {
		// The empty configuration counts objects: count/virtualservers.tensorstack.dev. CPU, memory and GPUs of a machine
		// are charged to its pod by kube-apiserver.
		return []admission.PluginInitializer{quotaInitializer{}}, nil
	}
}

// applyAdmission does what the library would, but for where the parameters of admission policies come from.
func applyAdmission(options *genericoptions.RecommendedOptions, config *genericapiserver.RecommendedConfig) error {
	kube, err := kubernetes.NewForConfig(config.ClientConfig)
	if err != nil {
		return err
	}
	dynamicClient, err := dynamic.NewForConfig(config.ClientConfig)
	if err != nil {
		return err
	}
	initializers, err := options.ExtraAdmissionInitializers(config)
	if err != nil {
		return err
	}
	kinds, err := newLateKinds(kube.Discovery(), clock.RealClock{})
	if err != nil {
		return err
	}
	initializers = append(initializers, policiesInitializer{
		shared: config.SharedInformerFactory, kube: kube, dynamic: dynamicClient, said: &saidOnce{}, kinds: kinds,
	})
	if err := options.Admission.ApplyTo(&config.Config, config.SharedInformerFactory, kube, dynamicClient, options.FeatureGate,
		config.EffectiveVersion, initializers...); err != nil || !kinds.any() {
		return err
	}
	return config.AddPostStartHook("look-for-admission-policies", func(hook genericapiserver.PostStartHookContext) error {
		go kinds.run(hook)
		return nil
	})
}

// quotaInitializer hands the quota plugin its configuration.
type quotaInitializer struct{}

// Initialize is called for every plugin.
func (quotaInitializer) Initialize(plugin admission.Interface) {
	if wants, ok := plugin.(initializer.WantsQuotaConfiguration); ok {
		wants.SetQuotaConfiguration(generic.NewConfiguration(nil, nil))
	}
}
