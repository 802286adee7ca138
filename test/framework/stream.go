package framework

import (
	"context"
	"crypto/tls"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
)

// PlainProtocol is the only websocket subprotocol of KubeVirt's streams.
const PlainProtocol = "plain.kubevirt.io"

// Dial opens a websocket as a user on a path of the server that config names. The response is there even when the dial fails.
func Dial(ctx context.Context, config *rest.Config, path string) (*websocket.Conn, *http.Response, error) {
	tlsConfig, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, nil, err
	}
	if tlsConfig == nil {
		tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	tlsConfig.NextProtos = []string{"http/1.1"}
	header := http.Header{}
	if config.BearerToken != "" {
		header.Set("Authorization", "Bearer "+config.BearerToken)
	}
	dialer := websocket.Dialer{
		TLSClientConfig: tlsConfig, Subprotocols: []string{PlainProtocol}, HandshakeTimeout: DefaultTimeout,
		ReadBufferSize: 64 << 10, WriteBufferSize: 64 << 10,
	}
	return dialer.DialContext(ctx, strings.Replace(config.Host, "https://", "wss://", 1)+path, header)
}

// Console is a serial console that a test talks to.
type Console struct {
	// Connection is the websocket.
	Connection *websocket.Conn
	e          *Environment
	unread     string
}

// OpenConsole opens a console that must open. It is closed when the test ends.
func (e *Environment) OpenConsole(config *rest.Config, path string) *Console {
	e.T.Helper()
	connection, _, err := Dial(e.Context, config, path)
	require.NoError(e.T, err, path)
	e.T.Cleanup(func() { _ = connection.Close() })
	return &Console{Connection: connection, e: e}
}

// Send types keys.
func (c *Console) Send(keys string) {
	c.e.T.Helper()
	require.NoError(c.e.T, c.Connection.WriteMessage(websocket.BinaryMessage, []byte(keys)))
}

// Expect reads until the text appears and returns what came before it.
func (c *Console) Expect(text string) string {
	c.e.T.Helper()
	require.NoError(c.e.T, c.Connection.SetReadDeadline(time.Now().Add(DefaultTimeout)))
	for !strings.Contains(c.unread, text) {
		_, message, err := c.Connection.ReadMessage()
		require.NoError(c.e.T, err, "waiting for %q, so far: %q", text, c.unread)
		c.unread += string(message)
	}
	before, after, _ := strings.Cut(c.unread, text)
	c.unread = after
	return before
}

// Login wakes the line and logs in.
func (c *Console) Login() {
	c.e.T.Helper()
	c.Send("\r")
	c.Expect("login: ")
	c.Send("root\r")
	c.Expect("$ ")
}

// Run runs a command in the guest and returns its output.
func (c *Console) Run(command string) string {
	c.e.T.Helper()
	c.Send(command + "\r")
	c.Expect(command + "\r\n")
	return strings.ReplaceAll(c.Expect("root@"), "\r\n", "\n")
}
