package integration

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"tensorstack.dev/virtualserver/test/controlplane"
	"tensorstack.dev/virtualserver/test/framework"
)

// connected is one entry of the subresource sessions.
type connected struct {
	ID, Stream, User string
	Since            metav1.Time
}

// sessions asks who is connected.
func (s *scene) sessions(t *testing.T) []connected {
	t.Helper()
	list := struct{ Items []connected }{}
	raw := s.MustKubectl("get", "--raw", framework.Path(s.Namespace)+"/my-vs/sessions")
	require.NoError(t, json.Unmarshal([]byte(raw), &list))
	return list.Items
}

func TestASecondUserSeesWhoHoldsTheConsoleAndMayTakeItOver(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	first, second := s.UserInRole("first", "edit"), s.UserInRole("second", "edit")
	console := framework.Path(s.Namespace) + "/my-vs/console"
	held := s.OpenConsole(first.Config, console)
	held.Login()
	holder := "system:serviceaccount:" + s.Namespace + ":first"

	sessions := s.sessions(t)
	require.Len(t, sessions, 1)
	assert.Equal(t, "console", sessions[0].Stream)
	assert.Equal(t, holder, sessions[0].User)
	assert.WithinDuration(t, time.Now(), sessions[0].Since.Time, framework.DefaultTimeout)

	prefix := framework.KubeVirtPrefix + kubeVirtPath(s.Namespace, "virtualmachineinstances", "my-vs", "console")
	for _, path := range []string{console, prefix} {
		response, body := send(s.Environment, second.Config, http.MethodGet, path, true, nil)
		require.Equal(t, http.StatusConflict, response.StatusCode)
		assert.Contains(t, body, holder, "the refusal names the holder")
		assert.Contains(t, body, "takeOver=true", "and says what to do")
	}
	assert.Equal(t, "my-vs\n", held.Run("hostname"), "the first session did not notice")

	taken := s.OpenConsole(second.Config, console+"?takeOver=true")
	frame := closeFrame(t, held.Connection)
	assert.Equal(t, 4001, frame.Code)
	assert.Contains(t, frame.Text, ":second took the console over")
	taken.Login()
	sessions = s.sessions(t)
	require.Len(t, sessions, 1)
	assert.True(t, strings.HasSuffix(sessions[0].User, ":second"))
	require.NoError(t, taken.Connection.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second)))
	closeFrame(t, taken.Connection)
	s.leavesTraces(t, holder, sessions[0].ID)
}

// closeFrame reads until the stream ends and returns how.
func closeFrame(t *testing.T, connection *websocket.Conn) *websocket.CloseError {
	t.Helper()
	require.NoError(t, connection.SetReadDeadline(time.Now().Add(framework.DefaultTimeout)))
	for {
		if _, _, err := connection.ReadMessage(); err != nil {
			var frame *websocket.CloseError
			require.ErrorAs(t, err, &frame)
			return frame
		}
	}
}

// leavesTraces looks for the first user's session in events and metrics, and for the second's in the audit log.
func (s *scene) leavesTraces(t *testing.T, holder, id string) {
	t.Helper()
	s.Eventually("events tell who came and how it ended", func() error {
		text := s.MustKubectl("get", "events", "--field-selector=involvedObject.kind=VirtualServer", "-o", "json")
		for _, want := range []string{holder + " opened the console", "ConsoleOpened", "ConsoleClosed", "took the console over"} {
			if !strings.Contains(text, want) {
				return errMissing(want)
			}
		}
		return nil
	})
	text := s.productMetrics(t)
	for _, want := range []string{
		`virtualserver_stream_open_sessions{kind="console"}`, `virtualserver_stream_requests_total{code="101",kind="console"}`,
		`virtualserver_stream_requests_total{code="409",kind="console"}`, `virtualserver_stream_closed_total{code="4001",kind="console"}`,
		`virtualserver_stream_bytes_total{direction="to_machine",kind="console"}`,
	} {
		assert.Contains(t, text, want)
	}
	s.Eventually("the audit log has both sessions", func() error {
		log, err := os.ReadFile(s.Plane.LogFile(controlplane.ProductAudit))
		if err != nil {
			return err
		}
		for _, want := range []string{
			`"streams.tensorstack.dev/session":"` + id + `"`,
			`"streams.tensorstack.dev/virtual-machine":"` + s.Namespace + "/" + s.machine + `"`,
			`"streams.tensorstack.dev/closed":"4001 `,
		} {
			if !strings.Contains(string(log), want) {
				return errMissing(want)
			}
		}
		return nil
	})
}

// productMetrics reads the product's own metrics.
func (s *scene) productMetrics(t *testing.T) string {
	t.Helper()
	direct := s.ProductConfig(s.Config)
	client, err := rest.HTTPClientFor(direct)
	require.NoError(t, err)
	response, err := client.Get(direct.Host + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, "%s", text)
	return string(text)
}
