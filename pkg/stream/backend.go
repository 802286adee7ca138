package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
)

// Sizes of websocket buffers in bytes. Write buffers come from a pool and are held only while a message is written, so that an
// idle stream costs little. The read buffer only holds frame headers and short messages; long ones are read past it. A write
// buffer is larger than the messages of 64 KiB that are usual: one that is just full is sent before the end of its message is
// seen, and an empty frame follows, which every server on the way has to carry.
const (
	readBufferSize  = 4 << 10
	writeBufferSize = 65 << 10
)

// handshakeTimeout bounds the dial, the TLS handshake and the upgrade to KubeVirt, which itself dials a node first.
const handshakeTimeout = 30 * time.Second

// Backend reaches KubeVirt through kube-apiserver with the server's own identity. It is safe for concurrent use.
type Backend struct {
	base      *url.URL
	dialer    *websocket.Dialer
	wrapper   http.RoundTripper
	transport http.RoundTripper
}

// NewBackend prepares connections with the address and the credentials of config. It refuses a config that does not
// verify the server's certificate.
func NewBackend(config *rest.Config, buffers websocket.BufferPool) (*Backend, error) {
	if config.Insecure {
		return nil, errors.New("the connection to kube-apiserver must verify its certificate")
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("address of kube-apiserver: %w", err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, fmt.Errorf("transport to kube-apiserver: %w", err)
	}
	// A websocket needs HTTP/1.1 on its own connection, and the headers that the wrappers of the transport would have added.
	upgrading := rest.CopyConfig(config)
	upgrading.NextProtos = []string{"http/1.1"}
	tlsConfig, err := rest.TLSConfigFor(upgrading)
	if err != nil {
		return nil, fmt.Errorf("TLS to kube-apiserver: %w", err)
	}
	// Small records only help the first bytes of a web page. They slow a stream down.
	tlsConfig.DynamicRecordSizingDisabled = true
	wrapper, err := rest.HTTPWrappersForConfig(upgrading, headerRecorder{})
	if err != nil {
		return nil, fmt.Errorf("credentials for kube-apiserver: %w", err)
	}
	proxy := http.ProxyFromEnvironment
	if config.Proxy != nil {
		proxy = config.Proxy
	}
	dialer := &websocket.Dialer{
		Proxy:            proxy,
		TLSClientConfig:  tlsConfig,
		HandshakeTimeout: handshakeTimeout,
		ReadBufferSize:   readBufferSize,
		WriteBufferSize:  writeBufferSize,
		WriteBufferPool:  buffers,
		Subprotocols:     []string{Subprotocol},
	}
	if config.Dial != nil {
		dialer.NetDialContext = config.Dial
	}
	return &Backend{base: base, dialer: dialer, wrapper: wrapper, transport: transport}, nil
}

// Base is the URL of kube-apiserver.
func (b *Backend) Base() *url.URL {
	return b.base
}

// errUnreachable is the cause of an answer that never came.
type errUnreachable struct{ cause error }

func (e errUnreachable) Error() string { return "kube-apiserver cannot be reached: " + e.cause.Error() }

// dial opens a websocket. The error is an errUnreachable, or a refused with what KubeVirt answered.
func (b *Backend) dial(ctx context.Context, location *url.URL) (*websocket.Conn, error) {
	header, err := b.credentials(ctx, location)
	if err != nil {
		return nil, err
	}
	socket := *location
	socket.Scheme = "wss"
	if location.Scheme == "http" {
		socket.Scheme = "ws"
	}
	connection, response, err := b.dialer.DialContext(ctx, socket.String(), header)
	if err == nil {
		return connection, nil
	}
	if response == nil {
		return nil, errUnreachable{err}
	}
	body, readErr := io.ReadAll(io.LimitReader(response.Body, maxRefusal))
	if readErr != nil {
		body = nil
	}
	return nil, refused{answer{code: response.StatusCode, contentType: response.Header.Get("Content-Type"), body: body}}
}

// refused is an answer that is not what was asked for.
type refused struct{ answer }

func (r refused) Error() string { return r.message() }

// maxRefusal is how much of a refusal is read, in bytes. Of one to a websocket there are 1024 at most.
const maxRefusal = 64 << 10

// credentials are the headers that identify this server: the bearer token, which may have been rotated, and the user agent.
func (b *Backend) credentials(ctx context.Context, location *url.URL) (http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, location.String(), nil)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	response, err := b.wrapper.RoundTrip(request)
	if err != nil {
		return nil, apierrors.NewInternalError(fmt.Errorf("own credentials: %w", err))
	}
	return response.Header, nil
}

// headerRecorder stands at the end of a chain of round trippers and returns the headers that they added.
type headerRecorder struct{}

func (headerRecorder) RoundTrip(request *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: request.Header, Body: http.NoBody, Request: request}, nil
}

// request sends one request that is no stream. The caller closes the body. Redirects are not followed.
func (b *Backend) request(ctx context.Context, method string, location *url.URL, body io.Reader, accept string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, location.String(), body)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	request.Header.Set("Accept", accept)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := b.transport.RoundTrip(request)
	if err != nil {
		return nil, errUnreachable{err}
	}
	return response, nil
}

// newBufferPool makes the pool of write buffers that all connections of writeBufferSize share.
func newBufferPool() websocket.BufferPool {
	return &sync.Pool{}
}
