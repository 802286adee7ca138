package stream

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// onlyBinary plays virt-handler, which drops what is not binary, and answers with what it got.
func onlyBinary(connection *websocket.Conn) {
	for {
		kind, message, err := connection.ReadMessage()
		if err != nil {
			return
		}
		if kind == websocket.BinaryMessage && connection.WriteMessage(websocket.BinaryMessage, message) != nil {
			return
		}
	}
}

// A browser's terminal sends text, which KubeVirt drops.
func TestTextMessagesReachTheMachine(t *testing.T) {
	bench := newBench(t, upgraded(onlyBinary))
	for _, kind := range Kinds() {
		connection := bench.mustConnect("alice", "/"+string(kind))
		for _, typed := range []string{"root\r", "\x03", "ä€", "", "\x1b[A", strings.Repeat("x", 200<<10), "a\x00b"} {
			for _, frame := range []int{websocket.TextMessage, websocket.BinaryMessage} {
				require.NoError(t, connection.WriteMessage(frame, []byte(typed)))
				got, message, err := connection.ReadMessage()
				require.NoError(t, err)
				assert.Equal(t, websocket.BinaryMessage, got)
				assert.Equal(t, typed, string(message), fmt.Sprintf("%s, message type %d", kind, frame))
			}
		}
	}
}
