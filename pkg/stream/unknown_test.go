package stream

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	clientrest "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
)

// While kube-apiserver cannot be asked for rights, nobody gets any, and nobody is told that they have none.
func TestRightsThatCannotBeCheckedAreTriedAgain(t *testing.T) {
	gateway, err := New(Config{
		Store: newMemoryStore(), Recorder: record.NewFakeRecorder(1), Metrics: NewMetrics(), Authorizer: policy{},
		ClientConfig: &clientrest.Config{Host: "https://127.0.0.1:1"},
	})
	require.NoError(t, err)
	ctx := request.WithUser(t.Context(), &user.DefaultInfo{Name: doubt})
	for _, operation := range Operations() {
		for _, verb := range []string{"get", "update", "create"} {
			err := gateway.Authorize(ctx, verb, "ns", "vs", operation.Name)
			assert.True(t, apierrors.IsServiceUnavailable(err), "%s %s: %v", verb, operation.Name, err)
			assert.NotContains(t, err.Error(), "10.96.0.1")
			_, retry := apierrors.SuggestsClientDelay(err)
			assert.True(t, retry)
		}
		call := OperationCall{Operation: operation}
		method := "PUT"
		if operation.Reads {
			method = "GET"
		}
		response := operate(t, func(http.ResponseWriter, *http.Request) { t.Error("KubeVirt was asked") }, doubt, call,
			httptest.NewRequest(method, "/", nil))
		assert.Equal(t, http.StatusServiceUnavailable, response.StatusCode, operation.Name)
	}
	for _, kind := range Kinds() {
		err := gateway.authorizeStream(ctx, "ns", "vs", kind)
		assert.True(t, apierrors.IsServiceUnavailable(err), "%s: %v", kind, err)
	}
	assert.True(t, apierrors.IsForbidden(gateway.Authorize(request.WithUser(t.Context(), &user.DefaultInfo{Name: "bob"}), "get", "ns", "vs", "")))
}

// A dry run never acts, whatever KubeVirt would make of it.
func TestADryRunNeverActs(t *testing.T) {
	rights := policy{}
	for _, operation := range Operations() {
		rights["alice update "+operation.Name] = true
	}
	for _, operation := range Operations() {
		if operation.Reads {
			continue
		}
		for body, passes := range map[string]bool{
			"":                                 true,
			`{}`:                               true,
			`{"dryRun":null}`:                  true,
			`{"name":"x"}`:                     true,
			`{"dryRun":["All"]}`:               operation.DryRun,
			`{"name":"x","dryRun":["All"]}`:    operation.DryRun,
			`{"DryRun":["All"]}`:               operation.DryRun,
			`{"dryRun":[]}`:                    false,
			`{"dryRun":["Some"]}`:              false,
			`{"dryRun":["all"]}`:               false,
			`{"dryRun":["All","All"]}`:         false,
			`{"dryRun":["","All"]}`:            false,
			`{"dryRun":"All"}`:                 false,
			`{"dryRun":true}`:                  false,
			`{"dryRun":{"All":true}}`:          false,
			"{\"dryRun\":[\"All\"] , \"a\":1}": operation.DryRun,
		} {
			asked := false
			response := operateAs(t, rights, func(http.ResponseWriter, *http.Request) { asked = true }, "alice",
				OperationCall{Operation: operation}, httptest.NewRequest("PUT", "/", strings.NewReader(body)))
			assert.Equal(t, passes, asked, "%s %s", operation.Name, body)
			if passes {
				continue
			}
			text, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			assert.Equal(t, http.StatusBadRequest, response.StatusCode, "%s %s", operation.Name, body)
			assert.Contains(t, string(text), "dry", "%s %s", operation.Name, body)
		}
		for _, query := range []string{"/?dryRun=All", "/?dryRun=", "/?dryRun=x&dryRun=All"} {
			response := operateAs(t, rights, func(http.ResponseWriter, *http.Request) { t.Error("KubeVirt was asked") }, "alice",
				OperationCall{Operation: operation}, httptest.NewRequest("PUT", query, nil))
			assert.Equal(t, http.StatusBadRequest, response.StatusCode, "%s %s", operation.Name, query)
		}
	}
}
