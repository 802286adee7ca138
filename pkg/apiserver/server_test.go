package apiserver

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/options"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/util/compatibility"
	restclient "k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"tensorstack.dev/virtualserver/pkg/apiserver/scheme"
	"tensorstack.dev/virtualserver/pkg/etcd"
	"tensorstack.dev/virtualserver/pkg/registry/tensorstack/virtualserver"
	"tensorstack.dev/virtualserver/pkg/registry/tensorstack/virtualserver/storage"
)

var update = flag.Bool("update", false, "write the golden files anew")

type noMachines struct{}

func (noMachines) Machine(context.Context, string, string) (virtualserver.Machine, error) {
	return virtualserver.Machine{}, nil
}

func (noMachines) NamespaceUID(_ context.Context, name string) (types.UID, error) {
	return types.UID("uid-of-" + name), nil
}

// startServer runs the whole server with its filters and an embedded etcd, for a user who may do everything. Only TLS,
// delegated authentication and authorization, and admission are left out: they need a cluster. The endpoints stand before
// that of the etcd.
func startServer(t *testing.T, endpoints ...string) *httptest.Server {
	t.Helper()
	embedded, err := etcd.StartEmbedded(context.Background(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(embedded.Close)
	backend := storagebackend.NewDefaultConfig("/registry/tensorstack.dev", nil)
	backend.Transport.ServerList = append(endpoints, embedded.Endpoint())
	factory := serverstorage.NewDefaultStorageFactory(*backend, runtime.ContentTypeJSON, scheme.Codecs,
		serverstorage.NewDefaultResourceEncodingConfig(scheme.Scheme), serverstorage.NewResourceConfig(), nil)

	generic := genericapiserver.NewRecommendedConfig(scheme.Codecs)
	SetOpenAPI(&generic.Config)
	generic.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	generic.ExternalAddress = "127.0.0.1:443"
	generic.PublicAddress = net.IPv4(127, 0, 0, 1)
	generic.LoopbackClientConfig = &restclient.Config{}
	generic.RESTOptionsGetter = options.NewEtcdOptions(backend).CreateRESTOptionsGetter(factory, nil)
	generic.Authorization.Authorizer = authorizerfactory.NewAlwaysAllowAuthorizer()
	generic.Authentication.Authenticator = authenticator.RequestFunc(func(*http.Request) (*authenticator.Response, bool, error) {
		return &authenticator.Response{User: &user.DefaultInfo{Name: "ann"}}, true, nil
	})
	config := &Config{Generic: generic, Extra: ExtraConfig{
		Storage: storage.Options{Typer: scheme.Scheme, Namespaces: noMachines{}, Machines: noMachines{}, Clock: clock.RealClock{}},
	}}
	server, err := config.Complete().New()
	require.NoError(t, err)
	prepared := server.Generic.PrepareRun()
	HideSharedDocuments(server.Generic)
	t.Cleanup(server.Generic.Destroy)
	front := httptest.NewServer(prepared.Handler)
	t.Cleanup(front.Close)
	return front
}

// call sends a request and returns status, content type and body.
func call(t *testing.T, server *httptest.Server, method, path, body string, headers ...string) (int, string, []byte) {
	t.Helper()
	request, err := http.NewRequest(method, server.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := server.Client().Do(request)
	require.NoError(t, err)
	defer func() { assert.NoError(t, response.Body.Close()) }()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, response.Header.Get("Content-Type"), content
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	var pretty bytes.Buffer
	require.NoError(t, json.Indent(&pretty, got, "", "  "))
	pretty.WriteByte('\n')
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(file, pretty.Bytes(), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), pretty.String())
}

const (
	group   = "/apis/tensorstack.dev/v1beta1"
	servers = group + "/namespaces/default/virtualservers"
	example = `{"apiVersion":"tensorstack.dev/v1beta1","kind":"VirtualServer","metadata":{"name":"vs"},"spec":{
		"resources":{"cpu":{"cores":2},"memory":"4Gi"},
		"storage":{"root":{"pvc":{"size":"4Gi"},"source":{"blank":{}}}}}}`
)

func TestServer(t *testing.T) {
	server := startServer(t)
	t.Run("discovery is the same", func(t *testing.T) {
		code, _, body := call(t, server, "GET", group, "")
		require.Equal(t, http.StatusOK, code)
		golden(t, "discovery.json", body)
	})
	t.Run("every reference in OpenAPI resolves", func(t *testing.T) {
		for _, path := range []string{"/openapi/v2", "/openapi/v3" + group} {
			code, _, body := call(t, server, "GET", path, "", "Accept", "application/json")
			require.Equal(t, http.StatusOK, code, path)
			checkReferences(t, path, body)
		}
	})
	t.Run("OpenAPI v3 has nothing that other servers have too", func(t *testing.T) {
		code, _, body := call(t, server, "GET", "/openapi/v3", "")
		require.Equal(t, http.StatusOK, code)
		index := struct{ Paths map[string]any }{}
		require.NoError(t, json.Unmarshal(body, &index))
		require.Contains(t, index.Paths, "apis/tensorstack.dev/v1beta1")
		for path := range index.Paths {
			assert.True(t, strings.HasPrefix(path, "apis/tensorstack.dev"), path)
		}
	})
	t.Run("create, read as table, operate, delete", func(t *testing.T) { useServer(t, server) })
	t.Run("protobuf is not offered for our kinds", func(t *testing.T) {
		code, contentType, _ := call(t, server, "GET", servers, "", "Accept", "application/vnd.kubernetes.protobuf,application/json")
		assert.Equal(t, http.StatusOK, code)
		assert.Equal(t, "application/json", contentType)
		code, _, _ = call(t, server, "GET", servers, "", "Accept", "application/vnd.kubernetes.protobuf")
		assert.Equal(t, http.StatusNotAcceptable, code)
		code, _, _ = call(t, server, "POST", servers, "k8s", "Content-Type", "application/vnd.kubernetes.protobuf")
		assert.Equal(t, http.StatusUnsupportedMediaType, code)
	})
	t.Run("server-side apply keeps spec and status apart", func(t *testing.T) { applyServer(t, server) })
}

// checkReferences finds references to what is not there.
func checkReferences(t *testing.T, path string, body []byte) {
	t.Helper()
	var document map[string]any
	require.NoError(t, json.Unmarshal(body, &document))
	references := map[string]bool{}
	var walk func(value any)
	walk = func(value any) {
		switch value := value.(type) {
		case map[string]any:
			if reference, ok := value["$ref"].(string); ok {
				references[reference] = resolves(document, reference)
			}
			for _, inner := range value {
				walk(inner)
			}
		case []any:
			for _, inner := range value {
				walk(inner)
			}
		}
	}
	walk(document)
	assert.Greater(t, len(references), 10, path)
	for reference, ok := range references {
		assert.True(t, ok, "%s refers to %s, which is not there", path, reference)
		assert.NotContains(t, reference, "~1", "a slash in the name of a model")
	}
}

// resolves follows a JSON pointer such as "#/definitions/x".
func resolves(document map[string]any, reference string) bool {
	var here any = document
	for _, part := range strings.Split(strings.TrimPrefix(reference, "#/"), "/") {
		object, ok := here.(map[string]any)
		if !ok {
			return false
		}
		if here, ok = object[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]; !ok {
			return false
		}
	}
	return true
}

func useServer(t *testing.T, server *httptest.Server) {
	code, _, body := call(t, server, "POST", servers, example, "Content-Type", "application/json")
	require.Equal(t, http.StatusCreated, code, string(body))
	code, _, body = call(t, server, "GET", servers, "", "Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	require.Equal(t, http.StatusOK, code)
	assert.Contains(t, string(body), `"cells":["vs","Provisioning","Unknown","Always","","2","4Gi"`)

	code, _, body = call(t, server, "PUT", servers+"/vs/stop", "")
	require.Equal(t, http.StatusCreated, code, string(body))
	var answer struct {
		Kind   string
		Status struct {
			RunStrategy      string
			PendingOperation struct{ Type, RequestedBy string }
		}
	}
	require.NoError(t, json.Unmarshal(body, &answer))
	assert.Equal(t, "VirtualServer", answer.Kind)
	assert.Equal(t, "Halted", answer.Status.RunStrategy)
	assert.Equal(t, "Stop", answer.Status.PendingOperation.Type)
	assert.Equal(t, "ann", answer.Status.PendingOperation.RequestedBy)
	code, _, body = call(t, server, "POST", servers+"/vs/restart", "")
	assert.Equal(t, http.StatusConflict, code, string(body))
	code, _, body = call(t, server, "POST", servers+"/vs/start", `{"pausd":true}`, "Content-Type", "application/json")
	assert.Equal(t, http.StatusCreated, code, string(body))
	code, _, body = call(t, server, "POST", servers+"/vs/stop?fieldValidation=Strict", `{"pausd":true}`, "Content-Type", "application/json")
	assert.Equal(t, http.StatusBadRequest, code, string(body))
	code, _, body = call(t, server, "POST", servers+"/vs/status", "{}", "Content-Type", "application/json")
	assert.Equal(t, http.StatusMethodNotAllowed, code, string(body))
	code, _, body = call(t, server, "GET", servers+"?fieldSelector=status.runStrategy%3DAlways", "")
	require.Equal(t, http.StatusOK, code)
	assert.Contains(t, string(body), `"name":"vs"`)
	code, _, _ = call(t, server, "GET", servers+"?fieldSelector=spec.cloudInit%3Dx", "")
	assert.Equal(t, http.StatusBadRequest, code)
	code, _, _ = call(t, server, "DELETE", servers+"/vs", "")
	assert.Equal(t, http.StatusOK, code)
}

func applyServer(t *testing.T, server *httptest.Server) {
	const apply = "application/apply-patch+yaml"
	code, _, body := call(t, server, "PATCH", servers+"/applied?fieldManager=user", strings.Replace(example, `"vs"`, `"applied"`, 1), "Content-Type", apply)
	require.Equal(t, http.StatusCreated, code, string(body))
	status := `{"apiVersion":"tensorstack.dev/v1beta1","kind":"VirtualServer","metadata":{"name":"applied"},"status":{"node":"node-a"}}`

	code, _, body = call(t, server, "PATCH", servers+"/applied?fieldManager=thief", status, "Content-Type", apply)
	require.Equal(t, http.StatusOK, code, string(body))
	assert.NotContains(t, string(body), "node-a", "the main resource does not take a status")
	code, _, body = call(t, server, "PATCH", servers+"/applied/status?fieldManager=controller", status, "Content-Type", apply)
	require.Equal(t, http.StatusOK, code, string(body))
	assert.Contains(t, string(body), `"node":"node-a"`)
	var object struct {
		Metadata struct {
			ManagedFields []struct {
				Manager, Subresource string
				FieldsV1             map[string]any
			}
		}
	}
	require.NoError(t, json.Unmarshal(body, &object))
	owners := map[string]map[string]any{}
	for _, entry := range object.Metadata.ManagedFields {
		owners[entry.Manager] = entry.FieldsV1
	}
	assert.Contains(t, owners["user"], "f:spec")
	assert.NotContains(t, owners["user"], "f:status")
	assert.NotContains(t, owners["thief"], "f:status", "who cannot set the status does not own it")
	assert.Contains(t, owners["controller"], "f:status")

	conflicting := strings.Replace(strings.Replace(example, `"vs"`, `"applied"`, 1), `"4Gi"`, `"8Gi"`, 1)
	code, _, body = call(t, server, "PATCH", servers+"/applied?fieldManager=other", conflicting, "Content-Type", apply)
	assert.Equal(t, http.StatusConflict, code, string(body))
	code, _, body = call(t, server, "PATCH", servers+"/applied?fieldManager=other&force=true", conflicting, "Content-Type", apply)
	assert.Equal(t, http.StatusOK, code, string(body))
}
