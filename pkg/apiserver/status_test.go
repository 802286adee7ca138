package apiserver

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// Who may write the status may write nothing else: not take a finalizer off, not hand the object to another owner, not change
// what the machine is.
func TestTheStatusEndpointChangesTheStatusOnly(t *testing.T) {
	server := startServer(t)
	const finalizer = "example.com/keep"
	read := func(name string) v1beta1.VirtualServer {
		var vs v1beta1.VirtualServer
		code, _, body := call(t, server, "GET", servers+"/"+name, "")
		require.Equal(t, http.StatusOK, code, string(body))
		require.NoError(t, json.Unmarshal(body, &vs))
		return vs
	}
	made := func(name string, deleting bool) v1beta1.VirtualServer {
		var vs v1beta1.VirtualServer
		require.NoError(t, json.Unmarshal([]byte(example), &vs))
		vs.Name, vs.Finalizers, vs.Labels = name, []string{finalizer}, map[string]string{"team": "a"}
		text, err := json.Marshal(vs)
		require.NoError(t, err)
		code, _, body := call(t, server, "POST", servers, string(text), "Content-Type", "application/json")
		require.Equal(t, http.StatusCreated, code, string(body))
		if deleting {
			code, _, body = call(t, server, "DELETE", servers+"/"+name, "")
			require.Equal(t, http.StatusOK, code, string(body))
		}
		return read(name)
	}
	const metadata = `"metadata":{"labels":{"team":"b"},"annotations":{"a":"b"},"finalizers":[],"ownerReferences":[
		{"apiVersion":"v1","kind":"ConfigMap","name":"x","uid":"y"}],"deletionTimestamp":"2020-01-01T00:00:00Z","generation":77}`
	const change = `{` + metadata + `,"spec":{"runStrategy":"Halted"},"status":{"node":"node-a"}}`
	for what, request := range map[string]struct {
		method, contentType string
		body                func(v1beta1.VirtualServer) string
	}{
		"put": {"PUT", "application/json", func(vs v1beta1.VirtualServer) string {
			require.NoError(t, json.Unmarshal([]byte(change), &vs))
			vs.Finalizers = nil
			text, err := json.Marshal(vs)
			require.NoError(t, err)
			return string(text)
		}},
		"merge patch":     {"PATCH", "application/merge-patch+json", func(v1beta1.VirtualServer) string { return change }},
		"strategic patch": {"PATCH", "application/strategic-merge-patch+json", func(v1beta1.VirtualServer) string { return change }},
		"JSON patch": {"PATCH", "application/json-patch+json", func(v1beta1.VirtualServer) string {
			return `[{"op":"remove","path":"/metadata/finalizers"},{"op":"replace","path":"/metadata/labels/team","value":"b"},
				{"op":"replace","path":"/spec/runStrategy","value":"Halted"},{"op":"add","path":"/status/node","value":"node-a"}]`
		}},
		"apply": {"PATCH", "application/apply-patch+yaml", func(vs v1beta1.VirtualServer) string {
			return `{"apiVersion":"tensorstack.dev/v1beta1","kind":"VirtualServer","metadata":{"name":"` + vs.Name + `","labels":{"team":"b"},
				"finalizers":["example.com/other"]},"spec":{"runStrategy":"Halted"},"status":{"node":"node-a"}}`
		}},
	} {
		for name, deleting := range map[string]bool{"living": false, "deleting": true} {
			t.Run(what+" "+name, func(t *testing.T) {
				before := made(name, deleting)
				path := servers + "/" + name + "/status"
				if what == "apply" {
					path += "?fieldManager=test&force=true"
				}
				code, _, body := call(t, server, request.method, path, request.body(*before.DeepCopy()), "Content-Type", request.contentType)
				after := read(name)
				if code == http.StatusOK {
					assert.Equal(t, "node-a", after.Status.Node, "the status itself can be written")
				} else {
					assert.Equal(t, http.StatusUnprocessableEntity, code, string(body))
				}
				assert.Equal(t, before.Spec, after.Spec)
				before.ManagedFields, after.ManagedFields, after.ResourceVersion = nil, nil, before.ResourceVersion
				assert.Equal(t, before.ObjectMeta, after.ObjectMeta)

				code, _, body = call(t, server, "PATCH", servers+"/"+name, `{"metadata":{"finalizers":null}}`, "Content-Type", "application/merge-patch+json")
				require.Equal(t, http.StatusOK, code, string(body))
				code, _, _ = call(t, server, "DELETE", servers+"/"+name, "")
				require.Contains(t, []int{http.StatusOK, http.StatusNotFound}, code)
			})
		}
	}
}
