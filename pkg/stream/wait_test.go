package stream

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

func startingServer() *tensorstack.VirtualServer {
	server := runningServer()
	server.Status.PrintableStatus, server.Status.VM.InstanceUID = tensorstack.StatusStarting, ""
	return server
}

// waitingBench has a machine that is starting and clients that wait.
func waitingBench(t *testing.T, wait time.Duration, kubevirt http.Handler) *bench {
	b := newBench(t, kubevirt)
	b.store.put(startingServer())
	calls := b.calls
	b.calls = func(req *http.Request) Call {
		call := calls(req)
		call.Wait = wait
		return call
	}
	return b
}

// later acts when the gateway watches.
func (b *bench) later(act func()) {
	go func() {
		<-b.store.watched
		act()
	}()
}

func TestWaitUntilTheMachineIsUp(t *testing.T) {
	b := waitingBench(t, time.Minute, upgraded(echo))
	b.later(func() {
		b.store.breakWatches()
		server := runningServer()
		server.ResourceVersion = "2"
		b.store.put(server)
	})
	client := b.mustConnect("alice", "/console")
	require.NoError(t, client.WriteMessage(websocket.BinaryMessage, []byte("up")))
	_, got, err := client.ReadMessage()
	require.NoError(t, err)
	assert.Equal(t, "up", string(got))
}

func TestWaitSeesAMachineThatManyWatch(t *testing.T) {
	b := waitingBench(t, time.Minute, upgraded(echo))
	b.store.manyWatch = true
	b.later(func() {
		server := runningServer()
		server.ResourceVersion = "2"
		b.store.put(server)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	server, err := b.gateway.machines.awaitReady(ctx, "ns", "vs", time.Minute)
	require.NoError(t, err)
	assert.Equal(t, "2", server.ResourceVersion)
}

func TestWaitEndsInAnError(t *testing.T) {
	for _, test := range []struct {
		name string
		wait time.Duration
		act  func(*bench)
		code int
		text string
	}{
		{name: "time is over", wait: 50 * time.Millisecond, act: func(*bench) {}, code: 400, text: "not up after 50ms"},
		{name: "it will not come", wait: time.Minute, act: func(b *bench) {
			server := startingServer()
			server.ResourceVersion, server.Status.PrintableStatus, server.Status.RunStrategy = "2", tensorstack.StatusStopped, tensorstack.RunStrategyHalted
			b.store.put(server)
		}, code: 409, text: "will not start"},
		{name: "shutdown", wait: time.Minute, act: func(b *bench) {
			_ = b.gateway.Sessions().Shutdown(context.Background())
		}, code: 503, text: "shutting down"},
		{name: "another object of that name", wait: time.Minute, act: func(b *bench) {
			server := runningServer()
			server.ResourceVersion, server.UID = "2", "other"
			b.store.put(server)
		}, code: 404, text: "not found"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := waitingBench(t, test.wait, http.NotFoundHandler())
			b.later(func() { test.act(b) })
			_, response, err := b.connect("alice", "/console")
			require.ErrorIs(t, err, websocket.ErrBadHandshake)
			assert.Equal(t, test.code, response.StatusCode)
			body, _ := io.ReadAll(response.Body)
			assert.Contains(t, string(body), test.text)
		})
	}
}

func TestLongWaitIsUpgradedEarly(t *testing.T) {
	b := waitingBench(t, time.Minute, upgraded(echo))
	b.gateway.earlyUpgrade = 20 * time.Millisecond
	client := b.mustConnect("alice", "/console")
	server := runningServer()
	server.ResourceVersion = "2"
	b.store.put(server)
	require.NoError(t, client.WriteMessage(websocket.BinaryMessage, []byte("typed ahead")))
	_, got, err := client.ReadMessage()
	require.NoError(t, err)
	assert.Equal(t, "typed ahead", string(got))
}

func TestErrorAfterAnEarlyUpgradeIsACloseFrame(t *testing.T) {
	b := waitingBench(t, 200*time.Millisecond, http.NotFoundHandler())
	b.gateway.earlyUpgrade = 20 * time.Millisecond
	client := b.mustConnect("alice", "/console")
	frame := closeOf(t, client, 5*time.Second)
	assert.Equal(t, websocket.CloseTryAgainLater, frame.Code)
	assert.Contains(t, frame.Text, "is not up after")
}

func TestWaitBearsWithKubeVirtBeingSlower(t *testing.T) {
	var asked atomic.Int32
	b := waitingBench(t, time.Minute, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if asked.Add(1) == 1 {
			http.Error(w, "VMI is not running", http.StatusBadRequest)
			return
		}
		upgraded(echo).ServeHTTP(w, req)
	}))
	b.store.put(runningServer())
	b.mustConnect("alice", "/console")
	assert.EqualValues(t, 2, asked.Load())
}
