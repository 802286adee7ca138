package apiserver

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAFailedUpgradeEndsTheConnection(t *testing.T) {
	server := httptest.NewServer(withUpgrades(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/opens" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		connection, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if assert.NoError(t, err) {
			defer connection.Close()
			assert.NoError(t, connection.WriteMessage(websocket.BinaryMessage, []byte("hello")))
		}
	})))
	defer server.Close()
	socket := "ws" + server.URL[len("http"):]

	_, refused, err := websocket.DefaultDialer.Dial(socket+"/refuses", nil)
	require.ErrorIs(t, err, websocket.ErrBadHandshake)
	assert.True(t, refused.Close)

	opened, response, err := websocket.DefaultDialer.Dial(socket+"/opens", nil)
	require.NoError(t, err)
	defer opened.Close()
	assert.Equal(t, []string{"Upgrade"}, response.Header.Values("Connection"))
	_, message, err := opened.ReadMessage()
	require.NoError(t, err)
	assert.Equal(t, "hello", string(message))

	plain, err := http.Get(server.URL + "/refuses")
	require.NoError(t, err)
	defer plain.Body.Close()
	assert.False(t, plain.Close, "other connections stay")
}
