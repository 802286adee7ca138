package kubevirtprefix

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/stream"
)

const vmName = "managed-virtualserver-9dda9"

// fakeGateway has one VirtualServer, ns/my-vs, one volume, ns/disk, and a list of rights: "user verb name subresource".
type fakeGateway struct {
	rights map[string]bool
	asked  []string
}

func (g *fakeGateway) Authorize(ctx context.Context, verb, namespace, name, subresource string) error {
	who, _ := request.UserFrom(ctx)
	right := strings.Join([]string{who.GetName(), verb, namespace + "/" + name, subresource}, " ")
	g.asked = append(g.asked, right)
	if g.rights[right] {
		return nil
	}
	return apierrors.NewForbidden(tensorstack.Resource("virtualservers"), name, nil)
}

func (g *fakeGateway) Resolve(_ context.Context, namespace, name string) (*tensorstack.VirtualServer, error) {
	if namespace == "ns" && (name == "my-vs" || name == vmName) {
		server := &tensorstack.VirtualServer{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "my-vs"}}
		server.Status.VM.Name = vmName
		return server, nil
	}
	return nil, apierrors.NewNotFound(tensorstack.Resource("virtualservers"), name)
}

func (g *fakeGateway) ReadMachine(_ context.Context, _ *tensorstack.VirtualServer, resource stream.Resource) (map[string]any, error) {
	if resource == stream.VirtualMachineInstances {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: string(resource)}, "my-vs")
	}
	return map[string]any{"kind": "VirtualMachine", "metadata": map[string]any{"name": vmName, "managedFields": []any{1}}}, nil
}

func (g *fakeGateway) ReadVersion(context.Context) (map[string]any, error) {
	return map[string]any{"gitVersion": "v1.7.0"}, nil
}

func (g *fakeGateway) VolumeExists(_ context.Context, resource schema.GroupVersionResource, namespace, name string) (bool, error) {
	return resource.Resource == "datavolumes" && namespace+"/"+name == "ns/disk", nil
}

func rights(list ...string) map[string]bool {
	set := map[string]bool{}
	for _, right := range list {
		set[right] = true
	}
	return set
}

// do sends one request as alice; api plays the API server's own handler.
func do(t *testing.T, gateway *fakeGateway, api http.HandlerFunc, method, path, body string) *http.Response {
	t.Helper()
	served := InFrontOf(api, gateway)
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	ctx := request.WithUser(req.Context(), &user.DefaultInfo{Name: "alice"})
	recorder := httptest.NewRecorder()
	served.ServeHTTP(recorder, req.WithContext(ctx))
	return recorder.Result()
}

func statusOf(t *testing.T, response *http.Response) metav1.Status {
	t.Helper()
	require.Equal(t, "application/json", response.Header.Get("Content-Type"))
	status := metav1.Status{}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&status))
	require.Equal(t, "Status", status.Kind)
	return status
}

// forbiddenAPI fails the test if a request reaches the API.
func forbiddenAPI(t *testing.T) http.HandlerFunc {
	return func(_ http.ResponseWriter, req *http.Request) { t.Errorf("%s reached the API", req.URL) }
}

func TestTranslation(t *testing.T) {
	for _, test := range []struct {
		name, method, path, body string
		rights                   []string
		wantMethod, wantURL      string
		wantVerb                 string
		wantBody                 string
	}{
		{name: "console", method: "GET", path: vmis + "/console?wait=5&x=y", rights: []string{"alice get ns/my-vs console"},
			wantMethod: "GET", wantVerb: "get", wantURL: "/virtualservers/my-vs/console?wait=5"},
		{name: "by the name of the machine", method: "GET", path: strings.ReplaceAll(vmis, "my-vs", vmName) + "/console",
			rights:     []string{"alice get ns/" + vmName + " console", "alice get ns/my-vs console"},
			wantMethod: "GET", wantVerb: "get", wantURL: "/virtualservers/my-vs/console"},
		{name: "vnc", method: "GET", path: vmis + "/vnc?preserveSession=true&takeOver=1", rights: []string{"alice get ns/my-vs vnc"},
			wantMethod: "GET", wantVerb: "get", wantURL: "/virtualservers/my-vs/vnc?preserveSession=true&takeOver=1"},
		{name: "screenshot", method: "GET", path: vmis + "/vnc/screenshot?moveCursor=true", rights: []string{"alice get ns/my-vs vnc/screenshot"},
			wantMethod: "GET", wantVerb: "get", wantURL: "/virtualservers/my-vs/vnc/screenshot?moveCursor=true"},
		{name: "port", method: "GET", path: vms + "/portforward/22/tcp?path=/x", rights: []string{"alice get ns/my-vs portforward"},
			wantMethod: "GET", wantVerb: "get", wantURL: "/virtualservers/my-vs/portforward/22/tcp"},
		{name: "pause", method: "PUT", path: vmis + "/pause", body: `{"dryRun":null}`, rights: []string{"alice update ns/my-vs pause"},
			wantMethod: "PUT", wantVerb: "update", wantURL: "/virtualservers/my-vs/pause", wantBody: `{"dryRun":null}`},
		{name: "start", method: "PUT", path: vms + "/start", body: `{"paused":true}`, rights: []string{"alice update ns/my-vs start"},
			wantMethod: "POST", wantVerb: "create", wantURL: "/virtualservers/my-vs/start",
			wantBody: `{"kind":"StartOptions","apiVersion":"tensorstack.dev/v1beta1","paused":true}`},
		{name: "stop", method: "PUT", path: vms + "/stop", body: `{"gracePeriod":0,"dryRun":["All"]}`, rights: []string{"alice update ns/my-vs stop"},
			wantMethod: "POST", wantVerb: "create", wantURL: "/virtualservers/my-vs/stop",
			wantBody: `{"kind":"StopOptions","apiVersion":"tensorstack.dev/v1beta1","gracePeriodSeconds":0,"dryRun":["All"]}`},
		{name: "a dry run in the query", method: "PUT", path: vms + "/stop?dryRun=All&x=y", rights: []string{"alice update ns/my-vs stop"},
			wantMethod: "POST", wantVerb: "create", wantURL: "/virtualservers/my-vs/stop?dryRun=All"},
		{name: "a dry run of an operation in the query", method: "PUT", path: vmis + "/pause?dryRun=All", rights: []string{"alice update ns/my-vs pause"},
			wantMethod: "PUT", wantVerb: "update", wantURL: "/virtualservers/my-vs/pause?dryRun=All"},
		{name: "restart without a body", method: "PUT", path: vms + "/restart", rights: []string{"alice update ns/my-vs restart"},
			wantMethod: "POST", wantVerb: "create", wantURL: "/virtualservers/my-vs/restart",
			wantBody: `{"kind":"RestartOptions","apiVersion":"tensorstack.dev/v1beta1"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			reached := false
			gateway := &fakeGateway{rights: rights(test.rights...)}
			response := do(t, gateway, func(w http.ResponseWriter, req *http.Request) {
				reached = true
				assert.Equal(t, test.wantMethod, req.Method)
				assert.Equal(t, "/apis/tensorstack.dev/v1beta1/namespaces/ns"+test.wantURL, req.URL.String())
				info, ok := request.RequestInfoFrom(req.Context())
				require.True(t, ok)
				assert.Equal(t, test.wantVerb, info.Verb)
				assert.Equal(t, []string{"ns", "virtualservers", "my-vs"}, []string{info.Namespace, info.Resource, info.Name})
				body, err := io.ReadAll(req.Body)
				require.NoError(t, err)
				if test.wantBody != "" {
					assert.JSONEq(t, test.wantBody, string(body))
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusCreated)
				_, _ = io.WriteString(w, `{"kind":"VirtualServer"}`)
			}, test.method, test.path, test.body)
			require.True(t, reached)
			assert.Equal(t, test.rights, gateway.asked)
			if test.wantMethod == http.MethodPost {
				body, err := io.ReadAll(response.Body)
				require.NoError(t, err)
				assert.Equal(t, http.StatusAccepted, response.StatusCode, "as KubeVirt answers")
				assert.Empty(t, body)
				assert.Empty(t, response.Header.Get("Content-Type"))
			}
		})
	}
}

func TestErrorOfAnOperationPasses(t *testing.T) {
	gateway := &fakeGateway{rights: rights("alice update ns/my-vs start")}
	response := do(t, gateway, func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, apierrors.NewConflict(v1beta1.Resource("virtualservers"), "my-vs", assert.AnError))
	}, "PUT", vms+"/start", "")
	assert.Equal(t, http.StatusConflict, response.StatusCode)
	assert.Contains(t, statusOf(t, response).Message, assert.AnError.Error())
}

func TestRefusals(t *testing.T) {
	all := []string{"alice get ns/my-vs console", "alice update ns/my-vs start", "alice get ns/other console", "alice update ns/ addvolume"}
	for _, test := range []struct {
		name, method, path, body string
		rights                   []string
		code                     int
	}{
		{name: "no right", method: "GET", path: vmis + "/console", code: 403},
		{name: "right to another subresource", method: "GET", path: vmis + "/vnc", rights: all, code: 403},
		{name: "right in another namespace", method: "GET", path: strings.Replace(vmis, "/ns/", "/kube-system/", 1) + "/console", rights: all, code: 403},
		{name: "right to the machine's name only", method: "GET", path: strings.ReplaceAll(vmis, "my-vs", vmName) + "/console",
			rights: []string{"alice get ns/" + vmName + " console"}, code: 403},
		{name: "unknown name without a right", method: "GET", path: strings.ReplaceAll(vmis, "my-vs", "secret") + "/console", rights: all, code: 403},
		{name: "unknown name", method: "GET", path: strings.ReplaceAll(vmis, "my-vs", "other") + "/console", rights: all, code: 404},
		{name: "wrong method", method: "POST", path: vmis + "/console", rights: all, code: 405},
		{name: "wrong method of an operation", method: "GET", path: vms + "/start", rights: all, code: 405},
		{name: "options that are none", method: "PUT", path: vms + "/start", body: "{", rights: all, code: 400},
		{name: "options without end", method: "PUT", path: vms + "/start", body: `{"dryRun":["` + strings.Repeat("x", maxOptions) + `"]}`, rights: all, code: 413},
		{name: "object of somebody else", method: "GET", path: Prefix + "/apis/kubevirt.io/v1/namespaces/ns/virtualmachines/my-vs", rights: all, code: 403},
		{name: "volume without a right", method: "GET", path: Prefix + "/api/v1/namespaces/kube-system/persistentvolumeclaims/disk", rights: all, code: 403},
		{name: "no such volume", method: "GET", path: Prefix + "/api/v1/namespaces/ns/persistentvolumeclaims/disk", rights: all, code: 404},
	} {
		t.Run(test.name, func(t *testing.T) {
			response := do(t, &fakeGateway{rights: rights(test.rights...)}, forbiddenAPI(t), test.method, test.path, test.body)
			assert.Equal(t, test.code, response.StatusCode)
			assert.EqualValues(t, test.code, statusOf(t, response).Code)
		})
	}
	for _, path := range hostilePaths() {
		t.Run(path, func(t *testing.T) {
			if strings.ContainsAny(path, "\\") {
				return // no client can send it
			}
			response := do(t, &fakeGateway{rights: rights(all...)}, forbiddenAPI(t), "GET", path, "")
			assert.Equal(t, http.StatusNotFound, response.StatusCode, "never a redirect, never another object")
			assert.Contains(t, statusOf(t, response).Message, "is not served")
		})
	}
}

func TestDocuments(t *testing.T) {
	gateway := &fakeGateway{rights: rights("alice get ns/my-vs ", "alice get ns/"+vmName+" ", "alice update ns/ addvolume")}
	read := func(path string) map[string]any {
		response := do(t, gateway, forbiddenAPI(t), "GET", Prefix+path, "")
		require.Equal(t, 200, response.StatusCode, path)
		document := map[string]any{}
		require.NoError(t, json.NewDecoder(response.Body).Decode(&document))
		return document
	}
	for _, name := range []string{"my-vs", vmName} {
		machine := read("/apis/kubevirt.io/v1/namespaces/ns/virtualmachines/" + name)
		assert.Equal(t, map[string]any{"name": name}, machine["metadata"], "virtctl goes on with the name it reads")
	}
	group := read("/apis/subresources.kubevirt.io")
	assert.Equal(t, "subresources.kubevirt.io/v1", group["preferredVersion"].(map[string]any)["groupVersion"])
	assert.Equal(t, "v1.7.0", read("/apis/subresources.kubevirt.io/v1/version")["gitVersion"])
	volume := read("/apis/cdi.kubevirt.io/v1beta1/namespaces/ns/datavolumes/disk")
	assert.Equal(t, "DataVolume", volume["kind"])
	assert.NotContains(t, volume, "spec")
}

func TestOtherPathsReachTheAPI(t *testing.T) {
	reached := false
	response := do(t, &fakeGateway{}, func(w http.ResponseWriter, _ *http.Request) { reached = true; w.WriteHeader(204) },
		"GET", "/apis/tensorstack.dev/v1beta1/namespaces/ns/virtualservers", "")
	assert.True(t, reached)
	assert.Equal(t, 204, response.StatusCode)
}
