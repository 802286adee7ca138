package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// matching selects operations on VirtualServers, or on a subresource of them, for a policy.
func matching(resource string, operations ...admissionregistrationv1.OperationType) *admissionregistrationv1.MatchResources {
	match := &admissionregistrationv1.MatchResources{}
	for _, rule := range virtualServerRules(resource, operations...) {
		match.ResourceRules = append(match.ResourceRules, admissionregistrationv1.NamedRuleWithOperations{RuleWithOperations: rule})
	}
	return match
}

// validatePolicy puts a ValidatingAdmissionPolicy into force in the test's namespace alone.
func validatePolicy(e *framework.Environment, name string, match *admissionregistrationv1.MatchResources,
	action admissionregistrationv1.ValidationAction, rule admissionregistrationv1.Validation) {
	e.T.Helper()
	name = e.Namespace + "-" + name
	policies := e.Kube.AdmissionregistrationV1().ValidatingAdmissionPolicies()
	_, err := policies.Create(e.Context, &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: match, Validations: []admissionregistrationv1.Validation{rule},
			FailurePolicy: ptr.To(admissionregistrationv1.Fail),
		},
	}, metav1.CreateOptions{})
	require.NoError(e.T, err)
	cleanUp(e, name, policies.Delete)
	bindings := e.Kube.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	_, err = bindings.Create(e.Context, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: []admissionregistrationv1.ValidationAction{action},
			MatchResources: &admissionregistrationv1.MatchResources{NamespaceSelector: onlyHere(e)},
		},
	}, metav1.CreateOptions{})
	require.NoError(e.T, err)
	cleanUp(e, name, bindings.Delete)
}

func TestValidatingAdmissionPolicy(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	validatePolicy(e, "team", matching("virtualservers", admissionregistrationv1.Create, admissionregistrationv1.Update), admissionregistrationv1.Deny,
		admissionregistrationv1.Validation{
			Expression:        "has(object.metadata.labels) && 'team' in object.metadata.labels",
			MessageExpression: "'label ' + object.metadata.name + ' with a team of ' + namespaceObject.metadata.name",
		})
	validatePolicy(e, "memory", matching("virtualservers", admissionregistrationv1.Create), admissionregistrationv1.Warn,
		admissionregistrationv1.Validation{
			Expression: "quantity(object.spec.resources.memory).isLessThan(quantity('32Gi'))", Message: "this is a lot of memory",
		})
	refusal := untilRefused(e, halted("machine"))
	assert.True(t, apierrors.IsInvalid(refusal), "%v", refusal)
	assert.ErrorContains(t, refusal, "label machine with a team of "+e.Namespace)

	e.Create(halted("machine", labelled("team", "blue")))
	_, err := e.Client().Patch(e.Context, "machine", types.MergePatchType, []byte(`{"metadata":{"labels":null}}`), metav1.PatchOptions{})
	assert.ErrorContains(t, err, "label machine with a team", "an update is checked too")
	e.Eventually("the other policy warns", func() error {
		result := e.KubectlInput(`{"apiVersion":"tensorstack.dev/v1beta1","kind":"VirtualServer",`+
			`"metadata":{"name":"large","labels":{"team":"blue"}},"spec":{"runStrategy":"Halted","resources":{"cpu":{"cores":1},"memory":"64Gi"},`+
			`"storage":{"root":{"pvc":{"size":"1Gi"},"source":{"blank":{}}}}}}`, "apply", "--dry-run=server", "-f", "-")
		if result.Err != nil {
			return fmt.Errorf("refused: %s", result.Stderr)
		}
		if want := "this is a lot of memory"; !strings.Contains(result.Stderr, want) {
			return errMissing(want)
		}
		return nil
	})
}

// Operations are requests like any other, by POST and by PUT.
func TestPolicyCanForbidAnOperation(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine"))
	validatePolicy(e, "keep", matching("virtualservers/stop", admissionregistrationv1.Create), admissionregistrationv1.Deny,
		admissionregistrationv1.Validation{Expression: "request.name != 'machine'", Message: "this machine must run", Reason: ptr.To(metav1.StatusReasonForbidden)})
	e.WaitSettled("machine", v1beta1.StatusRunning)
	e.Eventually("the policy is in force", func() error {
		if code, err := e.Operate("machine", "stop", `{"dryRun":["All"]}`); code != http.StatusForbidden {
			return fmt.Errorf("answer %d %w", code, err)
		}
		return nil
	})
	for _, verb := range []string{http.MethodPost, http.MethodPut} {
		err := e.VirtualServers.TensorstackV1beta1().RESTClient().Verb(verb).AbsPath(framework.Path(e.Namespace), "machine", "stop").Do(e.Context).Error()
		assert.True(t, apierrors.IsForbidden(err), "%s: %v", verb, err)
		assert.ErrorContains(t, err, "this machine must run")
	}
	vs := e.Get("machine")
	assert.Equal(t, v1beta1.RunStrategyAlways, vs.Status.RunStrategy)
	assert.Nil(t, vs.Status.PendingOperation)
	assert.Empty(t, vs.Status.Operations)
	_, err := e.Operate("machine", "restart", `{"dryRun":["All"]}`)
	assert.NoError(t, err, "other operations are free")
}

// A mutating policy needs the schema that the cluster publishes of VirtualServers, to merge as server-side apply does.
func TestMutatingAdmissionPolicy(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	policies := e.Kube.AdmissionregistrationV1().MutatingAdmissionPolicies()
	_, err := policies.Create(e.Context, &admissionregistrationv1.MutatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: e.Namespace},
		Spec: admissionregistrationv1.MutatingAdmissionPolicySpec{
			MatchConstraints: matching("virtualservers", admissionregistrationv1.Create), FailurePolicy: ptr.To(admissionregistrationv1.Fail),
			ReinvocationPolicy: admissionregistrationv1.NeverReinvocationPolicy,
			Mutations: []admissionregistrationv1.Mutation{
				{PatchType: admissionregistrationv1.PatchTypeApplyConfiguration, ApplyConfiguration: &admissionregistrationv1.ApplyConfiguration{
					Expression: `Object{spec: Object.spec{storage: Object.spec.storage{additionalDisks: [` +
						`Object.spec.storage.additionalDisks{name: "scratch", emptyDisk: Object.spec.storage.additionalDisks.emptyDisk{capacity: "1Gi"}}]}}}`}},
				{PatchType: admissionregistrationv1.PatchTypeJSONPatch, JSONPatch: &admissionregistrationv1.JSONPatch{
					Expression: `[JSONPatch{op: "add", path: "/metadata/annotations", value: {"example.com/by": "policy"}}]`}},
			},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	cleanUp(e, e.Namespace, policies.Delete)
	bindings := e.Kube.AdmissionregistrationV1().MutatingAdmissionPolicyBindings()
	_, err = bindings.Create(e.Context, &admissionregistrationv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: e.Namespace},
		Spec: admissionregistrationv1.MutatingAdmissionPolicyBindingSpec{
			PolicyName: e.Namespace, MatchResources: &admissionregistrationv1.MatchResources{NamespaceSelector: onlyHere(e)},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	cleanUp(e, e.Namespace, bindings.Delete)

	own := func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.AdditionalDisks = []v1beta1.AdditionalDisk{{Name: "own", EmptyDisk: &v1beta1.EmptyDiskSource{Capacity: vs.Spec.Storage.Root.PVC.Size}}}
	}
	e.Eventually("the policy is in force", func() error {
		vs, err := dryRun(e, halted("machine", own))
		if err == nil && len(vs.Annotations) == 0 {
			return errMissing("the annotation of the policy")
		}
		return err
	})
	vs := e.Create(halted("machine", own))
	assert.Equal(t, "policy", vs.Annotations["example.com/by"])
	require.Len(t, vs.Spec.Storage.AdditionalDisks, 2, "the policy's disk is added to the user's")
	assert.Equal(t, "own", vs.Spec.Storage.AdditionalDisks[0].Name)
	assert.Equal(t, "scratch", vs.Spec.Storage.AdditionalDisks[1].Name)
	assert.Equal(t, "1Gi", vs.Spec.Storage.AdditionalDisks[1].EmptyDisk.Capacity.String())
	assert.Equal(t, v1beta1.RunStrategyHalted, vs.Spec.RunStrategy)
}
