// Package preflight warns of what a VirtualServer needs and this cluster does not have: a StorageClass, a claim, a feature
// of KubeVirt, a GPU, room in a quota. It never refuses, because what is missing may come later, and it runs for dry runs
// too, so that "kubectl apply --dry-run=server" is a check of the whole way.
package preflight

import (
	"context"
	"errors"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	"tensorstack.dev/virtualserver/pkg/admission/request"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/validation"
)

// PluginName is the name of the plugin.
const PluginName = "VirtualServerPreflight"

// lookupTimeout bounds all requests to the cluster that one admission makes. What is not known by then is not warned of.
const lookupTimeout = 500 * time.Millisecond

// Register adds the plugin to those that a server can use.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return NewPlugin(clock.RealClock{}), nil })
}

// Plugin adds warnings to the answers of requests that create a VirtualServer or change its spec. It must run after
// VirtualServerReferences, so that it tells nobody what exists of which they may know nothing.
type Plugin struct {
	*admission.Handler
	clock    clock.PassiveClock
	client   kubernetes.Interface
	kubeVirt *kubeVirtReader
	// authorizer says which Secrets a user may read. Without it none is looked at.
	authorizer authorizer.UnconditionalAuthorizer
	// kubernetes reads the version of the cluster.
	kubernetes *kubernetesReader

	classes       storagelisters.StorageClassLister
	claims        corelisters.PersistentVolumeClaimLister
	nodes         corelisters.NodeLister
	quotas        corelisters.ResourceQuotaLister
	ranges        corelisters.LimitRangeLister
	classesSynced cache.InformerSynced
	claimsSynced  cache.InformerSynced
	nodesSynced   cache.InformerSynced
	quotasSynced  cache.InformerSynced
	rangesSynced  cache.InformerSynced
}

var (
	_ admission.ValidationInterface                = &Plugin{}
	_ initializer.WantsExternalKubeClientSet       = &Plugin{}
	_ initializer.WantsExternalKubeInformerFactory = &Plugin{}
	_ initializer.WantsDynamicClient               = &Plugin{}
	_ initializer.WantsUnconditionalAuthorizer     = &Plugin{}
)

// NewPlugin returns a plugin that waits for its clients. The clock says how old a cached answer is.
func NewPlugin(clock clock.PassiveClock) *Plugin {
	return &Plugin{
		Handler: admission.NewHandler(admission.Create, admission.Update), clock: clock, kubernetes: &kubernetesReader{clock: clock},
	}
}

// SetExternalKubeClientSet sets the client for lookups of ConfigMaps and ServiceAccounts, which are too many to cache.
func (p *Plugin) SetExternalKubeClientSet(client kubernetes.Interface) {
	p.client = client
}

// SetDynamicClient sets the client that reads KubeVirt's configuration.
func (p *Plugin) SetDynamicClient(client dynamic.Interface) {
	p.kubeVirt = newKubeVirtReader(client, p.clock)
}

// SetExternalKubeInformerFactory sets where the caches come from.
func (p *Plugin) SetExternalKubeInformerFactory(factory informers.SharedInformerFactory) {
	classes := factory.Storage().V1().StorageClasses()
	p.classes, p.classesSynced = classes.Lister(), classes.Informer().HasSynced
	claims := factory.Core().V1().PersistentVolumeClaims()
	p.claims, p.claimsSynced = claims.Lister(), claims.Informer().HasSynced
	nodes := factory.Core().V1().Nodes()
	p.nodes, p.nodesSynced = nodes.Lister(), nodes.Informer().HasSynced
	quotas := factory.Core().V1().ResourceQuotas()
	p.quotas, p.quotasSynced = quotas.Lister(), quotas.Informer().HasSynced
	ranges := factory.Core().V1().LimitRanges()
	p.ranges, p.rangesSynced = ranges.Lister(), ranges.Informer().HasSynced
}

// ValidateInitialization fails without clients.
func (p *Plugin) ValidateInitialization() error {
	if p.client == nil || p.kubeVirt == nil || p.classes == nil {
		return errors.New(PluginName + " needs a client, a dynamic client and informers")
	}
	return nil
}

// Validate only warns.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	updated, old, ok := request.VirtualServers(a)
	if !ok || old != nil && equality.Semantic.DeepEqual(updated.Spec, old.Spec) {
		return nil
	}
	texts := p.warnings(ctx, a.GetNamespace(), updated, old)
	lookups, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	texts = append(texts, p.secretWarnings(lookups, a.GetNamespace(), a.GetUserInfo(), &updated.Spec, field.NewPath("spec"))...)
	for _, text := range texts {
		warning.AddWarning(ctx, "", text)
	}
	return nil
}

func (p *Plugin) warnings(ctx context.Context, namespace string, updated, old *tensorstack.VirtualServer) []string {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	spec, path := &updated.Spec, field.NewPath("spec")
	kubeVirt := p.kubeVirt.read(ctx)
	warnings := kubeVirtWarnings(spec, kubeVirt, path)
	warnings = append(warnings, p.containerDiskWarnings(ctx, spec, kubeVirt, path.Child("storage"))...)
	if p.nodesSynced() {
		warnings = append(warnings, p.nodeWarnings(spec, path.Child("resources"))...)
	}
	if p.classesSynced() && validation.MakesRootDisk(&spec.Storage.Root) {
		warnings = append(warnings, p.classWarnings(spec, old, path.Child("storage", "root", "pvc"))...)
	}
	if p.claimsSynced() {
		warnings = append(warnings, p.claimWarnings(namespace, spec, path.Child("storage"))...)
	}
	if old == nil && p.quotasSynced() {
		warnings = append(warnings, p.quotaWarnings(namespace, spec, kubeVirt.importer)...)
	}
	return append(warnings, p.lookupWarnings(ctx, namespace, spec, path.Child("storage"))...)
}

// volumes calls visit for the volume of every additional disk and filesystem.
func volumes(storage *tensorstack.Storage, path *field.Path, visit func(*tensorstack.VolumeSource, *field.Path)) {
	for i := range storage.AdditionalDisks {
		visit(&storage.AdditionalDisks[i].VolumeSource, path.Child("additionalDisks").Index(i))
	}
	for i := range storage.Filesystems {
		visit(&storage.Filesystems[i].VolumeSource, path.Child("filesystems").Index(i))
	}
}

// isBlock says whether a claim has no filesystem.
func isBlock(claim *corev1.PersistentVolumeClaim) bool {
	return claim.Spec.VolumeMode != nil && *claim.Spec.VolumeMode == corev1.PersistentVolumeBlock
}
