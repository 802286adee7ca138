// Package copies refuses an ephemeral claim as a filesystem where no copy of the claim can ever be made. A claim that does not
// exist yet is nothing to refuse: the machine waits for it.
package copies

import (
	"context"
	"errors"
	"io"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"

	"tensorstack.dev/virtualserver/pkg/admission/request"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/scratch"
)

// PluginName is the name of the plugin.
const PluginName = "VirtualServerCopies"

// Register adds the plugin to those that a server can use.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return NewPlugin(), nil })
}

// Plugin looks at the claims of ephemeral filesystems that a request adds. It reads only claims of the VirtualServer's own
// namespace, which a machine there may use anyway.
type Plugin struct {
	*admission.Handler
	claims  corelisters.PersistentVolumeClaimLister
	classes storagelisters.StorageClassLister
	synced  []cache.InformerSynced
}

var (
	_ admission.ValidationInterface                = &Plugin{}
	_ initializer.WantsExternalKubeInformerFactory = &Plugin{}
)

// NewPlugin returns a plugin that waits for its informers.
func NewPlugin() *Plugin {
	return &Plugin{Handler: admission.NewHandler(admission.Create, admission.Update)}
}

// SetExternalKubeInformerFactory sets where the caches come from.
func (p *Plugin) SetExternalKubeInformerFactory(factory informers.SharedInformerFactory) {
	claims, classes := factory.Core().V1().PersistentVolumeClaims(), factory.Storage().V1().StorageClasses()
	p.claims, p.classes = claims.Lister(), classes.Lister()
	p.synced = []cache.InformerSynced{claims.Informer().HasSynced, classes.Informer().HasSynced}
}

// ValidateInitialization fails without informers.
func (p *Plugin) ValidateInitialization() error {
	if p.claims == nil || p.classes == nil {
		return errors.New(PluginName + " needs informers")
	}
	return nil
}

// Validate answers 422 with the filesystem. What the caches do not know yet is not refused: the machine tells of it then.
func (p *Plugin) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	updated, old, ok := request.VirtualServers(a)
	if !ok {
		return nil
	}
	for _, synced := range p.synced {
		if !synced() {
			return nil
		}
	}
	before := map[string]bool{}
	if old != nil {
		for i := range old.Spec.Storage.Filesystems {
			before[sourceOf(&old.Spec.Storage.Filesystems[i])] = true
		}
	}
	var problems field.ErrorList
	path := field.NewPath("spec", "storage", "filesystems")
	for i := range updated.Spec.Storage.Filesystems {
		source := sourceOf(&updated.Spec.Storage.Filesystems[i])
		if source == "" || before[source] {
			continue
		}
		if why := p.impossible(a.GetNamespace(), source); why != "" {
			problems = append(problems, field.Forbidden(path.Index(i).Child("ephemeral", "persistentVolumeClaim"),
				"each run of the machine would write to a copy of the claim, and none can be made: "+why+
					"; use it with persistentVolumeClaim and readOnly instead, or copy it to a claim whose StorageClass makes volumes"))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return apierrors.NewInvalid(v1beta1.SchemeGroupVersion.WithKind("VirtualServer").GroupKind(), updated.Name, problems)
}

// impossible says why no copy of a claim can be made, or nothing.
func (p *Plugin) impossible(namespace, name string) string {
	claim, err := p.claims.PersistentVolumeClaims(namespace).Get(name)
	if err != nil {
		return ""
	}
	class, found := p.classOf(claim)
	if !found {
		return ""
	}
	_, _, why := scratch.MethodFor(claim, class, nil)
	return why
}

// classOf returns the StorageClass of a claim. found is false for one that may yet come.
func (p *Plugin) classOf(claim *corev1.PersistentVolumeClaim) (class *storagev1.StorageClass, found bool) {
	if claim.Spec.StorageClassName == nil || *claim.Spec.StorageClassName == "" {
		// One without a class may get the default as long as it is not bound.
		return nil, claim.Spec.StorageClassName != nil || claim.Status.Phase == corev1.ClaimBound
	}
	class, err := p.classes.Get(*claim.Spec.StorageClassName)
	return class, err == nil
}

func sourceOf(filesystem *tensorstack.Filesystem) string {
	if filesystem.Ephemeral == nil || filesystem.Ephemeral.PersistentVolumeClaim == nil {
		return ""
	}
	return filesystem.Ephemeral.PersistentVolumeClaim.ClaimName
}
