package integration

import (
	"context"
	"crypto/tls"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/rest"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

const plainProtocol = "plain.kubevirt.io"

// dial opens a websocket as a user on a path of kube-apiserver. The response is there even when the dial fails.
func dial(t *testing.T, config *rest.Config, path string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	tlsConfig, err := rest.TLSConfigFor(config)
	require.NoError(t, err)
	if tlsConfig == nil {
		tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	tlsConfig.NextProtos = []string{"http/1.1"}
	header := http.Header{}
	if config.BearerToken != "" {
		header.Set("Authorization", "Bearer "+config.BearerToken)
	}
	dialer := websocket.Dialer{TLSClientConfig: tlsConfig, Subprotocols: []string{plainProtocol}, HandshakeTimeout: framework.DefaultTimeout}
	return dialer.DialContext(t.Context(), strings.Replace(config.Host, "https://", "wss://", 1)+path, header)
}

// readUntil reads binary messages until the text appears.
func readUntil(t *testing.T, connection *websocket.Conn, text string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	deadline, _ := ctx.Deadline()
	require.NoError(t, connection.SetReadDeadline(deadline))
	seen := ""
	for !strings.Contains(seen, text) {
		_, message, err := connection.ReadMessage()
		require.NoError(t, err, "so far: %q", seen)
		seen += string(message)
	}
	return seen
}

func TestConsoleOfAMachine(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine"))
	e.WaitStatus("machine", v1beta1.StatusRunning)
	user := e.UserWith("console-user", rbacv1.PolicyRule{
		APIGroups: []string{"tensorstack.dev"}, Resources: []string{"virtualservers/console"}, Verbs: []string{"get", "create"}})

	connection, response, err := dial(t, user.Config, framework.Path(e.Namespace)+"/machine/console")
	require.NoError(t, err)
	defer connection.Close()
	assert.Equal(t, http.StatusSwitchingProtocols, response.StatusCode)
	assert.Equal(t, plainProtocol, connection.Subprotocol())
	require.NoError(t, connection.WriteMessage(websocket.BinaryMessage, []byte("\r")))
	readUntil(t, connection, "login:")
}

func TestConsoleNeedsCreateAsWellAsGet(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine"))
	e.WaitStatus("machine", v1beta1.StatusRunning)
	for name, config := range map[string]*rest.Config{
		"a viewer": e.UserInRole("viewer", "view").Config,
		"a user who may only get": e.UserWith("getter", rbacv1.PolicyRule{
			APIGroups: []string{"tensorstack.dev"}, Resources: []string{"virtualservers/console"}, Verbs: []string{"get"}}).Config,
		"nobody": e.Plane.AnonymousConfig(),
	} {
		_, response, err := dial(t, config, framework.Path(e.Namespace)+"/machine/console")
		require.Error(t, err, name)
		require.NotNil(t, response, name)
		assert.Contains(t, []int{http.StatusForbidden, http.StatusUnauthorized}, response.StatusCode, name)
	}
}

func TestConsoleSaysWhyThereIsNone(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("stopped", framework.WithStrategy(v1beta1.RunStrategyHalted)))
	e.WaitStatus("stopped", v1beta1.StatusStopped)
	e.Faults(map[string]string{"import": "stall"})
	e.Create(framework.Minimal("importing"))
	e.WaitStatus("importing", v1beta1.StatusProvisioning)
	for name, want := range map[string]int{
		"importing": http.StatusBadRequest, // virtctl waits on exactly this
		"stopped":   http.StatusConflict,
		"unknown":   http.StatusNotFound,
	} {
		_, response, err := dial(t, e.Config, framework.Path(e.Namespace)+"/"+name+"/console")
		require.Error(t, err, name)
		require.NotNil(t, response, name)
		assert.Equal(t, want, response.StatusCode, name)
		assert.Contains(t, response.Header.Get("Content-Type"), "application/json", name)
	}
}

func TestConsoleWaitsForAMachineThatIsStarting(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine"))
	connection, _, err := dial(t, e.Config, framework.Path(e.Namespace)+"/machine/console?wait=60")
	require.NoError(t, err)
	defer connection.Close()
	require.NoError(t, connection.WriteMessage(websocket.BinaryMessage, []byte("\r")))
	readUntil(t, connection, "login:")
}
