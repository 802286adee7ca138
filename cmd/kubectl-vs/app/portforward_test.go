package app

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// apiServer answers every stream, shows a machine that runs to every other request, and returns the flags that lead to it.
func apiServer(t *testing.T, serve func(*websocket.Conn)) []string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !websocket.IsWebSocketUpgrade(r) {
			showMachine(w, r)
			return
		}
		connection, err := (&websocket.Upgrader{Subprotocols: []string{plainProtocol}}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer connection.Close()
		serve(connection)
	}))
	t.Cleanup(server.Close)
	return []string{"--server", server.URL, "--namespace", "team"}
}

// showMachine answers a read of the machine, of the list with it, or a watch in which nothing happens.
func showMachine(w http.ResponseWriter, r *http.Request) {
	vs := machine(func(vs *v1beta1.VirtualServer) { vs.Name, vs.Namespace = "my-vs", "team" }, is(v1beta1.StatusRunning, ""))
	switch {
	case r.URL.Query().Get("watch") != "":
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case strings.HasSuffix(r.URL.Path, "/virtualservers"):
		list := &v1beta1.VirtualServerList{Items: []v1beta1.VirtualServer{*vs}}
		list.SetGroupVersionKind(v1beta1.SchemeGroupVersion.WithKind("VirtualServerList"))
		answer(w, list)
	default:
		vs.SetGroupVersionKind(v1beta1.SchemeGroupVersion.WithKind("VirtualServer"))
		answer(w, vs)
	}
}

func closeFrame(connection *websocket.Conn, code int, text string) {
	_ = connection.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, text), time.Now().Add(time.Second))
	readAll(connection)
}

// Most programs end a connection by closing it. ssh's ProxyCommand must not fail of that.
func TestAPortThatIsClosedCleanlyIsNoError(t *testing.T) {
	for name, test := range map[string]struct {
		code int
		want string
	}{"clean": {websocket.CloseNormalClosure, ""}, "the machine stopped": {4000, "KubeVirt closed the stream"}} {
		t.Run(name, func(t *testing.T) {
			flags := apiServer(t, func(connection *websocket.Conn) {
				_ = connection.WriteMessage(websocket.BinaryMessage, []byte("last words"))
				closeFrame(connection, test.code, "KubeVirt closed the stream")
			})
			out := &bytes.Buffer{}
			command := NewCommand(genericiooptions.IOStreams{In: forever(t), Out: out, ErrOut: &strings.Builder{}})
			command.SetArgs(append(flags, "port-forward", "--stdio", "my-vs", "22"))
			err := command.ExecuteContext(t.Context())
			if test.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.want)
			}
			assert.Equal(t, "last words", out.String())
		})
	}
}

// tiredListener cannot accept at first, and is closed after that.
type tiredListener struct {
	net.Listener
	errors []error
}

func (l *tiredListener) Accept() (net.Conn, error) {
	err := l.errors[0]
	l.errors = l.errors[1:]
	return nil, err
}

func TestAPortThatCannotAcceptTriesAgain(t *testing.T) {
	errOut := &strings.Builder{}
	s := &session{IOStreams: genericiooptions.IOStreams{ErrOut: errOut}}
	listener := &tiredListener{errors: []error{errors.New("too many open files"), net.ErrClosed}}
	s.serve(t.Context(), &sync.WaitGroup{}, listener, "my-vs", 80)
	assert.Equal(t, "port 80: too many open files; trying again\n", errOut.String())
	assert.Empty(t, listener.errors)
}
