package stream

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	clientrest "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
)

// operate sends one request for an operation through a gateway to a KubeVirt.
func operate(t *testing.T, kubevirt http.HandlerFunc, who string, call OperationCall, req *http.Request) *http.Response {
	t.Helper()
	return operateAs(t, policy{"alice update pause": true, "alice create pause": true, "alice get guestosinfo": true,
		"alice get vnc/screenshot": true, "alice update addvolume": true, "half get vnc": true}, kubevirt, who, call, req)
}

// operateAs is operate with other rights.
func operateAs(t *testing.T, rights policy, kubevirt http.HandlerFunc, who string, call OperationCall, req *http.Request) *http.Response {
	t.Helper()
	back := httptest.NewTLSServer(kubevirt)
	defer back.Close()
	store := newMemoryStore()
	store.put(runningServer())
	unborn := runningServer()
	unborn.Name, unborn.Status.VM.Name = "unborn", ""
	store.put(unborn)
	gateway, err := New(Config{
		Store: store, Recorder: record.NewFakeRecorder(1), Metrics: NewMetrics(),
		Authorizer:   rights,
		ClientConfig: &clientrest.Config{Host: back.URL, BearerToken: testToken, TLSClientConfig: clientrest.TLSClientConfig{CAData: certificateOf(back)}},
	})
	require.NoError(t, err)
	if call.Namespace == "" {
		call.Namespace = "ns"
	}
	if call.Name == "" {
		call.Name = "vs"
	}
	recorder := httptest.NewRecorder()
	ctx := request.WithUser(req.Context(), &user.DefaultInfo{Name: who})
	gateway.Operate(call, statusResponder{recorder}).ServeHTTP(recorder, req.WithContext(ctx))
	return recorder.Result()
}

func named(t *testing.T, name string) OperationCall {
	operation, ok := OperationNamed(name)
	require.True(t, ok)
	return OperationCall{Operation: operation}
}

func TestOperationIsPassedOn(t *testing.T) {
	const vmi = "/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachineinstances/managed-virtualserver-9dda9"
	for _, test := range []struct {
		name, operation, method, body string
		query                         url.Values
		wantMethod, wantURL           string
	}{
		{name: "put", operation: Pause, method: "PUT", body: `{"dryRun":["All"]}`, wantMethod: "PUT", wantURL: vmi + "/pause"},
		{name: "post", operation: Pause, method: "POST", wantMethod: "PUT", wantURL: vmi + "/pause"},
		{name: "read", operation: GuestOSInfo, method: "GET", wantMethod: "GET", wantURL: vmi + "/guestosinfo"},
		{name: "screenshot", operation: Screenshot, method: "GET", query: url.Values{"moveCursor": {"true"}}, wantMethod: "GET", wantURL: vmi + "/vnc/screenshot?moveCursor=true"},
		{name: "machine", operation: AddVolume, method: "PUT", body: `{"name":"x"}`, wantMethod: "PUT", wantURL: strings.Replace(vmi, "virtualmachineinstances", "virtualmachines", 1) + "/addvolume"},
	} {
		t.Run(test.name, func(t *testing.T) {
			call := named(t, test.operation)
			call.Query = test.query
			req := httptest.NewRequest(test.method, "/?x=y", strings.NewReader(test.body))
			req.Header.Set("Authorization", "Bearer stolen")
			req.Header.Set("Impersonate-User", "system:admin")
			req.Header.Set("X-Remote-Group", "system:masters")
			req.Header.Set("Cookie", "a=b")
			response := operate(t, func(w http.ResponseWriter, got *http.Request) {
				assert.Equal(t, test.wantMethod, got.Method)
				assert.Equal(t, test.wantURL, got.URL.String())
				assert.Equal(t, []string{"Bearer " + testToken}, got.Header.Values("Authorization"))
				for _, name := range []string{"Impersonate-User", "X-Remote-Group", "Cookie"} {
					assert.NotContains(t, got.Header, name)
				}
				body, _ := io.ReadAll(got.Body)
				assert.Equal(t, test.body, string(body))
				w.Header().Set("Content-Type", "image/png")
				w.Header().Set("Set-Cookie", "session=1")
				w.WriteHeader(http.StatusAccepted)
				_, _ = io.WriteString(w, "answer")
			}, "alice", call, req)
			assert.Equal(t, http.StatusAccepted, response.StatusCode)
			assert.Equal(t, "image/png", response.Header.Get("Content-Type"))
			assert.Empty(t, response.Header.Get("Set-Cookie"), "no other header comes back")
			body, _ := io.ReadAll(response.Body)
			assert.Equal(t, "answer", string(body))
		})
	}
}

func TestAddVolumeToTheInstance(t *testing.T) {
	req := httptest.NewRequest("PUT", "/", strings.NewReader(`{}`))
	req = req.WithContext(WithResource(req.Context(), VirtualMachineInstances))
	operate(t, func(_ http.ResponseWriter, got *http.Request) {
		assert.Contains(t, got.URL.Path, "/virtualmachineinstances/")
	}, "alice", named(t, AddVolume), req)
	req = httptest.NewRequest("PUT", "/", nil)
	req = req.WithContext(WithResource(req.Context(), VirtualMachines))
	operate(t, func(_ http.ResponseWriter, got *http.Request) {
		assert.Contains(t, got.URL.Path, "/virtualmachineinstances/", "pause exists on the instance only")
	}, "alice", named(t, Pause), req)
}

func TestOperationIsRefused(t *testing.T) {
	put := func(body string) *http.Request { return httptest.NewRequest("PUT", "/", strings.NewReader(body)) }
	yaml := put("dryRun: [All]")
	yaml.Header.Set("Content-Type", "application/yaml")
	for _, test := range []struct {
		name, who, operation string
		on                   string
		req                  *http.Request
		code                 int
		text                 string
	}{
		{name: "no right", who: "bob", operation: Pause, req: put(""), code: 403, text: "cannot update"},
		{name: "right to something else", who: "alice", operation: Reset, req: put(""), code: 403, text: "virtualservers/reset"},
		{name: "the right to vnc is none to its screenshot", who: "half", operation: Screenshot, req: httptest.NewRequest("GET", "/", nil), code: 403, text: "vnc/screenshot"},
		{name: "no such VirtualServer", who: "alice", operation: Pause, on: "other", req: put(""), code: 404, text: "other"},
		{name: "no machine yet", who: "alice", operation: Pause, on: "unborn", req: put(""), code: 409, text: "does not exist yet"},
		{name: "a dry run in the query", who: "alice", operation: Pause, req: httptest.NewRequest("PUT", "/?dryRun=All", nil), code: 400, text: "in the body"},
		{name: "not JSON", who: "alice", operation: Pause, req: put("dryRun: [All]"), code: 400, text: "not valid JSON"},
		{name: "two documents", who: "alice", operation: Pause, req: put("{}\n---\n{}"), code: 400, text: "not valid JSON"},
		{name: "YAML", who: "alice", operation: Pause, req: yaml, code: 400, text: "application/json"},
		{name: "too large", who: "alice", operation: Pause, req: put(strings.Repeat(" ", maxRequestBody+1)), code: 413, text: "must not exceed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			call := named(t, test.operation)
			call.Name = test.on
			response := operate(t, func(http.ResponseWriter, *http.Request) { t.Error("KubeVirt was asked") }, test.who, call, test.req)
			assert.Equal(t, test.code, response.StatusCode)
			body, _ := io.ReadAll(response.Body)
			assert.Contains(t, string(body), test.text)
		})
	}
}

func TestRefusalOfKubeVirtPasses(t *testing.T) {
	response := operate(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(409)
		_, _ = io.WriteString(w, `{"kind":"Status","message":"Operation cannot be fulfilled on virtualmachineinstance.kubevirt.io \"managed-virtualserver-9dda9\": VM is not running"}`)
	}, "alice", named(t, Pause), httptest.NewRequest("PUT", "/", nil))
	body, _ := io.ReadAll(response.Body)
	assert.Equal(t, 409, response.StatusCode)
	assert.Contains(t, string(body), "'vs': the machine is not running")
}

func TestRedirectOfKubeVirtDoesNotPass(t *testing.T) {
	response := operate(t, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, "https://elsewhere.example/", http.StatusTemporaryRedirect)
	}, "alice", named(t, Pause), httptest.NewRequest("PUT", "/", nil))
	assert.Equal(t, 500, response.StatusCode)
	assert.Empty(t, response.Header.Get("Location"))
}

func TestResolveByEitherName(t *testing.T) {
	store := newMemoryStore()
	store.put(runningServer())
	impostor := runningServer()
	impostor.Name, impostor.Status.VM.Name = "managed-virtualserver-0aaaa", "managed-virtualserver-0bbbb"
	store.put(impostor)
	finder := machines{store: store}
	for name, want := range map[string]string{
		"vs": "vs", "managed-virtualserver-9dda9": "vs",
		"managed-virtualserver-0aaaa": "managed-virtualserver-0aaaa", "managed-virtualserver-0bbbb": "managed-virtualserver-0aaaa",
	} {
		found, err := finder.resolve(context.Background(), "ns", name)
		require.NoError(t, err)
		assert.Equal(t, want, found.Name)
	}
	for _, name := range []string{"other", "managed-virtualserver-fffff"} {
		_, err := finder.resolve(context.Background(), "ns", name)
		assert.Equal(t, 404, statusCode(err))
	}
	_, err := finder.resolve(context.Background(), "other", "managed-virtualserver-9dda9")
	assert.Equal(t, 404, statusCode(err), "a name counts in its own namespace only")
}

func TestReading(t *testing.T) {
	back := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/apis/kubevirt.io/v1/namespaces/ns/virtualmachines/managed-virtualserver-9dda9":
			_, _ = io.WriteString(w, `{"kind":"VirtualMachine"}`)
		case "/api/v1/namespaces/ns/persistentvolumeclaims/disk", "/apis/cdi.kubevirt.io/v1beta1/namespaces/ns/datavolumes/disk":
			_, _ = io.WriteString(w, `{}`)
		case "/apis/subresources.kubevirt.io/v1/version":
			_, _ = io.WriteString(w, `{"gitVersion":"v1.7.0"}`)
		case "/api/v1/namespaces/ns/persistentvolumeclaims/forbidden":
			http.Error(w, "no", http.StatusForbidden)
		default:
			http.NotFound(w, req)
		}
	}))
	defer back.Close()
	gateway, err := New(Config{
		Store: newMemoryStore(), Recorder: record.NewFakeRecorder(1), Metrics: NewMetrics(), Authorizer: policy{},
		ClientConfig: &clientrest.Config{Host: back.URL, TLSClientConfig: clientrest.TLSClientConfig{CAData: certificateOf(back)}},
	})
	require.NoError(t, err)
	ctx := context.Background()

	machine, err := gateway.ReadMachine(ctx, runningServer(), VirtualMachines)
	require.NoError(t, err)
	assert.Equal(t, "VirtualMachine", machine["kind"])
	_, err = gateway.ReadMachine(ctx, runningServer(), VirtualMachineInstances)
	assert.Equal(t, 404, statusCode(err))
	version, err := gateway.ReadVersion(ctx)
	require.NoError(t, err)
	assert.Equal(t, "v1.7.0", version["gitVersion"])

	claims := schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumeclaims"}
	volumes := schema.GroupVersionResource{Group: "cdi.kubevirt.io", Version: "v1beta1", Resource: "datavolumes"}
	for _, test := range []struct {
		resource schema.GroupVersionResource
		name     string
		exists   bool
		code     int
	}{{claims, "disk", true, 0}, {volumes, "disk", true, 0}, {claims, "other", false, 0}, {claims, "forbidden", false, 503}, {claims, "../secrets/x", false, 400}} {
		exists, err := gateway.VolumeExists(ctx, test.resource, "ns", test.name)
		assert.Equal(t, test.exists, exists, test.name)
		if test.code != 0 {
			assert.Equal(t, test.code, statusCode(err), test.name)
		} else {
			assert.NoError(t, err)
		}
	}
}

func TestNoUnverifiedConnection(t *testing.T) {
	_, err := NewBackend(&clientrest.Config{Host: "https://h", TLSClientConfig: clientrest.TLSClientConfig{Insecure: true}}, newBufferPool())
	assert.ErrorContains(t, err, "must verify")
}

// TestAskingForTheMachine is for a stream whose connection ended before the controller wrote why.
func TestAskingForTheMachine(t *testing.T) {
	for name, test := range map[string]struct {
		code    int
		answer  string
		verdict verdict
		want    string
	}{
		"it runs":          {http.StatusOK, `{"metadata":{"uid":"run-1"},"status":{"phase":"Running"}}`, runs, ""},
		"it is gone":       {http.StatusNotFound, `{}`, stopped, "the machine vs stopped"},
		"it ended":         {http.StatusOK, `{"metadata":{"uid":"run-1"},"status":{"phase":"Succeeded"}}`, stopped, "the machine vs stopped"},
		"it failed":        {http.StatusOK, `{"metadata":{"uid":"run-1"},"status":{"phase":"Failed"}}`, stopped, "the machine vs stopped"},
		"it shuts down":    {http.StatusOK, `{"metadata":{"uid":"run-1","deletionTimestamp":"2026-07-01T12:00:00Z"},"status":{"phase":"Running"}}`, stopped, "the machine vs stopped"},
		"another run":      {http.StatusOK, `{"metadata":{"uid":"run-2"},"status":{"phase":"Running"}}`, stopped, "the machine vs restarted"},
		"nobody can tell":  {http.StatusInternalServerError, `{}`, unknown, ""},
		"something absurd": {http.StatusOK, `[]`, unknown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(test.code)
				_, _ = w.Write([]byte(test.answer))
			}))
			said := b.gateway.askMachine(t.Context(), runningServer())
			assert.Equal(t, test.verdict, said.verdict)
			if said.verdict == stopped {
				assert.Contains(t, said.reason.Reason, test.want)
				assert.Equal(t, CloseMachineStopped, said.reason.Code)
			}
		})
	}
}
