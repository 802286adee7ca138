package stream

import (
	"errors"
	"net/http"

	"github.com/gorilla/websocket"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"tensorstack.dev/virtualserver/pkg/etcd"
)

// Config is what a Gateway needs. All fields but CheckOrigin, Records and Clock are required.
type Config struct {
	// Store reads VirtualServers.
	Store Store
	// Authorizer answers for the users of requests.
	Authorizer authorizer.UnconditionalAuthorizer
	// ClientConfig reaches kube-apiserver as the server's own ServiceAccount.
	ClientConfig *rest.Config
	// Recorder writes events on VirtualServers.
	Recorder record.EventRecorder
	// Metrics counts.
	Metrics *Metrics
	// CheckOrigin decides on requests of browsers, which carry an Origin header. The default accepts the server's own host
	// only, since a browser may send a client certificate along with a request of any page.
	CheckOrigin func(*http.Request) bool
	// Records tell replicas of the server about each other's sessions. Without them there is only one.
	Records *etcd.Records
	// Clock is the real one unless a test says otherwise.
	Clock clock.Clock
}

// Gateway serves streams and passed-on operations. It is safe for concurrent use.
type Gateway struct {
	authorizer authorizer.UnconditionalAuthorizer
	backend    *Backend
	versions   *versions
	machines   machines
	sessions   *Sessions
	recorder   record.EventRecorder
	metrics    *Metrics
	upgrader   *websocket.Upgrader
	timing     timing
	// earlyUpgrade is when a waiting stream is upgraded before its machine is up: kube-apiserver cuts a request that has not
	// been upgraded after a minute. Source: --request-timeout, and its long-running check, which knows portforward only.
	earlyUpgrade earlyUpgrade
}

// New checks the config and makes a Gateway.
func New(config Config) (*Gateway, error) {
	switch {
	case config.Store == nil:
		return nil, errors.New("streams need a store of VirtualServers")
	case config.Authorizer == nil:
		return nil, errors.New("streams need an authorizer; without one they would be open to everybody")
	case config.ClientConfig == nil:
		return nil, errors.New("streams need a client config for kube-apiserver")
	case config.Recorder == nil:
		return nil, errors.New("streams need an event recorder")
	case config.Metrics == nil:
		return nil, errors.New("streams need metrics")
	}
	if config.Clock == nil {
		config.Clock = clock.RealClock{}
	}
	if config.CheckOrigin == nil {
		config.CheckOrigin = sameOrigin
	}
	buffers := newBufferPool()
	backend, err := NewBackend(config.ClientConfig, buffers)
	if err != nil {
		return nil, err
	}
	return &Gateway{
		authorizer: config.Authorizer,
		backend:    backend,
		versions:   newVersions(config.Clock),
		machines:   machines{store: config.Store, clock: config.Clock},
		sessions:   NewSessions(config.Clock, config.Records),
		recorder:   config.Recorder,
		metrics:    config.Metrics,
		upgrader: &websocket.Upgrader{
			HandshakeTimeout: handshakeTimeout,
			// A read buffer of 0 means the buffer that the HTTP server had for the connection.
			WriteBufferSize: writeBufferSize,
			WriteBufferPool: buffers,
			Subprotocols:    []string{Subprotocol},
			CheckOrigin:     config.CheckOrigin,
		},
		timing:       defaultTiming(),
		earlyUpgrade: defaultEarlyUpgrade,
	}, nil
}

// Sessions is the registry of the open streams.
func (g *Gateway) Sessions() *Sessions {
	return g.sessions
}
