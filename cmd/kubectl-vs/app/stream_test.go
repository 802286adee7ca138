package app

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
)

// far serves one stream and returns a connection to it.
func far(t *testing.T, serve func(*websocket.Conn)) *websocket.Conn {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connection, err := (&websocket.Upgrader{Subprotocols: []string{plainProtocol}}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer connection.Close()
		serve(connection)
	}))
	t.Cleanup(server.Close)
	connection, _, err := websocket.DefaultDialer.Dial(strings.Replace(server.URL, "http", "ws", 1), nil)
	require.NoError(t, err)
	return connection
}

// readAll reads until the peer closes.
func readAll(connection *websocket.Conn) string {
	text := ""
	for {
		_, message, err := connection.ReadMessage()
		if err != nil {
			return text
		}
		text += string(message)
	}
}

// forever is a standard input on which nobody types.
func forever(t *testing.T) io.Reader {
	reader, writer := io.Pipe()
	t.Cleanup(func() { _ = writer.Close() })
	return reader
}

func TestTheEndOfAStreamInWords(t *testing.T) {
	closeWith := func(code int, text string) func(*websocket.Conn) {
		return func(connection *websocket.Conn) {
			_ = connection.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, text), time.Now().Add(time.Second))
			readAll(connection)
		}
	}
	for name, test := range map[string]struct {
		serve func(*websocket.Conn)
		want  string
	}{
		"a normal end":         {closeWith(websocket.CloseNormalClosure, ""), ""},
		"the machine stopped":  {closeWith(4000, "the machine my-vs stopped"), "the machine my-vs stopped"},
		"taken over":           {closeWith(4001, "ann took the console over"), "ann took the console over"},
		"a code without words": {closeWith(websocket.CloseInternalServerErr, ""), "1011"},
		"the server is killed": {func(connection *websocket.Conn) { _ = connection.NetConn().Close() }, "the connection to the server was lost"},
		"a clean close, why":   {closeWith(websocket.CloseNormalClosure, "KubeVirt closed the stream"), "KubeVirt closed the stream"},
	} {
		t.Run(name, func(t *testing.T) {
			err := copyStream(t.Context(), far(t, test.serve), forever(t), io.Discard)
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestAStreamEndsWithItsInput(t *testing.T) {
	got := make(chan string, 1)
	connection := far(t, func(connection *websocket.Conn) { got <- readAll(connection) })
	require.NoError(t, copyStream(t.Context(), connection, &escapeReader{reader: strings.NewReader("ls\r\x1dnot sent")}, io.Discard))
	assert.Equal(t, "ls\r", <-got, "what stands before the escape key is sent, and nothing after it")
}

func TestAStreamEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	connection := far(t, func(connection *websocket.Conn) { cancel(); readAll(connection) })
	require.NoError(t, copyStream(ctx, connection, forever(t), io.Discard))
}

func TestAStreamCarriesEveryByte(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	connection := far(t, func(connection *websocket.Conn) {
		_ = connection.WriteMessage(websocket.BinaryMessage, content)
		_ = connection.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
		readAll(connection)
	})
	out := &bytes.Buffer{}
	require.NoError(t, copyStream(t.Context(), connection, forever(t), out))
	assert.True(t, bytes.Equal(content, out.Bytes()))
}

func TestADialShowsCredentials(t *testing.T) {
	seen := make(chan http.Header, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header
		http.Error(w, "no", http.StatusForbidden)
	}))
	defer server.Close()
	config := &rest.Config{Host: server.URL, BearerToken: "token", UserAgent: "kubectl-vs", Impersonate: rest.ImpersonationConfig{UserName: "ann"}}
	location, _, err := rest.DefaultServerUrlFor(config)
	require.NoError(t, err)
	location.Scheme = "ws"
	_, err = dial(t.Context(), config, location)
	require.ErrorContains(t, err, "403")
	header := <-seen
	assert.Equal(t, "Bearer token", header.Get("Authorization"))
	assert.Equal(t, "ann", header.Get("Impersonate-User"))
	assert.Equal(t, "kubectl-vs", header.Get("User-Agent"))
}

// failing is a standard input that cannot be read.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("input/output error") }

func TestAnInputThatCannotBeReadEndsTheStream(t *testing.T) {
	connection := far(t, func(connection *websocket.Conn) { readAll(connection) })
	require.ErrorContains(t, copyStream(t.Context(), connection, failing{}, io.Discard), "input/output error")
}

// A link that is dead on the way tells nobody that it ended.
func TestASilentStreamEnds(t *testing.T) {
	connection := far(t, func(connection *websocket.Conn) { readAll(connection) })
	require.ErrorContains(t, receive(connection, io.Discard, 20*time.Millisecond), "the connection to the server was lost")
}

func TestPingsKeepAStreamOpen(t *testing.T) {
	const patience, pings = 3 * time.Second, 30
	pongs := make(chan struct{}, pings)
	connection := far(t, func(connection *websocket.Conn) {
		connection.SetPongHandler(func(string) error { pongs <- struct{}{}; return nil })
		go readAll(connection)
		ticker := time.NewTicker(2 * patience / pings)
		defer ticker.Stop()
		for range pings {
			<-ticker.C
			_ = connection.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second))
		}
		for range pings {
			<-pongs
		}
		_ = connection.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4000, "enough"), time.Now().Add(time.Second))
	})
	require.EqualError(t, receive(connection, io.Discard, patience), "enough", "it took twice as long as it may be silent")
}

func TestTheHandshakeTakesNoLongerThanARequest(t *testing.T) {
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	_, err = dial(t.Context(), &rest.Config{Timeout: 50 * time.Millisecond}, &url.URL{Scheme: "ws", Host: silent.Addr().String()})
	require.ErrorContains(t, err, "timeout")
}

// A peer that has said why it ends may be gone before its word is answered, which makes closing fail under TLS.
func TestAStreamThatEndedWellIsNoErrorToClose(t *testing.T) {
	for name, test := range map[string]struct {
		code int
		text string
	}{
		"a normal end":        {websocket.CloseNormalClosure, ""},
		"the machine stopped": {4000, "the machine my-vs stopped"},
	} {
		t.Run(name, func(t *testing.T) {
			cut := make(chan struct{})
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				connection, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
				if err != nil {
					return
				}
				_ = connection.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(test.code, test.text), time.Now().Add(time.Second))
				<-cut
				_ = connection.NetConn().Close()
			}))
			defer server.Close()
			dialer := websocket.Dialer{TLSClientConfig: server.Client().Transport.(*http.Transport).TLSClientConfig,
				NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
					connection, err := (&net.Dialer{}).DialContext(ctx, network, address)
					return &cutConn{Conn: connection, cut: cut}, err
				}}
			connection, _, err := dialer.DialContext(t.Context(), strings.Replace(server.URL, "http", "ws", 1), nil)
			require.NoError(t, err)
			connection.SetCloseHandler(func(int, string) error { close(cut); return nil })
			err = copyStream(t.Context(), connection, forever(t), io.Discard)
			if test.text == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, test.text)
			}
		})
	}
}

// cutConn cannot be written to after it was cut.
type cutConn struct {
	net.Conn
	cut <-chan struct{}
}

// Write implements net.Conn.
func (c *cutConn) Write(data []byte) (int, error) {
	select {
	case <-c.cut:
		return 0, errors.New("broken pipe")
	default:
		return c.Conn.Write(data)
	}
}
