package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/generated/clientset/versioned"
	"tensorstack.dev/virtualserver/test/framework"
)

func TestMutatingWebhookChangesAVirtualServer(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	webhook := startWebhook(t, func(_ *admissionv1.AdmissionRequest, response *admissionv1.AdmissionResponse) {
		patch(t, response,
			map[string]any{"op": "add", "path": "/metadata/labels", "value": map[string]string{"cost-center": "42"}},
			map[string]any{"op": "add", "path": "/spec/resources/cpu/model", "value": "Conroe"})
	})
	mutate(e, webhook.client())
	e.Eventually("the webhook is asked", func() error {
		vs, err := dryRun(e, halted("machine"))
		if err == nil && vs.Spec.Resources.CPU.Model == "" {
			return errMissing("the webhook's change")
		}
		return err
	})
	e.Create(halted("machine"))
	vs := e.Get("machine")
	assert.Equal(t, "42", vs.Labels["cost-center"])
	assert.Equal(t, "Conroe", vs.Spec.Resources.CPU.Model)

	asked := webhook.requests()
	last := asked[len(asked)-1]
	assert.Equal(t, "admin", last.UserInfo.Username, "the webhook learns who the user is, not that the product asks")
	assert.Equal(t, metav1.GroupVersionResource{Group: "tensorstack.dev", Version: "v1beta1", Resource: "virtualservers"}, last.Resource)
	sent := &v1beta1.VirtualServer{}
	require.NoError(t, json.Unmarshal(last.Object.Raw, sent))
	assert.Equal(t, v1beta1.SchemeGroupVersion.String(), sent.APIVersion)
	assert.False(t, *last.DryRun)
	assert.True(t, *asked[0].DryRun)
}

// A webhook acts with the rights of whoever writes the object: what it adds is checked as if they had written it.
func TestMutatingWebhookCannotGoPastTheCheckOfReferences(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	webhook := startWebhook(t, func(_ *admissionv1.AdmissionRequest, response *admissionv1.AdmissionResponse) {
		patch(t, response, map[string]any{"op": "add", "path": "/spec/cloudInitSecretRef", "value": map[string]string{"name": "passwords"}})
	})
	mutate(e, webhook.client())
	author := e.UserWith("author", rbacv1.PolicyRule{
		APIGroups: []string{"tensorstack.dev"}, Resources: []string{"virtualservers"}, Verbs: []string{"create"}})
	client, err := versioned.NewForConfig(author.Config)
	require.NoError(t, err)
	e.Eventually("the webhook is asked", func() error {
		_, err := client.TensorstackV1beta1().VirtualServers(e.Namespace).
			Create(e.Context, halted("machine"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if apierrors.IsForbidden(err) {
			assert.ErrorContains(t, err, "spec.cloudInitSecretRef")
			return nil
		}
		return fmt.Errorf("not refused: %w", err)
	})
	_, err = dryRun(e, halted("machine"))
	assert.NoError(t, err, "an administrator may read the Secret")
}

func TestValidatingWebhookRefusesAndWarns(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	webhook := startWebhook(t, func(request *admissionv1.AdmissionRequest, response *admissionv1.AdmissionResponse) {
		vs := &v1beta1.VirtualServer{}
		if err := json.Unmarshal(request.Object.Raw, vs); err != nil || vs.Labels["forbidden"] != "" {
			response.Allowed = false
			response.Result = &metav1.Status{Code: http.StatusForbidden, Message: "machines of this kind are not welcome"}
		}
		if vs.Labels["doubtful"] != "" {
			response.Warnings = []string{"machines of this kind are watched"}
		}
	})
	review(e, webhook.client(), admissionregistrationv1.Fail,
		virtualServerRules("virtualservers", admissionregistrationv1.Create, admissionregistrationv1.Update, admissionregistrationv1.Delete))
	refusal := untilRefused(e, halted("machine", labelled("forbidden", "yes")))
	assert.True(t, apierrors.IsForbidden(refusal), "%v", refusal)
	assert.ErrorContains(t, refusal, `admission webhook "review.test.tensorstack.dev" denied the request: machines of this kind are not welcome`)

	e.Create(halted("machine"))
	_, err := e.Client().Patch(e.Context, "machine", types.MergePatchType, []byte(`{"metadata":{"labels":{"forbidden":"yes"}}}`), metav1.PatchOptions{})
	assert.True(t, apierrors.IsForbidden(err), "an update is asked about too: %v", err)
	result := e.Kubectl("label", "virtualserver", "machine", "doubtful=yes")
	require.NoError(t, result.Err, result.Stderr)
	assert.Contains(t, result.Stderr, "Warning: machines of this kind are watched")

	// A deletion has no new object, which this webhook does not like.
	err = e.Client().Delete(e.Context, "machine", metav1.DeleteOptions{})
	assert.True(t, apierrors.IsForbidden(err), "a deletion is asked about too: %v", err)
	for _, request := range webhook.requests() {
		assert.NotEqual(t, "system:apiserver", request.UserInfo.Username, "the match condition keeps the controller's own writes out")
	}
}

// What happens when the webhook cannot be asked is the administrator's choice, and a wrong certificate counts as that.
func TestWebhookThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	for policy, accepted := range map[admissionregistrationv1.FailurePolicyType]bool{
		admissionregistrationv1.Fail: false, admissionregistrationv1.Ignore: true,
	} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			e := framework.New(t)
			webhook := startWebhook(t, func(_ *admissionv1.AdmissionRequest, response *admissionv1.AdmissionResponse) {
				response.Allowed = false
			})
			review(e, webhook.client(), policy, virtualServerRules("virtualservers", admissionregistrationv1.Create))
			untilRefused(e, halted("machine"))
			asked := len(webhook.requests())

			configurations := e.Kube.AdmissionregistrationV1().ValidatingWebhookConfigurations()
			registered, err := configurations.Get(e.Context, e.Namespace, metav1.GetOptions{})
			require.NoError(t, err)
			registered.Webhooks[0].ClientConfig.CABundle = e.Plane.ProductCA()
			_, err = configurations.Update(e.Context, registered, metav1.UpdateOptions{})
			require.NoError(t, err)
			e.Eventually("the server no longer trusts the webhook", func() error {
				before := len(webhook.requests())
				_, err = dryRun(e, halted("machine"))
				if len(webhook.requests()) > before {
					return fmt.Errorf("the webhook is still asked")
				}
				return nil
			})
			if accepted {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, "certificate signed by unknown authority")
			}
			assert.NotZero(t, asked)
		})
	}
}
