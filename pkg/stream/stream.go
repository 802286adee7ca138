package stream

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// Call is one request for a stream.
type Call struct {
	// Kind is the stream.
	Kind Kind
	// Namespace and Name are the VirtualServer's.
	Namespace, Name string
	// Port is for PortForward.
	Port Port
	// Wait is how long to wait for a machine that is starting, at most validation.MaxWaitSeconds.
	Wait time.Duration
	// TakeOver ends the session of whoever is connected.
	TakeOver bool
	// PreserveSession refuses to end any session, be it the caller's own.
	PreserveSession bool
}

// earlyUpgrade is a duration shorter than the request timeout of kube-apiserver, a minute.
type earlyUpgrade = time.Duration

const defaultEarlyUpgrade earlyUpgrade = 45 * time.Second

// Keys of the audit annotations of a stream.
const (
	auditSession = "streams.tensorstack.dev/session"
	auditMachine = "streams.tensorstack.dev/virtual-machine"
	auditClosed  = "streams.tensorstack.dev/closed"
)

// Stream returns a handler that serves one call. What goes wrong before the upgrade is answered through the responder as a
// Status. The server closes the connection after it.
func (g *Gateway) Stream(call Call, responder rest.Responder) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		err := g.serve(w, req, call)
		if err == nil {
			return
		}
		g.metrics.opened.WithLabelValues(string(call.Kind), strconv.Itoa(statusCode(err))).Inc()
		responder.Error(err)
	})
}

func statusCode(err error) int {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return int(status.Status().Code)
	}
	return http.StatusInternalServerError
}

// serve returns when the stream has ended, or an error if it was never opened.
func (g *Gateway) serve(w http.ResponseWriter, req *http.Request, call Call) error {
	ctx := req.Context()
	if err := g.checkUpgrade(req, call); err != nil {
		return err
	}
	if err := g.authorizeStream(ctx, call.Namespace, call.Name, call.Kind); err != nil {
		return err
	}
	opening := &opening{gateway: g, call: call, writer: w, request: req}
	if user, ok := request.UserFrom(ctx); ok {
		opening.user = user.GetName()
	}
	err := opening.run(ctx)
	if err != nil && opening.client != nil {
		opening.refuse(err)
		return nil
	}
	return err
}

// opening is a stream on its way from the request to the relay.
type opening struct {
	gateway *Gateway
	call    Call
	user    string
	writer  http.ResponseWriter
	request *http.Request
	// client is set after the upgrade. From then on errors are close frames.
	client *websocket.Conn
}

func (o *opening) run(ctx context.Context) error {
	g := o.gateway
	deadline := g.machines.clock.Now().Add(o.call.Wait)
	server, err := o.await(ctx)
	if err != nil {
		return err
	}
	held, err := g.sessions.acquire(ctx, Session{
		Namespace: o.call.Namespace, Name: o.call.Name, Kind: o.call.Kind, Port: o.call.Port, User: o.user,
	}, claim{takeOver: o.call.TakeOver, preserve: o.call.PreserveSession})
	if err != nil {
		return retryLater(err)
	}
	defer g.sessions.release(held)

	backend, err := o.dial(ctx, held.ctx, server, deadline)
	if err != nil {
		return err
	}
	if o.client == nil {
		if err := o.upgrade(); err != nil {
			_ = backend.Close()
			return err
		}
	}
	o.carry(held, server, backend)
	return nil
}

// await waits for the machine as long as the call allows. The upgrade is made early if kube-apiserver would not wait so long.
func (o *opening) await(ctx context.Context) (*tensorstack.VirtualServer, error) {
	g := o.gateway
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(g.sessions.ending, func() { cancel(context.Cause(g.sessions.ending)) })
	defer stop()

	first := min(o.call.Wait, g.earlyUpgrade)
	server, err := g.machines.awaitReady(ctx, o.call.Namespace, o.call.Name, first)
	if err == nil || o.call.Wait <= first || server == nil || readinessOf(server) != notYet || ctx.Err() != nil {
		return server, err
	}
	if err := o.upgrade(); err != nil {
		return nil, err
	}
	// Nobody reads from the client yet. A ping that cannot be written shows that it is gone.
	var watcher sync.WaitGroup
	watcher.Go(func() { o.watchClient(ctx, cancel) })
	defer func() { cancel(nil); watcher.Wait() }()
	return g.machines.awaitReady(ctx, o.call.Namespace, o.call.Name, o.call.Wait-first)
}

// watchClient pings the client until the context ends, and ends it if the client is gone.
func (o *opening) watchClient(ctx context.Context, cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(o.gateway.timing.ping)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if o.client.WriteControl(websocket.PingMessage, nil, time.Now().Add(closeFrameTimeout)) != nil {
				cancel(closing(websocket.CloseGoingAway, "the client is gone"))
				return
			}
		}
	}
}

// dial opens the stream at KubeVirt. Our status may say Running a moment before KubeVirt agrees; a call that waits tries again.
func (o *opening) dial(ctx, session context.Context, server *tensorstack.VirtualServer, deadline time.Time) (*websocket.Conn, error) {
	g := o.gateway
	if server.Status.VM.Name == "" {
		return nil, notYetError(server)
	}
	location, err := target{
		namespace: server.Namespace, vm: server.Status.VM.Name, kind: o.call.Kind,
		port: o.call.Port, query: o.query(),
	}.location(g.backend.Base())
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(session, func() { cancel(context.Cause(session)) })
	defer stop()
	for {
		connection, err := g.backend.dial(ctx, location)
		if err == nil {
			return connection, nil
		}
		var answered refused
		switch {
		case ctx.Err() != nil:
			return nil, unavailable(causeOf(ctx).Reason)
		case !errors.As(err, &answered):
			return nil, unavailable(err.Error())
		case answered.code != http.StatusBadRequest || !g.machines.clock.Now().Add(rewatchDelay).Before(deadline):
			return nil, answered.streamRefusal(server, o.call)
		}
		select {
		case <-ctx.Done():
		case <-g.machines.clock.After(rewatchDelay):
		}
	}
}

// query is what KubeVirt is told about the stream.
func (o *opening) query() url.Values {
	if o.call.Kind != VNC {
		return nil
	}
	return url.Values{"preserveSession": {strconv.FormatBool(o.call.PreserveSession)}}
}

// upgrade turns the request, which checkUpgrade has seen, into a websocket. If that fails the error has not been answered yet.
func (o *opening) upgrade() error {
	upgrader := *o.gateway.upgrader
	var failure error
	upgrader.Error = func(_ http.ResponseWriter, _ *http.Request, _ int, reason error) {
		failure = apierrors.NewBadRequest(reason.Error())
	}
	client, err := upgrader.Upgrade(o.writer, o.request, nil)
	switch {
	case err == nil:
		o.client = client
		o.gateway.metrics.opened.WithLabelValues(string(o.call.Kind), strconv.Itoa(http.StatusSwitchingProtocols)).Inc()
		return nil
	case failure != nil:
		return failure
	default:
		return apierrors.NewInternalError(err)
	}
}

// refuse tells a client that was upgraded early why there is no stream.
func (o *opening) refuse(err error) {
	reason := closing(websocket.CloseInternalServerErr, "%s", err)
	if apierrors.IsBadRequest(err) || apierrors.IsServiceUnavailable(err) {
		reason.Code = websocket.CloseTryAgainLater
	}
	_ = o.client.WriteControl(websocket.CloseMessage, reason.frame(), time.Now().Add(closeFrameTimeout))
	_ = o.client.SetReadDeadline(time.Now().Add(o.gateway.timing.linger))
	drain(o.client)
	_ = o.client.Close()
}

// carry relays until the stream ends, and leaves its traces in audit, events and metrics.
func (o *opening) carry(held *lease, server *tensorstack.VirtualServer, backend *websocket.Conn) {
	g, kind := o.gateway, string(held.Kind)
	ctx := o.request.Context()
	audit.AddAuditAnnotations(ctx, auditSession, string(held.ID), auditMachine, server.Namespace+"/"+server.Status.VM.Name)
	g.event(server, held, "Opened", "%s opened the %s", o.user, describe(held.Session))
	g.metrics.open.WithLabelValues(kind).Inc()
	defer g.metrics.open.WithLabelValues(kind).Dec()

	to, from := g.metrics.bytes.WithLabelValues(kind, "to_machine"), g.metrics.bytes.WithLabelValues(kind, "from_machine")
	// The watch ends with the relay, whatever ended that.
	watching, stopWatching := context.WithCancel(held.ctx)
	stopped := g.machines.untilStopped(watching, server)
	relay := &relay{
		client: o.client, backend: backend, timing: g.timing, stopped: stopped,
		ask:       func(ctx context.Context) opinion { return g.ask(ctx, held.Kind, server) },
		guestEnds: held.Kind.endedByGuest(),
		carried: func(toMachine bool, bytes int64) {
			if toMachine {
				to.Add(float64(bytes))
			} else {
				from.Add(float64(bytes))
			}
		},
	}
	end := relay.run(held.ctx)
	stopWatching()
	for range stopped {
		// Wait until the watch is gone.
	}
	audit.AddAuditAnnotations(ctx, auditClosed, strconv.Itoa(end.code())+" "+end.Reason)
	g.event(server, held, "Closed", "the %s of %s ended after %s: %s", describe(held.Session), o.user,
		g.machines.clock.Since(held.Since).Round(time.Second), end.Reason)
	g.metrics.closed.WithLabelValues(kind, end.label()).Inc()
}

func describe(session Session) string {
	if session.Kind == PortForward {
		return string(session.Kind) + " to " + session.Port.String()
	}
	return string(session.Kind)
}

// event records a session on the VirtualServer. A port-forward makes one session per connection; that is too many for events.
func (g *Gateway) event(server *tensorstack.VirtualServer, held *lease, what, format string, arguments ...any) {
	reasons := map[Kind]string{Console: "Console", VNC: "VNC", USBRedir: "USBRedir"}
	prefix, ok := reasons[held.Kind]
	if !ok {
		return
	}
	g.recorder.Eventf(&corev1.ObjectReference{
		APIVersion: v1beta1.SchemeGroupVersion.String(), Kind: "VirtualServer",
		Namespace: server.Namespace, Name: server.Name, UID: server.UID, ResourceVersion: server.ResourceVersion,
	}, corev1.EventTypeNormal, prefix+what, format, arguments...)
}
