package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	"k8s.io/client-go/rest"
)

// plainProtocol is the websocket subprotocol of KubeVirt's streams: raw bytes in binary messages
// (kubevirt.io/client-go/subresources).
const plainProtocol = "plain.kubevirt.io"

// closeTimeout is how long a last close message may take.
const closeTimeout = 2 * time.Second

// handshakeTimeout is how long it may take to open a stream, unless --request-timeout says otherwise. The longest wait that we
// ask of the server is shorter, and so is the patience of kube-apiserver.
const handshakeTimeout = 70 * time.Second

// patience is how long an open stream may be silent. The server pings every 25 seconds (docs/streams.md).
const patience = 2 * time.Minute

// open opens a stream subresource of a VirtualServer.
func (s *session) open(ctx context.Context, name string, query url.Values, subresource ...string) (*websocket.Conn, error) {
	config, err := s.config()
	if err != nil {
		return nil, err
	}
	namespace, err := s.namespace()
	if err != nil {
		return nil, err
	}
	location, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, err
	}
	location.Path = strings.TrimSuffix(location.Path, "/") + resourcePath(namespace, name, subresource...)
	location.RawQuery = query.Encode()
	location.Scheme = strings.Replace(location.Scheme, "http", "ws", 1)
	return dial(ctx, config, location)
}

// dial opens a websocket with everything that a rest.Config can hold: CA, client certificate, token, exec plugin, proxy.
func dial(ctx context.Context, config *rest.Config, location *url.URL) (*websocket.Conn, error) {
	tlsConfig, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, err
	}
	if tlsConfig == nil {
		tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	tlsConfig.NextProtos = []string{"http/1.1"}
	recorder := &headerRecorder{}
	wrapped, err := rest.HTTPWrappersForConfig(config, recorder)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, location.String(), nil)
	if err != nil {
		return nil, err
	}
	if _, err := wrapped.RoundTrip(request); err != nil && !errors.Is(err, errRecorded) {
		return nil, err
	}
	dialer := websocket.Dialer{
		TLSClientConfig: tlsConfig, Subprotocols: []string{plainProtocol}, Proxy: http.ProxyFromEnvironment,
		HandshakeTimeout: handshakeTimeout, ReadBufferSize: 64 << 10, WriteBufferSize: 64 << 10,
	}
	if config.Timeout > 0 {
		dialer.HandshakeTimeout = config.Timeout
	}
	if config.Proxy != nil {
		dialer.Proxy = config.Proxy
	}
	connection, response, err := dialer.DialContext(ctx, location.String(), recorder.header)
	if err == nil {
		return connection, nil
	}
	if response != nil {
		return nil, refusalOf(response)
	}
	return nil, err
}

var errRecorded = errors.New("headers are recorded")

// headerRecorder collects the headers that the wrappers of a rest.Config add, because a websocket dial bypasses them.
type headerRecorder struct{ header http.Header }

// RoundTrip implements http.RoundTripper without sending anything.
func (r *headerRecorder) RoundTrip(request *http.Request) (*http.Response, error) {
	r.header = request.Header.Clone()
	return nil, errRecorded
}

// copyStream moves bytes both ways until one side ends, and returns why: nil for a normal end. The caller's reader may
// stay blocked after that; its goroutine ends with the process or with the next read.
func copyStream(ctx context.Context, connection *websocket.Conn, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	received, sent := make(chan error, 1), make(chan error, 1)
	go func() { received <- receive(connection, out, patience) }()
	go func() { sent <- send(connection, in) }()
	var err error
	farEnded := false
	select {
	case err = <-received:
		farEnded = true
	case err = <-sent:
		if err != nil {
			err = betterReason(received, err)
		}
	case <-ctx.Done():
	}
	message := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	deadline := time.Now().Add(closeTimeout)
	writeErr := connection.WriteControl(websocket.CloseMessage, message, deadline)
	if err == nil && !farEnded && !errors.Is(writeErr, websocket.ErrCloseSent) {
		err = writeErr
	}
	// What the far side ended needs no answer, and it may be gone. Under TLS even closing fails then.
	_ = connection.Close()
	return err
}

// betterReason waits a moment for the reader of a connection that cannot be written to: it may have read why.
func betterReason(received <-chan error, err error) error {
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case reason := <-received:
		return reason
	case <-timer.C:
	}
	return err
}

// receive writes what comes until the stream ends, or until nothing came for too long, not even a ping: nobody tells the end of a
// connection on which nothing arrives any more.
func receive(connection *websocket.Conn, out io.Writer, patience time.Duration) error {
	source := &patientReader{connection: connection, patience: patience}
	answer := connection.PingHandler()
	connection.SetPingHandler(func(text string) error { return errors.Join(source.refresh(), answer(text)) })
	buffer := make([]byte, 64<<10)
	for {
		if err := source.refresh(); err != nil {
			return closeReason(err)
		}
		_, reader, err := connection.NextReader()
		if err != nil {
			return closeReason(err)
		}
		source.message = reader
		if _, err := io.CopyBuffer(out, source, buffer); err != nil {
			return err
		}
	}
}

// patientReader reads a message and extends the deadline before each read. The time that a slow output takes does not count.
type patientReader struct {
	connection *websocket.Conn
	message    io.Reader
	patience   time.Duration
}

// Read implements io.Reader.
func (r *patientReader) Read(buffer []byte) (int, error) {
	if err := r.refresh(); err != nil {
		return 0, err
	}
	n, err := r.message.Read(buffer)
	if err != nil && !errors.Is(err, io.EOF) {
		err = closeReason(err)
	}
	return n, err
}

func (r *patientReader) refresh() error {
	return r.connection.SetReadDeadline(time.Now().Add(r.patience))
}

func send(connection *websocket.Conn, in io.Reader) error {
	buffer := make([]byte, 64<<10)
	for {
		n, err := in.Read(buffer)
		if n > 0 {
			if writeErr := connection.WriteMessage(websocket.BinaryMessage, buffer[:n]); writeErr != nil {
				return closeReason(writeErr)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// ended is the reason that the server gave for closing a stream.
type ended struct {
	code   int
	reason string
}

// Error implements error.
func (e *ended) Error() string { return plain(e.reason) }

// closeReason shows the reason that the server gave for closing. A connection that ends without one was cut.
func closeReason(err error) error {
	var closed *websocket.CloseError
	switch {
	case !errors.As(err, &closed) || closed.Code == websocket.CloseAbnormalClosure:
		return fmt.Errorf("the connection to the server was lost, because it stopped or cannot be reached any more; connect again (%w)", err)
	case closed.Text != "":
		return &ended{code: closed.Code, reason: closed.Text}
	case closed.Code == websocket.CloseNormalClosure:
		return nil
	default:
		return err
	}
}

// orEOF forgives the close frame of a program in the guest that closed its connection, which is how most of them end.
func orEOF(err error) error {
	var closed *ended
	if errors.As(err, &closed) && closed.code == websocket.CloseNormalClosure {
		return nil
	}
	return err
}
