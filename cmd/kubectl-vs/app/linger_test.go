package app

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	testingclock "k8s.io/utils/clock/testing"
)

// roundTrips makes sure that the other side is still there: it answers pings.
func roundTrips(connection *websocket.Conn, count int) bool {
	pongs := make(chan struct{}, count)
	connection.SetPongHandler(func(string) error { pongs <- struct{}{}; return nil })
	broken := make(chan struct{})
	go func() {
		defer close(broken)
		readAll(connection)
	}()
	for range count {
		if connection.WriteControl(websocket.PingMessage, nil, time.Now().Add(10*time.Second)) != nil {
			return false
		}
		select {
		case <-pongs:
		case <-broken:
			return false
		}
	}
	return true
}

// A guest answers after the question has ended, so the end of the input must not end the session.
func TestTheEndOfTheInputLosesNoOutput(t *testing.T) {
	answer := strings.Repeat("all of the answer\r\n", 10000)
	for name, arguments := range map[string][]string{
		"console":              {"console", "my-vs"},
		"port-forward --stdio": {"port-forward", "--stdio", "my-vs", "25"},
	} {
		for kind, input := range map[string]io.Reader{
			"commands":               strings.NewReader("uptime\n"),
			"commands, end included": io.MultiReader(strings.NewReader("uptime\n")),
			"nothing":                strings.NewReader(""),
		} {
			t.Run(name+" "+kind, func(t *testing.T) {
				flags := apiServer(t, func(connection *websocket.Conn) {
					if kind != "nothing" {
						_, _, _ = connection.ReadMessage() // What is missing shows in the output.
					}
					if roundTrips(connection, 5) {
						_ = connection.WriteMessage(websocket.BinaryMessage, []byte(answer))
						_ = connection.WriteControl(websocket.CloseMessage,
							websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
					}
				})
				out := &bytes.Buffer{}
				command := NewCommand(genericiooptions.IOStreams{In: input, Out: out, ErrOut: io.Discard})
				command.SetArgs(append(flags, arguments...))
				require.NoError(t, command.ExecuteContext(t.Context()))
				assert.Equal(t, len(answer), out.Len())
			})
		}
	}
}

// A program that has sent its question closes its half of the connection, as "nc -N" does, and waits for the answer.
func TestAForwardedPortAnswersAHalfClosedConnection(t *testing.T) {
	answer := bytes.Repeat([]byte("answer "), 10000)
	flags := apiServer(t, func(connection *websocket.Conn) {
		_, _, _ = connection.ReadMessage()
		if roundTrips(connection, 5) {
			_ = connection.WriteMessage(websocket.BinaryMessage, answer)
			_ = connection.WriteControl(websocket.CloseMessage,
				websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
		}
	})
	reader, writer := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	command := NewCommand(genericiooptions.IOStreams{In: forever(t), Out: writer, ErrOut: io.Discard})
	command.SetArgs(append(flags, "port-forward", "my-vs", "0:80"))
	go func() { ended <- command.ExecuteContext(ctx) }()
	line := make([]byte, 1024)
	n, err := reader.Read(line)
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(line[:n]), "Forwarding from ")
	address, _, _ := strings.Cut(rest, " ")

	local, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	require.NoError(t, err)
	defer local.Close()
	_, err = local.Write([]byte("question"))
	require.NoError(t, err)
	require.NoError(t, local.(*net.TCPConn).CloseWrite())
	got, err := io.ReadAll(local)
	require.NoError(t, err)
	assert.Equal(t, len(answer), len(got))
	cancel()
	require.NoError(t, <-ended)
}

func TestALingeringStreamEndsWhenItIsQuiet(t *testing.T) {
	clock := testingclock.NewFakeClock(time.Unix(1000, 0))
	out := &bytes.Buffer{}
	pipe := lingerFor(t.Context(), quietAfterInput, strings.NewReader("x"), out)
	pipe.clock = clock
	ended := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(pipe) // A reader of strings cannot fail.
		ended <- string(text)
	}()
	waits := func() bool { return clock.HasWaiters() }
	for range 3 {
		require.Eventually(t, waits, 30*time.Second, time.Millisecond, "output was still coming")
		_, err := pipe.Write([]byte("."))
		require.NoError(t, err)
		clock.Step(quietAfterInput / 2)
	}
	require.Eventually(t, waits, 30*time.Second, time.Millisecond, "output was still coming")
	assert.Empty(t, ended)
	clock.Step(quietAfterInput / 2)
	assert.Equal(t, "x", <-ended)
	assert.Equal(t, "...", out.String())
}

func TestTheEscapeKeyDoesNotLinger(t *testing.T) {
	got := make(chan string, 1)
	connection := far(t, func(connection *websocket.Conn) { got <- readAll(connection) })
	keys := &escapeReader{reader: lingerFor(t.Context(), 0, strings.NewReader("ls\r\x1d"), io.Discard)}
	require.NoError(t, copyStream(t.Context(), connection, keys, io.Discard))
	assert.Equal(t, "ls\r", <-got)
}

// "kubectl vs console my-vs | grep -m1 login" ends at the prompt, after which the guest says nothing more.
func TestAConsoleEndsWhenNobodyReadsIt(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there only a write notices it")
	}
	for name, input := range map[string]func() io.Reader{
		"a silent input":     func() io.Reader { return forever(t) },
		"an input that ends": func() io.Reader { return strings.NewReader("\n") },
	} {
		t.Run(name, func(t *testing.T) {
			flags := apiServer(t, func(connection *websocket.Conn) {
				_ = connection.WriteMessage(websocket.BinaryMessage, []byte("login: "))
				readAll(connection)
			})
			reader, writer, err := os.Pipe()
			require.NoError(t, err)
			defer writer.Close()
			command := NewCommand(genericiooptions.IOStreams{In: input(), Out: writer, ErrOut: io.Discard})
			command.SetArgs(append(flags, "console", "my-vs"))
			ended := make(chan error, 1)
			go func() { ended <- command.ExecuteContext(t.Context()) }()
			_, err = io.ReadFull(reader, make([]byte, len("login: ")))
			require.NoError(t, err)
			select {
			case err := <-ended:
				t.Fatal("it ended while somebody read", err)
			default:
			}
			require.NoError(t, reader.Close())
			require.NoError(t, <-ended)
		})
	}
}
