package apiserver

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
)

// checkedRequest sends a body through withTypeCheck. inner is what came through, if anything did.
func checkedRequest(method, subresource, contentType string, body io.Reader) (answer *httptest.ResponseRecorder, inner string, err error) {
	request := httptest.NewRequest(method, "/", body)
	request.Header.Set("Content-Type", contentType)
	info := &apirequest.RequestInfo{IsResourceRequest: true, APIGroup: "tensorstack.dev", APIVersion: "v1beta1",
		Resource: "virtualservers", Subresource: subresource, Name: "vs"}
	answer = httptest.NewRecorder()
	withTypeCheck(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var read []byte
		read, err = io.ReadAll(r.Body)
		inner = string(read)
	})).ServeHTTP(answer, request.WithContext(apirequest.WithRequestInfo(request.Context(), info)))
	return answer, inner, err
}

func TestWhatCannotBeDecodedIsNamed(t *testing.T) {
	const jsonType, yamlType = "application/json; charset=utf-8", "application/apply-patch+yaml"
	for name, test := range map[string]struct{ method, subresource, contentType, body, want string }{
		"create":               {"POST", "", jsonType, `{"spec":{"resources":{"memory":"16GB"}}}`, `spec.resources.memory`},
		"create from YAML":     {"POST", "", "application/yaml", "spec: {resources: {cpu: {cores: many}}, network: {tcp: ssh}}", `spec.network.tcp`},
		"update":               {"PUT", "", jsonType, `{"spec":{"storage":{"root":{"pvc":{"size":"1 TB"}}}}}`, `spec.storage.root.pvc.size`},
		"server-side apply":    {"PATCH", "", yamlType, "spec: {resources: {memory: 2gigs}}", `\"2gigs\" is not a quantity: write 2Gi`},
		"a merge patch":        {"PATCH", "", "application/merge-patch+json", `{"spec":{"resources":{"memory":""}}}`, `spec.resources.memory`},
		"a JSON patch":         {"PATCH", "", "application/json-patch+json", `[{"op":"replace","path":"/spec/resources/memory","value":"8Gb"}]`, `spec.resources.memory`},
		"without content type": {"POST", "", "", `{"spec":{"resources":{"memory":"16GB"}}}`, `spec.resources.memory`},
		"a grace period":       {"POST", "stop", jsonType, `{"gracePeriodSeconds":"ten"}`, `gracePeriodSeconds`},
		"a flag":               {"POST", "start", jsonType, `{"paused":"yes"}`, `paused: Invalid value: must be true or false`},
		"force in quotes":      {"POST", "restart", jsonType, `{"force":"true"}`, `force`},
		"something good":       {"POST", "", jsonType, `{"spec":{"resources":{"memory":"16Gi"}}}`, ""},
		"not JSON":             {"POST", "", jsonType, `{`, ""},
		"not YAML":             {"PATCH", "", yamlType, "a: [", ""},
		"a bad JSON patch":     {"PATCH", "", "application/json-patch+json", `{}`, ""},
		"a removal":            {"PATCH", "", "application/json-patch+json", `[{"op":"remove","path":"/spec/cloudInit"},{"op":"add","path":"","value":1}]`, ""},
		"another body":         {"PUT", "addvolume", jsonType, `{"name":1}`, ""},
		"another type":         {"POST", "", "application/cbor", `{"spec":1}`, ""},
		"a read":               {"GET", "", jsonType, `{"spec":1}`, ""},
		"the longest body":     {"POST", "", jsonType, `{"spec":1}` + strings.Repeat(" ", maxCheckedBytes), ""},
	} {
		t.Run(name, func(t *testing.T) {
			answer, inner, err := checkedRequest(test.method, test.subresource, test.contentType, strings.NewReader(test.body))
			require.NoError(t, err)
			if test.want == "" {
				assert.Equal(t, test.body, inner, "it passes as it came")
				return
			}
			assert.Empty(t, inner)
			assert.Equal(t, http.StatusUnprocessableEntity, answer.Code)
			assert.Contains(t, answer.Body.String(), test.want)
			assert.Contains(t, answer.Body.String(), `"reason":"Invalid"`)
		})
	}
}

func TestABodyThatBreaksOff(t *testing.T) {
	broken := errors.New("broken")
	body := io.MultiReader(strings.NewReader(`{"spec":`), iotest.ErrReader(broken))
	_, inner, err := checkedRequest("POST", "", "application/json", body)
	assert.ErrorIs(t, err, broken)
	assert.Equal(t, `{"spec":`, inner)
}
