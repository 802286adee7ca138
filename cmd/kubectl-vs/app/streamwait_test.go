package app

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// startingMachine answers like the server of a machine that is up after a number of tries. It notes what it was asked.
func startingMachine(t *testing.T, tries int, code int, asked chan<- string) (flags []string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.RawQuery
		if len(asked) <= tries {
			w.WriteHeader(code)
			_, _ = w.Write([]byte(`{"kind":"Status","message":"virtualserver \"my-vs\" is not up yet (Starting)"}`))
			return
		}
		connection, err := (&websocket.Upgrader{Subprotocols: []string{plainProtocol}}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer connection.Close()
		closeFrame(connection, 4000, "the machine stopped")
	}))
	t.Cleanup(server.Close)
	return []string{"--server", server.URL, "--namespace", "team", "console", "my-vs"}
}

func runConsole(ctx context.Context, t *testing.T, arguments ...string) (string, error) {
	t.Helper()
	errOut := &bytes.Buffer{}
	command := NewCommand(genericiooptions.IOStreams{In: forever(t), Out: &bytes.Buffer{}, ErrOut: errOut})
	command.SetArgs(arguments)
	err := command.ExecuteContext(ctx)
	return errOut.String(), err
}

// "Connected" is only said of a machine that is there. The server is never asked to wait so long that it would open the stream
// before.
func TestAConsoleWaitsForAMachineThatStarts(t *testing.T) {
	asked := make(chan string, 9)
	text, err := runConsole(t.Context(), t, append(startingMachine(t, 2, http.StatusBadRequest, asked), "--take-over")...)
	require.EqualError(t, err, "the machine stopped")
	assert.Equal(t, "Waiting for the machine: virtualserver \"my-vs\" is not up yet (Starting)\nConnected to my-vs. Leave with Ctrl-].\r\n\r\n", text)
	require.Len(t, asked, 3)
	assert.Equal(t, "takeOver=true", <-asked)
	assert.Equal(t, "takeOver=true&wait=40", <-asked)
	assert.Equal(t, "takeOver=true&wait=40", <-asked)
}

func TestAConsoleGivesUpWaiting(t *testing.T) {
	for name, test := range map[string]struct {
		code    int
		timeout string
		want    string
	}{
		"after the time": {http.StatusBadRequest, "1500ms", `not connected after 1.5s: virtualserver "my-vs" is not up yet (Starting) (try: kubectl vs why my-vs --server=http://`},
		"at once":        {http.StatusBadRequest, "0", `virtualserver "my-vs" is not up yet (Starting)`},
		"for good":       {http.StatusConflict, "1h", "is not up yet"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan string, 9)
			text, err := runConsole(t.Context(), t, append(startingMachine(t, 9, test.code, asked), "--timeout", test.timeout)...)
			require.ErrorContains(t, err, test.want)
			assert.NotContains(t, text, "Connected")
		})
	}
}

func TestAWaitForAConsoleCanBeInterrupted(t *testing.T) {
	asked := make(chan string, 9)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := runConsole(ctx, t, startingMachine(t, 9, http.StatusBadRequest, asked)...)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
