package stream

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestReadsThatTheMachineCannotAnswer has virt-api's words for a read that it cannot carry out, all of which are a plain 500 there.
func TestReadsThatTheMachineCannotAnswer(t *testing.T) {
	const conflicted = `Operation cannot be fulfilled on virtualmachineinstance.kubevirt.io "managed-virtualserver-9dda9": `
	for name, test := range map[string]struct {
		answer string
		code   int
		want   string
	}{
		"stopped":                 {`virtualmachineinstance.kubevirt.io "managed-virtualserver-9dda9" not found`, 409, "the machine is not running (Running)"},
		"starting":                {conflicted + "VMI is not running", 409, "the machine is not running (Running)"},
		"starting, screenshot":    {"VMI is not running", 409, "the machine is not running (Running)"},
		"ended":                   {"Unable to connect to VirtualMachineInstance because phase is Succeeded instead of Running or Scheduled", 409, "the machine is not running"},
		"without an agent":        {conflicted + "VMI does not have guest agent connected", 409, "install qemu-guest-agent in the guest"},
		"the agent has gone":      {`unexpected return code 500 (500 Internal Server Error), message: Guest agent is not responding: QEMU guest agent is not connected`, 409, "install qemu-guest-agent in the guest"},
		"no screen":               {"No graphics devices are present.", 409, "the machine has no screen"},
		"the node refuses":        {`Get "https://10.0.0.9:8186/v1/namespaces/ns/virtualmachineinstances/x/guestosinfo": dial tcp 10.0.0.9:8186: connect: connection refused`, 503, "the node of the machine cannot be reached: dial tcp"},
		"the node is silent":      {`Get "https://10.0.0.9:8186/v1": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`, 503, "the node of the machine cannot be reached: context deadline exceeded"},
		"the node is away":        {`Get "https://10.0.0.9:8186/v1": dial tcp 10.0.0.9:8186: connect: no route to host`, 503, "cannot be reached"},
		"the node broke off":      {`Get "https://10.0.0.9:8186/v1": EOF`, 503, "cannot be reached: EOF"},
		"no virt-handler":         {"No virt-handler on node node-a found", 503, "No virt-handler on node node-a found"},
		"a fault of virt-handler": {`unexpected return code 500 (500 Internal Server Error), message: it broke`, 500, "it broke"},
		"a fault of virt-api":     {"json: cannot unmarshal", 500, "KubeVirt answered 500: json: cannot unmarshal"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, operation := range []string{GuestOSInfo, "userlist", "filesystemlist", Screenshot} {
				rights := policy{"alice get " + operation: true}
				response := operateAs(t, rights, func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(http.StatusInternalServerError)
					_, _ = io.WriteString(w, test.answer)
				}, "alice", named(t, operation), httptest.NewRequest("GET", "/", nil))
				body, err := io.ReadAll(response.Body)
				require.NoError(t, err)
				assert.Equal(t, test.code, response.StatusCode, "%s: %s", operation, body)
				status := metav1.Status{}
				require.NoError(t, json.Unmarshal(body, &status), "no bare text: %s", body)
				assert.Contains(t, status.Message, test.want)
				assert.NotContains(t, status.Message, "https://10.0.0.9", "where the node is is no business of the user's")
				assert.Equal(t, test.code == http.StatusServiceUnavailable, response.Header.Get("Retry-After") != "")
			}
		})
	}
}

// A write that did not reach the node is a 503 as well, but nobody may send it again by himself.
func TestAWriteThatTheNodeDidNotAnswer(t *testing.T) {
	for _, why := range []string{"dial tcp 10.0.0.9:8186: connect: connection refused", "EOF", "net/http: TLS handshake timeout"} {
		response := operateAs(t, policy{"alice update pause": true}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = fmt.Fprintf(w, `{"kind":"Status","message":"Internal error occurred: Put \"https://10.0.0.9:8186/v1/x/pause\": %s"}`, why)
		}, "alice", named(t, Pause), httptest.NewRequest("PUT", "/", nil))
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		assert.Equal(t, http.StatusServiceUnavailable, response.StatusCode, "%s", body)
		assert.Contains(t, string(body), "the node of the machine cannot be reached")
		assert.Contains(t, string(body), why)
		assert.Empty(t, response.Header.Get("Retry-After"))
	}
}
