package options

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"
)

func newPolicyInformers(client *fake.Clientset) *policyInformers {
	shared := informers.NewSharedInformerFactory(client, 0)
	return &policyInformers{SharedInformerFactory: shared, policiesInitializer: policiesInitializer{
		shared: shared, kube: client, dynamic: dynamicfake.NewSimpleDynamicClient(runtime.NewScheme()), said: &saidOnce{}, kinds: &lateKinds{served: sets.New("validatingadmissionpolicies", "mutatingadmissionpolicies")},
	}}
}

// The parameters of a policy that this server may not list must not hold up its readiness, which waits for what the
// shared factory has started.
func TestPolicyParametersAreNotAmongTheServersInformers(t *testing.T) {
	factory := newPolicyInformers(fake.NewClientset(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "limits"}}))
	parameters, err := factory.ForResource(corev1.SchemeGroupVersion.WithResource("configmaps"))
	require.NoError(t, err)
	factory.Start(t.Context().Done())
	factory.shared.Start(t.Context().Done())

	assert.Empty(t, factory.shared.WaitForCacheSync(t.Context().Done()))
	require.True(t, cache.WaitForCacheSync(t.Context().Done(), parameters.Informer().HasSynced))
	_, err = parameters.Lister().ByNamespace("ns").Get("limits")
	assert.NoError(t, err)
}

// The library stops an informer when the last policy that needs it is gone. The next policy needs one that runs.
func TestParametersAreWatchedAnewForANewPolicy(t *testing.T) {
	for _, resource := range []schema.GroupVersionResource{
		corev1.SchemeGroupVersion.WithResource("configmaps"), {Group: "example.com", Version: "v1", Resource: "limits"},
	} {
		t.Run(resource.Resource, func(t *testing.T) {
			factory := newPolicyInformers(fake.NewClientset())
			factory.dynamic = dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
				map[schema.GroupVersionResource]string{{Group: "example.com", Version: "v1", Resource: "limits"}: "LimitList"})
			first, err := factory.ForResource(resource)
			require.NoError(t, err)
			stop := make(chan struct{})
			factory.Start(stop)
			require.True(t, cache.WaitForCacheSync(t.Context().Done(), first.Informer().HasSynced))
			close(stop)
			second, err := factory.ForResource(resource)
			require.NoError(t, err)
			factory.Start(t.Context().Done())
			require.True(t, cache.WaitForCacheSync(t.Context().Done(), second.Informer().HasSynced))
			assert.False(t, second.Informer().IsStopped())
			assert.NotSame(t, first.Informer(), second.Informer())
		})
	}
}

func matching(groups, resources string) *admissionregistrationv1.MatchResources {
	return &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{
		RuleWithOperations: admissionregistrationv1.RuleWithOperations{Rule: admissionregistrationv1.Rule{
			APIGroups: strings.Split(groups, ","), APIVersions: []string{"*"}, Resources: strings.Split(resources, ","),
		}},
	}}}
}

func TestParametersOfOtherPoliciesAreNotWatched(t *testing.T) {
	for name, test := range map[string]struct {
		match   *admissionregistrationv1.MatchResources
		watched bool
	}{
		"for VirtualServers":            {matching("tensorstack.dev", "virtualservers"), true},
		"for an operation":              {matching("tensorstack.dev", "virtualservers/stop"), true},
		"for everything below":          {matching("tensorstack.dev", "virtualservers/*"), true},
		"for the group":                 {matching("tensorstack.dev", "*"), true},
		"for any group":                 {matching("*", "*/*"), true},
		"for a subresource of anything": {matching("*", "*/start"), true},
		"for us among others":           {matching("apps,tensorstack.dev", "deployments,virtualservers"), true},
		"for pods":                      {matching("", "pods"), false},
		"for all of another group":      {matching("apps", "*"), false},
		"for pods of any group":         {matching("*", "pods,pods/exec"), false},
		"for another kind of ours":      {matching("tensorstack.dev", "networks"), false},
		"for a name that is longer":     {matching("tensorstack.dev", "virtualserverclasses/scale"), false},
		"for KubeVirt":                  {matching("kubevirt.io,subresources.kubevirt.io", "*/*"), false},
		"for nothing":                   {&admissionregistrationv1.MatchResources{}, false},
		"without a match":               {nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			parameter := &admissionregistrationv1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"}
			client := fake.NewClientset(
				&admissionregistrationv1.ValidatingAdmissionPolicy{
					ObjectMeta: metav1.ObjectMeta{Name: "p"},
					Spec:       admissionregistrationv1.ValidatingAdmissionPolicySpec{ParamKind: parameter, MatchConstraints: test.match},
				},
				&admissionregistrationv1.MutatingAdmissionPolicy{
					ObjectMeta: metav1.ObjectMeta{Name: "p"},
					Spec:       admissionregistrationv1.MutatingAdmissionPolicySpec{ParamKind: parameter, MatchConstraints: test.match},
				})
			factory := newPolicyInformers(client)
			validating := factory.Admissionregistration().V1().ValidatingAdmissionPolicies()
			mutating := factory.Admissionregistration().V1().MutatingAdmissionPolicies()
			factory.shared.Start(t.Context().Done())
			factory.shared.WaitForCacheSync(t.Context().Done())

			first, err := validating.Lister().Get("p")
			require.NoError(t, err)
			second, err := mutating.Lister().Get("p")
			require.NoError(t, err)
			assert.Equal(t, test.watched, first.Spec.ParamKind != nil)
			assert.Equal(t, test.watched, second.Spec.ParamKind != nil)
			assert.Equal(t, test.match, first.Spec.MatchConstraints, "it still matches what it matches")
			assert.Equal(t, test.match, second.Spec.MatchConstraints)
		})
	}
}

func TestAMissingRightIsSaidOnce(t *testing.T) {
	limits := schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "limits"}
	forbidden := apierrors.NewForbidden(limits.GroupResource(), "", errors.New("no"))
	missing := apierrors.NewNotFound(limits.GroupResource(), "")
	for name, test := range map[string]struct {
		errs  []error
		lines int
	}{
		"a missing right":              {[]error{forbidden, forbidden, forbidden}, 1},
		"a kind that is not installed": {[]error{missing, missing}, 1},
		"one after the other":          {[]error{forbidden, missing, missing, forbidden}, 3},
		"another identity":             {[]error{apierrors.NewUnauthorized("no"), apierrors.NewUnauthorized("no")}, 1},
		"a kind without list":          {[]error{apierrors.NewMethodNotSupported(limits.GroupResource(), "list"), apierrors.NewMethodNotSupported(limits.GroupResource(), "list")}, 1},
		"a watch that is too old":      {[]error{apierrors.NewResourceExpired("gone"), apierrors.NewResourceExpired("gone")}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			ctx := klog.NewContext(t.Context(), textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(&log))))
			said := &saidOnce{}
			for _, err := range test.errs {
				// Validating and mutating policies have an informer each.
				for range 2 {
					said.handler(limits)(ctx, &cache.Reflector{}, err)
				}
			}
			assert.Equal(t, test.lines, strings.Count(log.String(), "\n"), log.String())
		})
	}
}
