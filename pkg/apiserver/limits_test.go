package apiserver

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestServesWhileAMemberOfEtcdIsAway(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	server := startServer(t, "http://"+listener.Addr().String())
	code, _, body := call(t, server, "POST", servers, example, "Content-Type", "application/json")
	require.Equal(t, http.StatusCreated, code, string(body))
	code, _, body = call(t, server, "GET", servers, "")
	require.Equal(t, http.StatusOK, code, string(body))
	assert.Contains(t, string(body), `"name":"vs"`)
}

// largeServer is a VirtualServer with that many bytes of cloud-init, and annotations of that many bytes, as a JSON object.
func largeServer(t *testing.T, name string, note string, cloudInit, annotations, disks int) string {
	t.Helper()
	object := map[string]any{}
	require.NoError(t, json.Unmarshal([]byte(example), &object))
	metadata, spec := object["metadata"].(map[string]any), object["spec"].(map[string]any)
	metadata["name"] = name
	if annotations > 0 {
		metadata["annotations"] = map[string]any{"example.com/note": strings.Repeat(note, annotations)}
	}
	// What JSON escapes takes six times its room.
	if cloudInit == 0 {
		spec["cloudInit"] = "#" + strings.Repeat("<", 199<<10)
	} else {
		spec["cloudInit"] = "#" + strings.Repeat("x", cloudInit-1)
	}
	var list []any
	for i := range disks {
		list = append(list, map[string]any{"name": fmt.Sprintf("disk-%d", i), "emptyDisk": map[string]any{"capacity": "1Gi"}})
	}
	spec["storage"].(map[string]any)["additionalDisks"] = list
	text, err := json.Marshal(object)
	require.NoError(t, err)
	return string(text)
}

// Whatever passes validation fits into etcd, together with what the server and the controller add; whatever does not fit is
// refused as too large, which no client repeats.
func TestAnObjectThatIsTooLargeIsNeverAFaultOfTheServer(t *testing.T) {
	server := startServer(t)
	for what, test := range map[string]struct {
		cloudInit, annotations, disks int
		note                          string
	}{
		"annotations that are escaped":              {1000, 255 << 10, 0, "<"},
		"escaped annotations and half a cloud-init": {512 << 10, 150 << 10, 0, "<"},
		"quotes":                 {1 << 20, 255 << 10, 256, "\""},
		"small":                  {1000, 0, 0, ""},
		"the largest cloud-init": {1 << 20, 0, 0, ""},
		"and annotations":        {1 << 20, 200 << 10, 0, ""},
		"and a record of apply":  {800 << 10, 255 << 10, 0, ""},
		"and disks":              {1 << 20, 0, 256, ""},
		"all of it":              {1 << 20, 255 << 10, 256, ""},
		"much that is escaped":   {0, 255 << 10, 256, ""},
		"beyond what etcd takes": {1600 << 10, 0, 0, ""},
		"beyond what a body may": {4 << 20, 0, 0, ""},
	} {
		t.Run(what, func(t *testing.T) {
			name := strings.ReplaceAll(what, " ", "-")
			for _, request := range []struct{ method, path, contentType string }{
				{"POST", servers, "application/json"},
				{"PATCH", servers + "/" + name + "-applied?fieldManager=test&force=true", "application/apply-patch+yaml"},
			} {
				target := name
				if request.method == "PATCH" {
					target += "-applied"
				}
				code, _, body := call(t, server, request.method, request.path,
					largeServer(t, target, cmp.Or(test.note, "n"), test.cloudInit, test.annotations, test.disks), "Content-Type", request.contentType)
				t.Log(request.method, code, string(body[:min(len(body), 300)]))
				if code != http.StatusCreated {
					assert.Contains(t, []int{http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge}, code)
					continue
				}
				code, _, body = call(t, server, "PATCH", servers+"/"+target+"/status", largeStatus(t),
					"Content-Type", "application/merge-patch+json")
				require.Equal(t, http.StatusOK, code, string(body[:min(len(body), 300)]))
			}
		})
	}
}

// largeStatus is as large as a status gets: every list full, every message as long as any is.
func largeStatus(t *testing.T) string {
	t.Helper()
	long := strings.Repeat("m", 1000)
	var conditions, operations, disks, transitions []any
	for _, kind := range []string{"DataImported", "Ready", "Failure", "Paused", "RestartRequired", "Reconciled"} {
		conditions = append(conditions, map[string]any{"type": kind, "status": "False", "reason": "Reason", "message": long,
			"lastTransitionTime": "2026-01-01T00:00:00Z"})
	}
	for i := range 10 {
		operations = append(operations, map[string]any{"id": fmt.Sprint(i), "type": "Stop", "result": "Succeeded", "message": long,
			"requestedBy": long, "requestedAt": "2026-01-01T00:00:00.000000Z", "completedAt": "2026-01-01T00:00:00.000000Z"})
	}
	for i := range 257 {
		disks = append(disks, map[string]any{"name": fmt.Sprintf("disk-%d", i), "device": "/dev/vdaaa",
			"serial": "01234567890123456789", "byID": "/dev/disk/by-id/virtio-01234567890123456789"})
	}
	for _, phase := range []string{"Stopped", "Provisioning", "Starting", "Running", "Paused", "Stopping", "Terminating",
		"CrashLoopBackOff", "Migrating", "Unknown", "FailedUnschedulable"} {
		transitions = append(transitions, map[string]any{"phase": phase, "time": "2026-01-01T00:00:00Z"})
	}
	text, err := json.Marshal(map[string]any{"status": map[string]any{
		"conditions": conditions, "operations": operations, "disks": disks, "phaseTransitions": transitions, "message": long,
	}})
	require.NoError(t, err)
	return string(text)
}
