package options

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/discovery"
	admissioninformers "k8s.io/client-go/informers/admissionregistration/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// lookAgainPeriod is how often a kind of admission that kube-apiserver does not serve is looked for again.
const lookAgainPeriod = time.Minute

// lateKinds are the kinds of admission policies that kube-apiserver does not serve yet. The library knows those of the newest
// Kubernetes only, and lets every write wait until it has listed them all: on an older one that is for ever.
type lateKinds struct {
	client discovery.DiscoveryInterface
	clock  clock.WithTicker
	served sets.Set[string]
	late   []lateInformer
}

// lateInformer watches a kind that is not served. Until it is, its empty cache is the truth about it.
type lateInformer struct {
	cache.SharedIndexInformer
	resource string
}

// HasSynced lets nobody wait.
func (lateInformer) HasSynced() bool { return true }

// newLateKinds asks kube-apiserver which kinds it serves.
func newLateKinds(client discovery.DiscoveryInterface, clock clock.WithTicker) (*lateKinds, error) {
	kinds := &lateKinds{client: client, clock: clock}
	var err error
	if kinds.served, err = kinds.discover(); err != nil {
		return nil, err
	}
	return kinds, nil
}

func (k *lateKinds) discover() (sets.Set[string], error) {
	list, err := k.client.ServerResourcesForGroupVersion(admissionregistrationv1.SchemeGroupVersion.String())
	if apierrors.IsNotFound(err) {
		return sets.New[string](), nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up which admission policies kube-apiserver serves: %w", err)
	}
	served := sets.New[string]()
	for _, resource := range list.APIResources {
		served.Insert(resource.Name)
	}
	return served, nil
}

// choose returns the shared informer of a kind that is served. For one that is not it returns an informer that nobody waits
// for: the readiness of the server waits for every informer that was asked of the shared ones.
func (k *lateKinds) choose(resource string, shared, own func() cache.SharedIndexInformer) cache.SharedIndexInformer {
	if k.served.Has(resource) {
		return shared()
	}
	for _, known := range k.late {
		if known.resource == resource {
			return known
		}
	}
	informer := lateInformer{SharedIndexInformer: own(), resource: resource}
	k.late = append(k.late, informer)
	return informer
}

// any says whether there is a kind to look for.
func (k *lateKinds) any() bool { return len(k.late) > 0 }

// run says once which kinds are left out, and looks for them every minute until all are served, as after an upgrade of the
// cluster, or the context has ended.
func (k *lateKinds) run(ctx context.Context) {
	logger := klog.FromContext(ctx)
	waiting := slices.Clone(k.late)
	logger.Info("kube-apiserver does not serve these kinds, which are left out until it does", "kinds", names(waiting),
		"version", admissionregistrationv1.SchemeGroupVersion.String())
	ticker := k.clock.NewTicker(lookAgainPeriod)
	defer ticker.Stop()
	for len(waiting) > 0 {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
		}
		served, err := k.discover()
		if err != nil {
			logger.V(2).Info("Looking for kinds of admission policies again", "err", err)
			continue
		}
		waiting = slices.DeleteFunc(waiting, func(informer lateInformer) bool {
			if !served.Has(informer.resource) {
				return false
			}
			logger.Info("kube-apiserver serves this kind now: it is in force", "kind", informer.resource)
			go informer.RunWithContext(ctx)
			return true
		})
	}
}

func names(informers []lateInformer) string {
	var list []string
	for _, informer := range informers {
		list = append(list, informer.resource)
	}
	return strings.Join(list, ", ")
}

// The plugins ask for typed informers. Each of these is the library's own but for what it runs on.

type validatingPolicies struct {
	admissioninformers.TypedValidatingAdmissionPolicyInformer
	informer cache.SharedIndexInformer
}

func (p validatingPolicies) Informer() cache.SharedIndexInformer { return p.informer }

type validatingBindings struct {
	admissioninformers.TypedValidatingAdmissionPolicyBindingInformer
	informer cache.SharedIndexInformer
}

func (p validatingBindings) Informer() cache.SharedIndexInformer { return p.informer }

type mutatingPolicies struct {
	admissioninformers.TypedMutatingAdmissionPolicyInformer
	informer cache.SharedIndexInformer
}

func (p mutatingPolicies) Informer() cache.SharedIndexInformer { return p.informer }

type mutatingBindings struct {
	admissioninformers.TypedMutatingAdmissionPolicyBindingInformer
	informer cache.SharedIndexInformer
}

func (p mutatingBindings) Informer() cache.SharedIndexInformer { return p.informer }
