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
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/testutil"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

func TestStreamCarriesMessages(t *testing.T) {
	var seen atomic.Pointer[http.Request]
	b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		seen.Store(req)
		upgraded(echo).ServeHTTP(w, req)
	}))
	client := b.mustConnect("alice", "/console")
	assert.Equal(t, Subprotocol, client.Subprotocol())
	for _, message := range []string{"login: ", "", "root\r\n"} {
		require.NoError(t, client.WriteMessage(websocket.BinaryMessage, []byte(message)))
		kind, got, err := client.ReadMessage()
		require.NoError(t, err)
		assert.Equal(t, websocket.BinaryMessage, kind)
		assert.Equal(t, message, string(got))
	}
	req := seen.Load()
	assert.Equal(t, "/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachineinstances/managed-virtualserver-9dda9/console", req.URL.Path)
	assert.Equal(t, []string{"Bearer " + testToken}, req.Header.Values("Authorization"), "our own identity")
	assert.Empty(t, req.Header.Values("Test-User"), "no header of the client travels on")
	assert.Equal(t, Subprotocol, req.Header.Get("Sec-Websocket-Protocol"))
	assert.Contains(t, <-b.events.Events, "ConsoleOpened alice opened the console")
}

func TestNoHeaderOfTheClientTravelsOn(t *testing.T) {
	headers := make(chan http.Header, 1)
	b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		headers <- req.Header.Clone()
		upgraded(echo).ServeHTTP(w, req)
	}))
	hostile := http.Header{
		"Test-User": {"alice"}, "Authorization": {"Bearer stolen"}, "Cookie": {"a=b"}, "Impersonate-User": {"system:admin"},
		"Impersonate-Group": {"system:masters"}, "X-Remote-User": {"system:admin"}, "X-Remote-Group": {"system:masters"},
		"X-Remote-Extra-Scopes": {"all"}, "X-Remote-Uid": {"1"}, "X-Forwarded-For": {"10.0.0.1"}, "Origin": {b.front.URL},
	}
	dialer := websocket.Dialer{TLSClientConfig: b.front.Client().Transport.(*http.Transport).TLSClientConfig}
	client, _, err := dialer.Dial("wss"+b.front.URL[len("https"):]+"/console", hostile)
	require.NoError(t, err)
	defer client.Close()
	got := <-headers
	assert.Equal(t, []string{"Bearer " + testToken}, got.Values("Authorization"))
	for name := range hostile {
		if name != "Authorization" {
			assert.NotContains(t, got, name)
		}
	}
}

func TestRefusedBeforeTheUpgrade(t *testing.T) {
	stopped := runningServer()
	stopped.Status.PrintableStatus, stopped.Status.RunStrategy = tensorstack.StatusStopped, tensorstack.RunStrategyHalted
	starting := runningServer()
	starting.Status.PrintableStatus = tensorstack.StatusStarting
	for _, test := range []struct {
		name, user, path string
		server           *tensorstack.VirtualServer
		kubevirt         http.HandlerFunc
		code             int
		text             string
		retry            string
	}{
		{name: "reading is not enough", user: "viewer", path: "/console", code: 403, text: "cannot create resource 'virtualservers/console'"},
		{name: "no right at all", user: "mallory", path: "/console", code: 403, text: "cannot get resource"},
		{name: "another stream", user: "viewer", path: "/vnc", code: 403, text: "virtualservers/vnc"},
		{name: "halted", user: "alice", path: "/console", server: stopped, code: 409, text: "will not start by itself"},
		{name: "starting", user: "alice", path: "/console", server: starting, code: 400, text: "not up yet"},
		{name: "KubeVirt says not yet", user: "alice", path: "/console", code: 400, text: "the machine is not running", kubevirt: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(400)
			_, _ = io.WriteString(w, `{"kind":"Status","message":"VMI is not running"}`)
		}},
		{name: "KubeVirt is away", user: "alice", path: "/console", code: 503, text: "KubeVirt is not available", retry: "1", kubevirt: func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "service unavailable", http.StatusServiceUnavailable)
		}},
		{name: "a redirect is not followed", user: "alice", path: "/console", code: 500, text: "302", kubevirt: func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, "https://elsewhere.example/", http.StatusFound)
		}},
		{name: "our account has no right", user: "alice", path: "/console", code: 503, text: "cluster administrator", kubevirt: func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "unauthorized", http.StatusUnauthorized)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			handler := test.kubevirt
			if handler == nil {
				handler = func(http.ResponseWriter, *http.Request) { t.Error("KubeVirt was asked") }
			}
			b := newBench(t, handler)
			if test.server != nil {
				b.store.put(test.server)
			}
			_, response, err := b.connect(test.user, test.path)
			require.ErrorIs(t, err, websocket.ErrBadHandshake)
			assert.Equal(t, test.code, response.StatusCode)
			assert.Equal(t, "application/json", response.Header.Get("Content-Type"), "virtctl reads the message only then")
			assert.Equal(t, test.retry, response.Header.Get("Retry-After"), "only what passes by itself is worth another try")
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			assert.Contains(t, string(body), test.text)
			assert.Empty(t, b.gateway.Sessions().List("", ""))
		})
	}
}

// A request that cannot become a stream has no effect, whatever it asks for.
func TestPlainRequestIsRefused(t *testing.T) {
	b := newBench(t, upgraded(echo))
	holder := b.mustConnect("alice", "/console")
	handshake := func(changes http.Header) http.Header {
		header := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
			"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Sec-Websocket-Version": {"13"}}
		for name, values := range changes {
			header[name] = values
		}
		return header
	}
	for _, test := range []struct {
		name   string
		header http.Header
		code   int
		text   string
	}{
		{name: "no upgrade", code: 400, text: "with a websocket upgrade"},
		{name: "another protocol", header: handshake(http.Header{"Upgrade": {"SPDY/3.1"}}), code: 400, text: "with a websocket upgrade"},
		{name: "another subprotocol", header: handshake(http.Header{"Sec-Websocket-Protocol": {"v5.channel.k8s.io"}}), code: 400, text: Subprotocol},
		{name: "another version", header: handshake(http.Header{"Sec-Websocket-Version": {"8"}}), code: 400, text: "must be 13"},
		{name: "no version", header: handshake(http.Header{"Sec-Websocket-Version": nil}), code: 400, text: "must be 13"},
		{name: "no key", header: handshake(http.Header{"Sec-Websocket-Key": nil}), code: 400, text: "Sec-WebSocket-Key"},
		{name: "a short key", header: handshake(http.Header{"Sec-Websocket-Key": {"c2hvcnQ="}}), code: 400, text: "Sec-WebSocket-Key"},
		{name: "a page of somebody else", header: handshake(http.Header{"Origin": {"https://evil.example"}}), code: 403, text: "evil.example"},
		{name: "a page of nobody", header: handshake(http.Header{"Origin": {"null"}}), code: 403, text: "null"},
		{name: "two pages", header: handshake(http.Header{"Origin": {b.front.URL, "https://evil.example"}}), code: 403, text: "must not open"},
	} {
		t.Run(test.name, func(t *testing.T) {
			req, err := http.NewRequest(http.MethodGet, b.front.URL+"/console?takeOver", nil)
			require.NoError(t, err)
			for name, values := range test.header {
				req.Header[name] = values
			}
			req.Header.Set("Test-User", "bob")
			response, err := b.front.Client().Do(req)
			require.NoError(t, err)
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			assert.Equal(t, test.code, response.StatusCode)
			assert.Contains(t, string(body), test.text)
			require.NoError(t, holder.WriteMessage(websocket.BinaryMessage, []byte("still here")))
			_, got, err := holder.ReadMessage()
			require.NoError(t, err, "whoever was connected still is")
			assert.Equal(t, "still here", string(got))
		})
	}
}

func TestSecondUserSeesTheHolder(t *testing.T) {
	b := newBench(t, upgraded(echo))
	first := b.mustConnect("alice", "/console")
	_, response, err := b.connect("bob", "/console")
	require.ErrorIs(t, err, websocket.ErrBadHandshake)
	assert.Equal(t, 409, response.StatusCode)
	body, _ := io.ReadAll(response.Body)
	assert.Contains(t, string(body), "alice holds the console since")

	b.mustConnect("bob", "/vnc")
	sessions := b.gateway.Sessions().List("ns", "vs")
	require.Len(t, sessions, 2)
	assert.Equal(t, "alice", sessions[0].User)

	taker := b.mustConnect("bob", "/console?takeOver")
	frame := closeOf(t, first, 5*time.Second)
	assert.Equal(t, CloseTakenOver, frame.Code)
	assert.Equal(t, "bob took the console over", frame.Text)
	require.NoError(t, taker.WriteMessage(websocket.BinaryMessage, []byte("x")))
	_, got, err := taker.ReadMessage()
	require.NoError(t, err)
	assert.Equal(t, "x", string(got))
}

func TestTheSameUserComesBack(t *testing.T) {
	b := newBench(t, upgraded(echo))
	first := b.mustConnect("alice", "/vnc")
	_, response, err := b.connect("alice", "/vnc?preserveSession")
	require.Error(t, err)
	assert.Equal(t, 409, response.StatusCode)
	b.mustConnect("alice", "/vnc")
	assert.Equal(t, CloseTakenOver, closeOf(t, first, 5*time.Second).Code)
}

func TestPortForwardsAreNotExclusive(t *testing.T) {
	b := newBench(t, upgraded(echo))
	b.mustConnect("alice", "/portforward")
	b.mustConnect("bob", "/portforward")
	assert.Len(t, b.gateway.Sessions().List("ns", "vs"), 2)
}

func TestEndsWithAReason(t *testing.T) {
	for _, test := range []struct {
		name string
		act  func(*bench, chan<- func(*websocket.Conn))
		code int
		text string
	}{
		{name: "the server shuts down", act: func(b *bench, _ chan<- func(*websocket.Conn)) {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			assert.NoError(t, b.gateway.Sessions().Shutdown(ctx))
		}, code: websocket.CloseGoingAway, text: "shutting down"},
		{name: "the machine stops and the stream stays open", act: func(b *bench, _ chan<- func(*websocket.Conn)) {
			server := runningServer()
			server.ResourceVersion, server.Status.PrintableStatus, server.Status.VM.InstanceUID = "2", tensorstack.StatusStopped, ""
			b.store.put(server)
		}, code: CloseMachineStopped, text: "stopped"},
		{name: "KubeVirt dies", act: func(_ *bench, kill chan<- func(*websocket.Conn)) {
			kill <- func(c *websocket.Conn) { _ = c.UnderlyingConn().Close() }
		}, code: websocket.CloseInternalServerErr, text: "connection to the machine was lost"},
		{name: "KubeVirt dies because the machine stopped", act: func(b *bench, kill chan<- func(*websocket.Conn)) {
			kill <- func(c *websocket.Conn) { _ = c.UnderlyingConn().Close() }
			server := runningServer()
			server.ResourceVersion, server.Status.VM.InstanceUID = "2", ""
			server.Status.LastFailure = &tensorstack.MachineFailure{InstanceUID: "run-1", Reason: "OOMKilled"}
			b.store.put(server)
		}, code: CloseMachineStopped, text: "OOMKilled"},
		{name: "KubeVirt closes", act: func(_ *bench, kill chan<- func(*websocket.Conn)) {
			kill <- func(c *websocket.Conn) {
				_ = c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "bye"), time.Now().Add(time.Second))
				drain(c)
			}
		}, code: 1000, text: "KubeVirt closed the stream: bye"},
	} {
		t.Run(test.name, func(t *testing.T) {
			kill := make(chan func(*websocket.Conn), 1)
			b := newBench(t, upgraded(func(connection *websocket.Conn) { (<-kill)(connection) }))
			client := b.mustConnect("alice", "/console")
			<-b.store.watched
			start := time.Now()
			done := make(chan struct{})
			go func() { defer close(done); test.act(b, kill) }()
			frame := closeOf(t, client, 5*time.Second)
			assert.Equal(t, test.code, frame.Code)
			assert.Contains(t, frame.Text, test.text)
			assert.Less(t, time.Since(start), 5*time.Second)
			<-done
			assert.Eventually(t, func() bool { return len(b.gateway.Sessions().List("", "")) == 0 }, 5*time.Second, 10*time.Millisecond)
			select {
			case kill <- func(*websocket.Conn) {}:
			default:
			}
			<-b.events.Events
			assert.Contains(t, <-b.events.Events, test.text)
		})
	}
}

func TestNoSessionAfterShutdown(t *testing.T) {
	b := newBench(t, upgraded(echo))
	require.NoError(t, b.gateway.Sessions().Shutdown(context.Background()))
	_, response, err := b.connect("alice", "/console")
	require.Error(t, err)
	assert.Equal(t, 503, response.StatusCode)
	assert.Equal(t, "1", response.Header.Get("Retry-After"))
}

func TestClientThatLeavesEndsTheStream(t *testing.T) {
	ended := make(chan error, 1)
	b := newBench(t, upgraded(func(connection *websocket.Conn) {
		_, _, err := connection.ReadMessage()
		ended <- err
	}))
	client := b.mustConnect("alice", "/console")
	require.NoError(t, client.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(time.Second)))
	select {
	case err := <-ended:
		assert.True(t, websocket.IsCloseError(err, websocket.CloseNormalClosure), "%v", err)
	case <-time.After(5 * time.Second):
		t.Fatal("KubeVirt was not told")
	}
}

func TestBothPeersArePinged(t *testing.T) {
	pinged := make(chan struct{}, 100)
	b := newBench(t, upgraded(func(connection *websocket.Conn) {
		connection.SetPingHandler(func(string) error {
			pinged <- struct{}{}
			return connection.WriteControl(websocket.PongMessage, nil, time.Now().Add(time.Second))
		})
		drain(connection)
	}))
	b.gateway.timing.ping, b.gateway.timing.peer = 50*time.Millisecond, 3*time.Second
	client := b.mustConnect("alice", "/console")
	fromUs := make(chan struct{}, 100)
	client.SetPingHandler(func(string) error {
		fromUs <- struct{}{}
		return client.WriteControl(websocket.PongMessage, nil, time.Now().Add(time.Second))
	})
	go drain(client)
	// More pings than a silent peer would have been given time for.
	for range 90 {
		select {
		case <-fromUs:
		case <-time.After(5 * time.Second):
			t.Fatal("the client was not pinged")
		}
	}
	<-pinged
	assert.Len(t, b.gateway.Sessions().List("ns", "vs"), 1, "a peer that answers pings stays")
}

func TestSilentPeerIsDropped(t *testing.T) {
	b := newBench(t, upgraded(echo))
	b.gateway.timing.ping, b.gateway.timing.peer = 20*time.Millisecond, 200*time.Millisecond
	client := b.mustConnect("alice", "/console")
	// Nothing reads from the client, so nothing answers the pings.
	assert.Eventually(t, func() bool { return len(b.gateway.Sessions().List("", "")) == 0 }, 8*time.Second, 20*time.Millisecond)
	_ = client
}

func TestAStreamIsCountedWhenItOpens(t *testing.T) {
	b := newBench(t, upgraded(echo))
	metrics.NewKubeRegistry().MustRegister(b.gateway.metrics.All()...)
	count := func(code string) float64 {
		value, err := testutil.GetCounterMetricValue(b.gateway.metrics.opened.WithLabelValues("console", code))
		require.NoError(t, err)
		return value
	}
	client := b.mustConnect("alice", "/console")
	require.NoError(t, client.WriteMessage(websocket.BinaryMessage, []byte("hello")))
	_, _, err := client.ReadMessage()
	require.NoError(t, err)
	assert.Equal(t, 1.0, count("101"), "it is open, and may be for hours")
	_, _, err = b.connect("bob", "/console")
	require.Error(t, err)
	assert.Equal(t, 1.0, count("409"))
}
