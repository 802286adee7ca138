package options

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/informers/admissionregistration"
	admissioninformers "k8s.io/client-go/informers/admissionregistration/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// A cluster has policies for all kinds of objects, and each may name any kind as its parameter. The library watches the
// parameters of all of them, of those too that can never apply to a VirtualServer, and logs an error every few seconds for
// each kind that this server may not list.

// withoutOtherPolicies empties a policy that cannot concern a VirtualServer on its way into a cache. It matches nothing here, so
// nothing else of it is ever looked at.
func withoutOtherPolicies(object any) (any, error) {
	switch policy := object.(type) {
	case *admissionregistrationv1.ValidatingAdmissionPolicy:
		if !concernsUs(policy.Spec.MatchConstraints) {
			policy.Spec = admissionregistrationv1.ValidatingAdmissionPolicySpec{MatchConstraints: policy.Spec.MatchConstraints}
			policy.Status = admissionregistrationv1.ValidatingAdmissionPolicyStatus{}
		}
	case *admissionregistrationv1.MutatingAdmissionPolicy:
		if !concernsUs(policy.Spec.MatchConstraints) {
			policy.Spec = admissionregistrationv1.MutatingAdmissionPolicySpec{MatchConstraints: policy.Spec.MatchConstraints}
		}
	}
	return object, nil
}

// concernsUs says whether a policy may match a request to this server. When in doubt it may.
func concernsUs(match *admissionregistrationv1.MatchResources) bool {
	if match == nil {
		return true
	}
	return slices.ContainsFunc(match.ResourceRules, func(rule admissionregistrationv1.NamedRuleWithOperations) bool {
		return hasOrAny(rule.APIGroups, tensorstack.GroupName) && slices.ContainsFunc(rule.Resources, isOurResource)
	})
}

func hasOrAny(values []string, value string) bool {
	return slices.Contains(values, value) || slices.Contains(values, "*")
}

// isOurResource says whether a resource of a rule may be virtualservers or a subresource of them.
func isOurResource(resource string) bool {
	resource, _, _ = strings.Cut(resource, "/")
	return resource == "*" || resource == "virtualservers"
}

// policiesInitializer gives each plugin for policies informers of parameters of its own: a plugin asks for an informer and
// starts it in a second call, which must not start that of another plugin. Unlike the shared informers they do not hold up
// the readiness of the server, which waits for all of those: this server may not be allowed to list a parameter.
type policiesInitializer struct {
	shared  informers.SharedInformerFactory
	kube    kubernetes.Interface
	dynamic dynamic.Interface
	said    *saidOnce
	kinds   *lateKinds
}

// policiesResync is how often the plugins look at everything again.
const policiesResync = 10 * time.Minute

// Initialize is called for every plugin, after the library's own initializer.
func (i policiesInitializer) Initialize(plugin admission.Interface) {
	if wants, ok := plugin.(initializer.WantsExternalKubeInformerFactory); ok {
		wants.SetExternalKubeInformerFactory(&policyInformers{SharedInformerFactory: i.shared, policiesInitializer: i})
	}
}

// policyInformers are the shared informers, but for what only the plugins for policies ask for: policies, without those that
// do not concern us, and their parameters.
type policyInformers struct {
	informers.SharedInformerFactory
	policiesInitializer

	lock    sync.Mutex
	waiting []cache.SharedIndexInformer
}

// Admissionregistration implements informers.SharedInformerFactory.
func (f *policyInformers) Admissionregistration() admissionregistration.Interface {
	return ourGroup{f.SharedInformerFactory.Admissionregistration(), f.policiesInitializer}
}

type ourGroup struct {
	admissionregistration.Interface
	policiesInitializer
}

func (g ourGroup) V1() admissioninformers.Interface {
	return ourVersion{g.Interface.V1(), g.policiesInitializer}
}

type ourVersion struct {
	admissioninformers.Interface
	policiesInitializer
}

func (v ourVersion) ValidatingAdmissionPolicies() admissioninformers.TypedValidatingAdmissionPolicyInformer {
	policies := v.Interface.ValidatingAdmissionPolicies()
	informer := v.kinds.choose("validatingadmissionpolicies", policies.Informer, func() cache.SharedIndexInformer {
		return admissioninformers.NewValidatingAdmissionPolicyInformer(v.kube, policiesResync, cache.Indexers{})
	})
	filter(informer)
	return validatingPolicies{policies, informer}
}

func (v ourVersion) ValidatingAdmissionPolicyBindings() admissioninformers.TypedValidatingAdmissionPolicyBindingInformer {
	bindings := v.Interface.ValidatingAdmissionPolicyBindings()
	return validatingBindings{bindings, v.kinds.choose("validatingadmissionpolicybindings", bindings.Informer,
		func() cache.SharedIndexInformer {
			return admissioninformers.NewValidatingAdmissionPolicyBindingInformer(v.kube, policiesResync, cache.Indexers{})
		})}
}

func (v ourVersion) MutatingAdmissionPolicies() admissioninformers.TypedMutatingAdmissionPolicyInformer {
	policies := v.Interface.MutatingAdmissionPolicies()
	informer := v.kinds.choose("mutatingadmissionpolicies", policies.Informer, func() cache.SharedIndexInformer {
		return admissioninformers.NewMutatingAdmissionPolicyInformer(v.kube, policiesResync, cache.Indexers{})
	})
	filter(informer)
	return mutatingPolicies{policies, informer}
}

func (v ourVersion) MutatingAdmissionPolicyBindings() admissioninformers.TypedMutatingAdmissionPolicyBindingInformer {
	bindings := v.Interface.MutatingAdmissionPolicyBindings()
	return mutatingBindings{bindings, v.kinds.choose("mutatingadmissionpolicybindings", bindings.Informer,
		func() cache.SharedIndexInformer {
			return admissioninformers.NewMutatingAdmissionPolicyBindingInformer(v.kube, policiesResync, cache.Indexers{})
		})}
}

func filter(informer cache.SharedIndexInformer) {
	if err := informer.SetTransform(withoutOtherPolicies); err != nil {
		// It fails only for one that runs, and the plugins ask before any does.
		utilruntime.HandleError(fmt.Errorf("set the transform of admission policies: %w", err))
	}
}

// ForResource returns a new informer, as the library stops each when no policy needs it any more: started once, an informer
// of a shared factory would stay as it was then.
func (f *policyInformers) ForResource(resource schema.GroupVersionResource) (informers.GenericInformer, error) {
	informer, err := informers.NewSharedInformerFactory(f.kube, policiesResync).ForResource(resource)
	if err != nil {
		informer = dynamicinformer.NewFilteredDynamicInformer(f.dynamic, resource, corev1.NamespaceAll, policiesResync,
			cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}, nil)
	}
	if err := informer.Informer().SetWatchErrorHandlerWithContext(f.said.handler(resource)); err != nil {
		return nil, fmt.Errorf("watch %s: %w", resource, err)
	}
	f.lock.Lock()
	defer f.lock.Unlock()
	f.waiting = append(f.waiting, informer.Informer())
	return informer, nil
}

// Start is called after ForResource. The shared informers are started by the server.
func (f *policyInformers) Start(stop <-chan struct{}) {
	f.lock.Lock()
	defer f.lock.Unlock()
	for _, informer := range f.waiting {
		go informer.Run(stop)
	}
	f.waiting = nil
}

// saidOnce logs what only a person can change once for each resource and reason, over all informers.
type saidOnce struct {
	lock sync.Mutex
	said map[schema.GroupResource]metav1.StatusReason
}

func (s *saidOnce) handler(resource schema.GroupVersionResource) cache.WatchErrorHandlerWithContext {
	return func(ctx context.Context, reflector *cache.Reflector, err error) {
		reason := apierrors.ReasonForError(err)
		switch reason {
		case metav1.StatusReasonForbidden, metav1.StatusReasonUnauthorized, metav1.StatusReasonNotFound,
			metav1.StatusReasonMethodNotAllowed:
		default:
			cache.DefaultWatchErrorHandler(ctx, reflector, err)
			return
		}
		if s.isNew(resource.GroupResource(), reason) {
			klog.FromContext(ctx).Info("The parameters of an admission policy cannot be listed: until they can, the policy fails as "+
				"its failurePolicy says. It is tried again without another word", "resource", resource, "err", err)
		}
	}
}

func (s *saidOnce) isNew(resource schema.GroupResource, reason metav1.StatusReason) bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.said[resource] == reason {
		return false
	}
	if s.said == nil {
		s.said = map[schema.GroupResource]metav1.StatusReason{}
	}
	s.said[resource] = reason
	return true
}
