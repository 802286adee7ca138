package handler

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

func TestExclusiveSessions(t *testing.T) {
	s := newSessions()
	background := context.Background()
	first, endFirst := s.begin(background, consoleKind, "u-1", true)
	other, endOther := s.begin(background, consoleKind, "u-2", true)
	screen, endScreen := s.begin(background, displayKind, "u-1", true)
	second, endSecond := s.begin(background, consoleKind, "u-1", true)
	assert.Error(t, first.Err(), "the newer session must end the older")
	assert.NoError(t, second.Err())
	assert.NoError(t, other.Err())
	assert.NoError(t, screen.Err())
	endFirst()
	assert.Equal(t, 1, s.count(consoleKind, "u-1"))
	s.drop("u-1")
	assert.Error(t, second.Err())
	assert.Error(t, screen.Err())
	assert.NoError(t, other.Err())
	endOther()
	endScreen()
	endSecond()
	s.wait()
}

// TestStream sends frames of all kinds through an echo.
func TestStream(t *testing.T) {
	h := &Handler{sessions: newSessions()}
	vmi := &kubevirtv1.VirtualMachineInstance{ObjectMeta: metav1.ObjectMeta{UID: "u-1"}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.stream(w, r, vmi, consoleKind, true, echo)
	}))
	defer server.Close()
	dialer := websocket.Dialer{Subprotocols: []string{subprotocol}}
	dial := func() *websocket.Conn {
		conn, _, err := dialer.Dial("ws"+strings.TrimPrefix(server.URL, "http"), nil)
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
		return conn
	}
	conn := dial()
	defer conn.Close()
	assert.Equal(t, subprotocol, conn.Subprotocol())
	require.NoError(t, conn.WriteMessage(websocket.TextMessage, []byte("ignored")))
	require.NoError(t, conn.WriteMessage(websocket.BinaryMessage, nil))
	large := strings.Repeat("0123456789", 20000)
	require.NoError(t, conn.WriteMessage(websocket.BinaryMessage, []byte(large)))
	got, err := io.ReadAll(io.LimitReader(&binaryConn{conn: conn}, int64(len(large))))
	require.NoError(t, err)
	assert.True(t, large == string(got), "the bytes must arrive unchanged and in order")

	next := dial()
	defer next.Close()
	_, _, err = conn.ReadMessage()
	assert.Error(t, err, "the newer session must end the older")
	require.NoError(t, next.Close())
	h.sessions.wait()
}
