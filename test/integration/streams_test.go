package integration

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/test/framework"
)

// What ends a stream, or keeps it from beginning, is told as what it is.
func TestStreamsTellWhatTheGuestDoes(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	own := framework.Path(s.Namespace) + "/my-vs/"

	t.Run("the guest closes a port", func(t *testing.T) {
		// If KubeVirt does not answer within two seconds nobody knows that it was the guest.
		s.Eventually("the end is told as the guest's", func() error {
			connection, _, err := framework.Dial(s.Context, s.owner, own+"portforward/"+portOfGuest)
			require.NoError(t, err)
			defer connection.Close()
			require.NoError(t, connection.WriteMessage(websocket.BinaryMessage, []byte("GET / HTTP/1.0\r\n\r\n")))
			frame := closeFrame(t, connection)
			if frame.Code != websocket.CloseNormalClosure || frame.Text != "the guest closed the connection" {
				return frame
			}
			return nil
		})
	})
	t.Run("nothing listens on a port", func(t *testing.T) {
		response, body := send(s.Environment, s.owner, http.MethodGet, own+"portforward/9", true, nil)
		assert.Equal(t, http.StatusConflict, response.StatusCode)
		assert.Contains(t, body, "nothing listens on port 9/tcp of the machine")
	})
	t.Run("all slots for USB devices are taken", func(t *testing.T) {
		for range kubevirtv1.UsbClientPassthroughMaxNumberOf {
			connection, _, err := framework.Dial(s.Context, s.owner, own+"usbredir")
			require.NoError(t, err)
			defer connection.Close()
		}
		response, body := send(s.Environment, s.owner, http.MethodGet, own+"usbredir", true, nil)
		assert.Equal(t, http.StatusConflict, response.StatusCode)
		assert.Contains(t, body, "all slots of the machine for USB devices are taken")
	})
	t.Run("somebody is connected to the screen through KubeVirt", func(t *testing.T) {
		screen, _, err := framework.Dial(s.Context, s.Config, kubeVirtPath(s.Namespace, "virtualmachineinstances", s.machine, "vnc"))
		require.NoError(t, err)
		defer screen.Close()
		_, greeting, err := screen.ReadMessage()
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(string(greeting), "RFB"), "%q", greeting)
		_, response, err := framework.Dial(s.Context, s.owner, own+"vnc?preserveSession=true")
		require.ErrorIs(t, err, websocket.ErrBadHandshake)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		assert.Equal(t, http.StatusConflict, response.StatusCode)
		assert.Contains(t, string(body), "preserveSession ends no session")
	})
}

// A page of somebody else must not end the session of whoever is connected.
func TestAForeignPageHasNoEffect(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	held := s.OpenConsole(s.owner, framework.Path(s.Namespace)+"/my-vs/console")
	held.Login()
	path := framework.Path(s.Namespace) + "/my-vs/console?takeOver=true"
	for name, change := range map[string]http.Header{
		"a foreign page": {"Origin": {"https://evil.example"}},
		"no key":         {"Sec-Websocket-Key": nil},
	} {
		want := http.StatusBadRequest
		if change["Origin"] != nil {
			want = http.StatusForbidden
		}
		response, body := send(s.Environment, s.ProductConfig(s.owner), http.MethodGet, path, true, change)
		assert.Equal(t, want, response.StatusCode, "%s: %s", name, body)
	}
	// kube-apiserver asks by another host than the browser did.
	response, body := send(s.Environment, s.owner, http.MethodGet, path, true, http.Header{"Origin": {s.owner.Host}})
	assert.Equal(t, http.StatusForbidden, response.StatusCode, body)
	assert.Equal(t, "my-vs\n", held.Run("hostname"), "the session did not notice")
}

// Whoever refuses an upgrade, the connection ends: what follows on it is not HTTP.
func TestAFailedUpgradeEndsTheConnection(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	own := framework.Path(s.Namespace) + "/my-vs/"
	for path, code := range map[string]int{
		own + "portforward/0":    http.StatusUnprocessableEntity,
		own + "console?wait=301": http.StatusUnprocessableEntity,
		own + "vnc/x":            http.StatusNotFound,
	} {
		response, body := send(s.Environment, s.ProductConfig(s.owner), http.MethodGet, path, true, nil)
		assert.Equal(t, code, response.StatusCode, "%s: %s", path, body)
		assert.True(t, response.Close, path)
	}
	response, _ := send(s.Environment, s.ProductConfig(s.users["viewer"]), http.MethodGet, own+"console", true, nil)
	assert.Equal(t, http.StatusForbidden, response.StatusCode)
	assert.True(t, response.Close, "refused by a filter")
	response, _ = send(s.Environment, s.ProductConfig(s.owner), http.MethodGet, strings.TrimSuffix(own, "/"), false, nil)
	assert.False(t, response.Close, "other connections stay")
}

// A dry run in the query is one below the prefix, or is refused; it never acts.
func TestADryRunInTheQueryChangesNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	before := s.Get("my-vs")
	own := framework.Path(s.Namespace) + "/my-vs/"
	for _, request := range []struct {
		path string
		code int
	}{
		{framework.KubeVirtPrefix + kubeVirtPath(s.Namespace, "virtualmachines", "my-vs", "stop"), http.StatusAccepted},
		{framework.KubeVirtPrefix + kubeVirtPath(s.Namespace, "virtualmachineinstances", "my-vs", "pause"), http.StatusBadRequest},
		{own + "pause", http.StatusBadRequest},
		{own + "stop", http.StatusCreated},
	} {
		response, body := send(s.Environment, s.owner, http.MethodPut, request.path+"?dryRun=All", false, nil)
		assert.Equal(t, request.code, response.StatusCode, "%s: %s", request.path, body)
	}
	s.unharmed(t, before)
	response, body := send(s.Environment, s.owner, http.MethodPut,
		framework.KubeVirtPrefix+kubeVirtPath(s.Namespace, "virtualmachines", "my-vs", "stop")+"?dryRun=perhaps", false, nil)
	assert.Equal(t, http.StatusUnprocessableEntity, response.StatusCode, body)
	s.unharmed(t, before)
}
