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
	"k8s.io/apimachinery/pkg/util/sets"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
)

const stopPath = "/apis/tensorstack.dev/v1beta1/namespaces/ns/virtualservers/vs/stop"

func TestOperationsTakePutAndNoBody(t *testing.T) {
	for _, test := range []struct {
		name, method, path, body string
		unknownLength            bool
		wantMethod, wantBody     string
	}{
		{name: "POST without a body", method: "POST", path: stopPath, wantMethod: "POST", wantBody: "{}"},
		{name: "PUT without a body", method: "PUT", path: stopPath, wantMethod: "POST", wantBody: "{}"},
		{name: "PUT with a body", method: "PUT", path: stopPath, body: `{"force":true}`, wantMethod: "POST", wantBody: `{"force":true}`},
		{name: "POST of unknown length without a body", method: "POST", path: stopPath, unknownLength: true, wantMethod: "POST", wantBody: "{}"},
		{name: "POST of unknown length with a body", method: "POST", path: stopPath, body: `{"force":true}`, unknownLength: true, wantMethod: "POST", wantBody: `{"force":true}`},
		{name: "GET", method: "GET", path: stopPath, wantMethod: "GET"},
		{name: "DELETE", method: "DELETE", path: stopPath, wantMethod: "DELETE"},
		{name: "PATCH", method: "PATCH", path: stopPath, body: "x", wantMethod: "PATCH", wantBody: "x"},
		{name: "PUT of the object", method: "PUT", path: strings.TrimSuffix(stopPath, "/stop"), wantMethod: "PUT"},
		{name: "PUT of the status", method: "PUT", path: strings.TrimSuffix(stopPath, "stop") + "status", wantMethod: "PUT"},
		{name: "PUT below the operation", method: "PUT", path: stopPath + "/x", wantMethod: "PUT"},
		{name: "PUT with a slash at the end", method: "PUT", path: stopPath + "/", wantMethod: "PUT"},
		{name: "PUT without a name", method: "PUT", path: "/apis/tensorstack.dev/v1beta1/namespaces/ns/virtualservers//stop", wantMethod: "PUT"},
		{name: "PUT of another group", method: "PUT", path: strings.Replace(stopPath, "tensorstack.dev", "kubevirt.io", 1), wantMethod: "PUT"},
		{name: "PUT below the KubeVirt prefix", method: "PUT", path: "/apis/tensorstack.dev/v1beta1/kubevirt" + stopPath, wantMethod: "PUT"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got *http.Request
			var body string
			handler := withOperations(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got = r
				content, err := io.ReadAll(iotest.OneByteReader(r.Body))
				assert.NoError(t, err)
				body = string(content)
			}))
			request := httptest.NewRequest(test.method, test.path, strings.NewReader(test.body))
			if test.unknownLength {
				request.ContentLength = -1
			}
			handler.ServeHTTP(httptest.NewRecorder(), request)
			require.NotNil(t, got)
			assert.Equal(t, test.wantMethod, got.Method)
			assert.Equal(t, test.wantBody, body)
			assert.Equal(t, test.method, request.Method, "the caller's request is not changed")
		})
	}
}

func TestEmptyBodyIsJSONWhateverCurlSays(t *testing.T) {
	var contentType string
	handler := withOperations(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { contentType = r.Header.Get("Content-Type") }))
	request := httptest.NewRequest("POST", stopPath, strings.NewReader(""))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	handler.ServeHTTP(httptest.NewRecorder(), request)
	assert.Equal(t, "application/json", contentType)
}

func TestBrokenBodyIsNotTakenForAnEmptyOne(t *testing.T) {
	broken := errors.New("broken")
	var err error
	handler := withOperations(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, err = io.ReadAll(r.Body) }))
	request := httptest.NewRequest("POST", stopPath, iotest.ErrReader(broken))
	request.ContentLength = -1
	handler.ServeHTTP(httptest.NewRecorder(), request)
	assert.ErrorIs(t, err, broken)
}

func TestLongRunning(t *testing.T) {
	resolver := &apirequest.RequestInfoFactory{APIPrefixes: sets.NewString("apis"), GrouplessAPIPrefixes: sets.NewString()}
	const server = "/apis/tensorstack.dev/v1beta1/namespaces/ns/virtualservers/vs"
	for path, want := range map[string]bool{
		server:                     false,
		server + "/status":         false,
		server + "/stop":           false,
		server + "/console":        true,
		server + "/vnc":            true,
		server + "/vnc/screenshot": false,
		server + "/portforward/22": true,
		server + "/usbredir":       true,
		server + "/guestosinfo":    false,
		"/apis/tensorstack.dev/v1beta1/virtualservers?watch=true": true,
		"/readyz": false,
	} {
		request := httptest.NewRequest("GET", path, nil)
		info, err := resolver.NewRequestInfo(request)
		require.NoError(t, err)
		assert.Equal(t, want, longRunning()(request, info), path)
	}
}
