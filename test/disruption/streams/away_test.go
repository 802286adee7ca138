package streams

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/controlplane"
	"tensorstack.dev/virtualserver/test/framework"
)

// portOfGuest is served by every guest.
const portOfGuest = "8080"

// A port-forward whose way dies has not been closed by the guest, and clients repeat only what changes nothing.
func TestWhatIsSaidWhileKubeVirtIsAway(t *testing.T) {
	e := framework.New(t)
	e.Create(framework.Minimal("my-vs"))
	e.WaitSettled("my-vs", v1beta1.StatusRunning)
	own := framework.Path(e.Namespace) + "/my-vs/"
	port, _, err := framework.Dial(e.Context, e.Config, own+"portforward/"+portOfGuest)
	require.NoError(t, err)
	defer port.Close()

	require.NoError(t, e.Plane.Kill(e.Context, controlplane.VirtAPI))
	started := false
	start := func() {
		if !started {
			started = true
			require.NoError(t, e.Plane.StartComponent(e.Context, controlplane.VirtAPI))
		}
	}
	defer start()
	_, _, err = port.ReadMessage()
	var frame *websocket.CloseError
	require.ErrorAs(t, err, &frame)
	assert.Equal(t, websocket.CloseInternalServerErr, frame.Code)
	assert.Contains(t, frame.Text, "was lost")

	for _, request := range []struct {
		method, subresource, retry string
		stream                     bool
	}{
		{http.MethodGet, "guestosinfo", "1", false},
		{http.MethodGet, "console", "1", true},
		{http.MethodPut, "pause", "", false},
	} {
		header := http.Header{"Content-Length": {"0"}}
		if request.stream {
			header = framework.Upgrade()
		}
		response, body := e.Raw(e.Config, framework.RawRequest{Method: request.method, Path: own + request.subresource, Header: header})
		assert.Equal(t, http.StatusServiceUnavailable, response.StatusCode, body)
		assert.Equal(t, request.retry, response.Header.Get("Retry-After"), request.subresource)
	}
	start()
	recovers(e)
}

// toldByAnEvent waits for the event of a session that a shutdown ended.
func toldByAnEvent(e *framework.Environment) {
	e.T.Helper()
	e.Eventually("an event tells that the shutdown ended the console", func() error {
		list, err := e.Kube.CoreV1().Events(e.Namespace).List(e.Context, metav1.ListOptions{FieldSelector: "reason=ConsoleClosed"})
		if err != nil {
			return err
		}
		for _, event := range list.Items {
			if strings.Contains(event.Message, "is shutting down") {
				return nil
			}
		}
		return errors.New("no such event")
	})
}
