package stream

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// answered is how virt-api writes an error.
func answered(t *testing.T, err *apierrors.StatusError) answer {
	t.Helper()
	body, marshalErr := json.Marshal(err.ErrStatus)
	require.NoError(t, marshalErr)
	return answer{code: int(err.ErrStatus.Code), contentType: "application/json", body: body}
}

// internal is a 500 of virt-api.
type internal string

func (i internal) Error() string { return string(i) }

func TestTroubleOfTheNodeAndOfTheGuest(t *testing.T) {
	port := Call{Kind: PortForward, Port: Port{8080, "tcp"}}
	for _, test := range []struct {
		name, said string
		call       Call
		code       int
		text       string
		cause      metav1.CauseType
	}{
		{name: "a closed port", call: port, said: "dialing VM: dial tcp 10.0.0.1:8080: connect: connection refused", code: 409, text: "nothing listens on port 8080/tcp of the machine", cause: v1beta1.CausePortClosed},
		{name: "no way to the guest", call: port, said: "dialing VM: dial tcp 10.0.0.1:8080: connect: no route to host", code: 503,
			text: "the guest does not answer on its network, as before its system is up: dial tcp 10.0.0.1:8080: connect: no route to host", cause: v1beta1.CauseGuestUnreachable},
		{name: "the guest is silent", call: port, said: "dialing VM: dial tcp 10.0.0.1:8080: i/o timeout", code: 503, text: "does not answer", cause: v1beta1.CauseGuestUnreachable},
		{name: "the kernel gave up", call: port, said: "dialing VM: dial tcp 10.0.0.1:8080: connect: connection timed out", code: 503, text: "does not answer", cause: v1beta1.CauseGuestUnreachable},
		{name: "no network", call: port, said: "dialing VM: dial tcp 10.0.0.1:8080: connect: network is unreachable", code: 503, text: "does not answer", cause: v1beta1.CauseGuestUnreachable},
		{name: "the port is reset", call: port, said: "dialing VM: dial tcp 10.0.0.1:8080: connect: connection reset by peer", code: 503, text: "the machine cannot be reached"},
		{name: "the node is away", call: Call{Kind: Console}, said: "dialing virt-handler: dial tcp 10.0.0.2:8186: connect: connection refused", code: 503, text: "the node of the machine cannot be reached"},
		{name: "the node hangs up", call: Call{Kind: USBRedir}, said: "dialing virt-handler: EOF", code: 503, text: "the node"},
		{name: "the node refuses a console", call: Call{Kind: Console}, said: "dialing virt-handler: websocket: bad handshake", code: 503, text: "the node"},
		{name: "the screen is taken", call: Call{Kind: VNC, PreserveSession: true}, said: "dialing virt-handler: websocket: bad handshake", code: 409, text: "preserveSession"},
		{name: "the screen need not be preserved", call: Call{Kind: VNC}, said: "dialing virt-handler: websocket: bad handshake", code: 503, text: "the node"},
		{name: "all slots are taken", call: Call{Kind: USBRedir}, said: "dialing virt-handler: websocket: bad handshake", code: 409, text: "slots"},
		{name: "something else", call: Call{Kind: Console}, said: "a surprise", code: 500, text: "a surprise"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := answered(t, apierrors.NewInternalError(internal(test.said))).streamRefusal(runningServer(), test.call)
			assert.Equal(t, test.code, statusCode(err))
			assert.ErrorContains(t, err, test.text)
			_, retry := apierrors.SuggestsClientDelay(err)
			assert.Equal(t, test.code == 503, retry)
			for _, cause := range []metav1.CauseType{v1beta1.CausePortClosed, v1beta1.CauseGuestUnreachable} {
				assert.Equal(t, test.cause == cause, apierrors.HasStatusCause(err, cause), cause)
			}
		})
	}
}

// TestARefusalThatWasCut is about the websocket library, which keeps the first 1024 bytes.
func TestARefusalThatWasCut(t *testing.T) {
	const start = "the machine said \"no\" über\t"
	status := apierrors.NewBadRequest(start + strings.Repeat("ä€\u2028\x01\\", 400))
	whole := answered(t, status)
	require.Greater(t, len(whole.body), 1024)
	for length := range whole.body {
		got := answer{code: 400, contentType: "application/json", body: whole.body[:length]}.status().Message
		require.True(t, strings.HasPrefix(status.ErrStatus.Message, got), "%d bytes: %q", length, got)
		if length > 512 {
			require.Greater(t, len(got), 200, "%d bytes", length)
		}
	}
	assert.Equal(t, status.ErrStatus.Message, whole.status().Message)

	short := answered(t, apierrors.NewInvalid(schema.GroupKind{Kind: "VirtualMachine"}, "vm", field.ErrorList{
		field.Invalid(field.NewPath("spec"), strings.Repeat("x", 200), "is wrong")}))
	short.body = short.body[:len(short.body)-50]
	assert.Contains(t, short.message(), "is wrong", "all of the message is there")
	assert.NotContains(t, short.message(), "{")
}

func TestALongRefusalOfAStreamIsReadable(t *testing.T) {
	b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refusal := answered(t, apierrors.NewBadRequest("VMI is not running, "+strings.Repeat("really ", 300)))
		w.Header().Set("Content-Type", refusal.contentType)
		w.WriteHeader(refusal.code)
		_, _ = w.Write(refusal.body)
	}))
	_, response, err := b.connect("alice", "/console")
	require.ErrorIs(t, err, websocket.ErrBadHandshake)
	assert.Equal(t, 400, response.StatusCode)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.Contains(t, string(body), `"message":"the machine is not running, really`)
	assert.NotContains(t, string(body), "apiVersion")
}
