package integration

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// admissionWebhook is a webhook as an administrator would run it: HTTPS with a certificate of its own.
type admissionWebhook struct {
	server *httptest.Server
	lock   sync.Mutex
	seen   []admissionv1.AdmissionRequest
}

// startWebhook starts a webhook that answers with decide.
func startWebhook(t *testing.T, decide func(*admissionv1.AdmissionRequest, *admissionv1.AdmissionResponse)) *admissionWebhook {
	t.Helper()
	webhook := &admissionWebhook{}
	webhook.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		review := &admissionv1.AdmissionReview{}
		if err := json.NewDecoder(r.Body).Decode(review); err != nil || review.Request == nil {
			http.Error(w, "not an AdmissionReview", http.StatusBadRequest)
			return
		}
		webhook.lock.Lock()
		webhook.seen = append(webhook.seen, *review.Request)
		webhook.lock.Unlock()
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		decide(review.Request, review.Response)
		w.Header().Set("Content-Type", "application/json")
		assert.NoError(t, json.NewEncoder(w).Encode(review))
	}))
	// A client that does not trust the certificate is what one test wants to see.
	webhook.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	webhook.server.StartTLS()
	t.Cleanup(webhook.server.Close)
	return webhook
}

// requests are those that the webhook was asked about.
func (w *admissionWebhook) requests() []admissionv1.AdmissionRequest {
	w.lock.Lock()
	defer w.lock.Unlock()
	return append([]admissionv1.AdmissionRequest(nil), w.seen...)
}

// client tells how the webhook is reached and whom to trust there.
func (w *admissionWebhook) client() admissionregistrationv1.WebhookClientConfig {
	return admissionregistrationv1.WebhookClientConfig{URL: ptr.To(w.server.URL),
		CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.server.Certificate().Raw})}
}

// patch answers with a JSON patch.
func patch(t *testing.T, response *admissionv1.AdmissionResponse, operations ...map[string]any) {
	encoded, err := json.Marshal(operations)
	assert.NoError(t, err)
	response.Patch, response.PatchType = encoded, ptr.To(admissionv1.PatchTypeJSONPatch)
}

// virtualServerRules match operations on VirtualServers, or on a subresource of them.
func virtualServerRules(resource string, operations ...admissionregistrationv1.OperationType) []admissionregistrationv1.RuleWithOperations {
	return []admissionregistrationv1.RuleWithOperations{{
		Operations: operations,
		Rule: admissionregistrationv1.Rule{
			APIGroups: []string{v1beta1.GroupName}, APIVersions: []string{"v1beta1"}, Resources: []string{resource},
		},
	}}
}

// onlyHere keeps webhooks and policies, which are objects of the cluster, out of the other tests.
func onlyHere(e *framework.Environment) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": e.Namespace}}
}

// mutate registers a mutating webhook for the creation of VirtualServers in the test's namespace.
func mutate(e *framework.Environment, client admissionregistrationv1.WebhookClientConfig) {
	e.T.Helper()
	configurations := e.Kube.AdmissionregistrationV1().MutatingWebhookConfigurations()
	_, err := configurations.Create(e.Context, &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: e.Namespace},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "mutate.test.tensorstack.dev", ClientConfig: client, NamespaceSelector: onlyHere(e),
			Rules:       virtualServerRules("virtualservers", admissionregistrationv1.Create),
			SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
			FailurePolicy: ptr.To(admissionregistrationv1.Fail), TimeoutSeconds: ptr.To[int32](30),
		}},
	}, metav1.CreateOptions{})
	require.NoError(e.T, err)
	cleanUp(e, e.Namespace, configurations.Delete)
}

// review registers a validating webhook for operations on VirtualServers in the test's namespace.
func review(e *framework.Environment, client admissionregistrationv1.WebhookClientConfig, failure admissionregistrationv1.FailurePolicyType,
	rules []admissionregistrationv1.RuleWithOperations) {
	e.T.Helper()
	configurations := e.Kube.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	_, err := configurations.Create(e.Context, &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: e.Namespace},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "review.test.tensorstack.dev", ClientConfig: client, NamespaceSelector: onlyHere(e), Rules: rules,
			SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
			FailurePolicy: &failure, TimeoutSeconds: ptr.To[int32](30),
			// Without this the webhook could keep the controller from taking its finalizer off.
			MatchConditions: []admissionregistrationv1.MatchCondition{{
				Name: "people", Expression: `request.userInfo.username != "system:apiserver"`,
			}},
		}},
	}, metav1.CreateOptions{})
	require.NoError(e.T, err)
	cleanUp(e, e.Namespace, configurations.Delete)
}
