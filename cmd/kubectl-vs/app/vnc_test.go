package app

import (
	"bytes"
	"io"
	"net"
	"regexp"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// greets is the server of a machine that speaks first, as VNC does, and says whether it is answered.
func greets(connection *websocket.Conn) {
	_ = connection.WriteMessage(websocket.BinaryMessage, []byte("RFB 003.008\n"))
	if _, answer, err := connection.ReadMessage(); err == nil {
		closeFrame(connection, 4000, "answered "+string(answer))
	}
}

func TestAViewerThatFailsEndsTheSession(t *testing.T) {
	program(t, "remote-viewer", `echo "cannot open display" >&2; exit 3`)
	errOut := &bytes.Buffer{}
	command := NewCommand(genericiooptions.IOStreams{In: forever(t), Out: io.Discard, ErrOut: errOut})
	command.SetArgs(append(apiServer(t, greets), "vnc", "my-vs"))
	require.EqualError(t, command.ExecuteContext(t.Context()), "the viewer ended before it connected: exit status 3")
	assert.Equal(t, "cannot open display\n", errOut.String())
}

// A session that is lost while there is no viewer yet ends, too, and the viewer with it.
func TestASessionThatIsLostBeforeTheViewerConnects(t *testing.T) {
	program(t, "remote-viewer", `exec sleep 60`)
	command := NewCommand(discard())
	command.SetArgs(append(apiServer(t, func(connection *websocket.Conn) { closeFrame(connection, 4001, "ann took the screen over") }), "vnc", "my-vs"))
	require.EqualError(t, command.ExecuteContext(t.Context()), "ann took the screen over")
}

// What the machine said before there was a viewer is not lost.
func TestALateViewerSeesTheGreeting(t *testing.T) {
	reader, writer := io.Pipe()
	command := NewCommand(genericiooptions.IOStreams{In: forever(t), Out: writer, ErrOut: io.Discard})
	command.SetArgs(append(apiServer(t, greets), "vnc", "my-vs", "--proxy-only"))
	ended := make(chan error, 1)
	go func() { ended <- command.ExecuteContext(t.Context()) }()
	line := make([]byte, 200)
	n, err := reader.Read(line)
	require.NoError(t, err)
	address := regexp.MustCompile(`vnc://(\S+)\n`).FindStringSubmatch(string(line[:n]))
	require.NotNil(t, address, string(line[:n]))
	viewer, err := net.Dial("tcp", address[1])
	require.NoError(t, err)
	defer viewer.Close()
	greeting := make([]byte, 12)
	_, err = io.ReadFull(viewer, greeting)
	require.NoError(t, err)
	assert.Equal(t, "RFB 003.008\n", string(greeting))
	_, err = viewer.Write([]byte("me"))
	require.NoError(t, err)
	require.EqualError(t, <-ended, "answered me")
}
