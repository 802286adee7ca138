package stream

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTheEndOfAPortForward is about the guest, whose end of a stream looks like a lost connection.
func TestTheEndOfAPortForward(t *testing.T) {
	const running = `{"metadata":{"uid":"run-1"},"status":{"phase":"Running"}}`
	drop := func(c *websocket.Conn) { _ = c.UnderlyingConn().Close() }
	for _, test := range []struct {
		name, path string
		// explain is how long news of the machine are waited for. A test with a minute must not wait for them.
		explain time.Duration
		// machine is what KubeVirt says about it, and dead that KubeVirt's own API does not answer.
		machine string
		dead    bool
		end     func(*websocket.Conn)
		code    int
		text    string
	}{
		{name: "the guest closed", path: "/portforward", explain: time.Minute, machine: running, end: drop,
			code: websocket.CloseNormalClosure, text: "the guest closed the connection"},
		{name: "the machine restarted", path: "/portforward", explain: 100 * time.Millisecond, machine: strings.Replace(running, "run-1", "run-2", 1), end: drop,
			code: CloseMachineStopped, text: "restarted"},
		{name: "KubeVirt died", path: "/portforward", explain: 100 * time.Millisecond, machine: running, dead: true, end: drop,
			code: websocket.CloseInternalServerErr, text: "was lost"},
		{name: "nobody knows", path: "/portforward", explain: 100 * time.Millisecond, machine: `[]`, end: drop,
			code: websocket.CloseInternalServerErr, text: "was lost"},
		{name: "a message was cut", path: "/portforward", explain: 100 * time.Millisecond, machine: running, end: func(c *websocket.Conn) {
			_, _ = c.UnderlyingConn().Write([]byte{0x82, 5, 'a', 'b'})
			drop(c)
		}, code: websocket.CloseInternalServerErr, text: "was lost"},
		{name: "a console has no end in the guest", path: "/console", explain: 100 * time.Millisecond, machine: running, end: drop,
			code: websocket.CloseInternalServerErr, text: "was lost"},
		{name: "a close frame", path: "/console", explain: time.Minute, machine: running, end: func(c *websocket.Conn) {
			_ = c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, "bye"), time.Now().Add(time.Second))
			drain(c)
		}, code: websocket.CloseNormalClosure, text: "bye"},
	} {
		t.Run(test.name, func(t *testing.T) {
			end := make(chan struct{})
			streams := upgraded(func(c *websocket.Conn) { <-end; test.end(c) })
			b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				switch {
				case req.Header.Get("Upgrade") != "":
					streams.ServeHTTP(w, req)
				case strings.HasSuffix(req.URL.Path, "/version") && test.dead:
					http.Error(w, "service unavailable", http.StatusServiceUnavailable)
				case strings.HasSuffix(req.URL.Path, "/version"):
					_, _ = io.WriteString(w, `{}`)
				default:
					_, _ = io.WriteString(w, test.machine)
				}
			}))
			b.gateway.timing.explain = test.explain
			client := b.mustConnect("alice", test.path)
			close(end)
			frame := closeOf(t, client, 5*time.Second)
			assert.Equal(t, test.code, frame.Code)
			assert.Contains(t, frame.Text, test.text)
			require.Eventually(t, func() bool { return len(b.gateway.Sessions().List("", "")) == 0 }, 5*time.Second, 10*time.Millisecond)
		})
	}
}
