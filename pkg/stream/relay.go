package stream

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// timing holds the patience of a relay.
type timing struct {
	// ping is how often an idle peer is pinged, so that no middle box forgets the connection.
	ping time.Duration
	// peer is how long a peer may stay silent, pongs included, while we read from it.
	peer time.Duration
	// linger is how long a peer may take to answer a close frame. Until then what it sends is read and dropped: closing
	// a socket with unread data resets it, and a reset destroys what the peer has not read yet.
	linger time.Duration
	// explain is how long the end of a connection to KubeVirt waits for the news that the machine stopped.
	explain time.Duration
}

// The sum of explain, linger and the close frames stays below five seconds.
func defaultTiming() timing {
	return timing{ping: 25 * time.Second, peer: 5 * time.Minute, linger: 1500 * time.Millisecond, explain: 2 * time.Second}
}

// closeFrameTimeout bounds the sending of a close frame to a peer that does not read.
const closeFrameTimeout = time.Second

// relay carries messages between two websockets until one ends, its context ends or the machine stops. A slow reader slows the
// other side down, since a message is read only when the one before it is written.
type relay struct {
	client, backend *websocket.Conn
	timing          timing
	// stopped delivers why the machine stopped.
	stopped <-chan Closing
	// ask asks KubeVirt itself whether the machine stopped, for the end of a connection that no news explains in time. It may be nil.
	ask func(context.Context) opinion
	// guestEnds is true if the guest can end the stream. KubeVirt then drops the connection without a close frame, as it does
	// when it is lost. Source: cleanupOnClosedContext in kubevirt pkg/virt-api/rest/streamer.go.
	guestEnds bool
	// carried is told the bytes of each message; toMachine is the direction.
	carried func(toMachine bool, bytes int64)
}

// outcome is how one direction ended.
type outcome struct {
	// client is true if the peer that failed is the client.
	client bool
	// writing is true if it failed as we wrote to it. Its own reader knows the reason better.
	writing bool
	// cut is true if it failed in the middle of a message.
	cut bool
	err error
}

// abrupt says whether a peer closed the connection between two messages and without a close frame.
func (o outcome) abrupt() bool {
	return !o.writing && !o.cut && websocket.IsCloseError(o.err, websocket.CloseAbnormalClosure)
}

// opinion is what KubeVirt says about the machine.
type opinion struct {
	verdict verdict
	// reason is for a machine that stopped.
	reason Closing
}

type verdict int

const (
	// unknown: KubeVirt cannot be asked.
	unknown verdict = iota
	// runs: the machine that a stream was opened to still runs.
	runs
	// stopped: it has ended, or ends now.
	stopped
)

// run returns when both connections are closed and nothing of the relay runs any more.
func (r *relay) run(ctx context.Context) Closing {
	var pumps, pings sync.WaitGroup
	outcomes := make(chan outcome, 2)
	pumps.Go(func() { outcomes <- r.pump(true); drain(r.client) })
	pumps.Go(func() { outcomes <- r.pump(false); drain(r.backend) })
	stopPings := make(chan struct{})
	for _, connection := range []*websocket.Conn{r.client, r.backend} {
		pings.Go(func() { r.pingUntil(stopPings, connection) })
	}

	end := r.awaitEnd(ctx, outcomes)

	r.sayGoodbye(end)
	finished := make(chan struct{})
	go func() { pumps.Wait(); close(finished) }()
	timer := time.NewTimer(r.timing.linger)
	defer timer.Stop()
	select {
	case <-finished:
	case <-timer.C:
	}
	close(stopPings)
	// Errors of closing are of no use: the reason of the end is known.
	_ = r.client.Close()
	_ = r.backend.Close()
	<-finished
	pings.Wait()
	return end
}

// awaitEnd blocks until there is a reason to end.
func (r *relay) awaitEnd(ctx context.Context, outcomes <-chan outcome) Closing {
	select {
	case <-ctx.Done():
		return causeOf(ctx)
	case reason, ok := <-r.stopped:
		if !ok {
			return causeOf(ctx)
		}
		// The last words of the guest may still be on their way.
		select {
		case <-outcomes:
		case <-ctx.Done():
		case <-time.After(r.timing.linger):
		}
		return reason
	case first := <-outcomes:
		return r.explain(ctx, r.better(first, outcomes))
	}
}

// better waits a moment for the reader of a peer that could not be written to, because it may have read a close frame.
func (r *relay) better(first outcome, outcomes <-chan outcome) outcome {
	if !first.writing {
		return first
	}
	select {
	case second := <-outcomes:
		if second.client == first.client {
			return second
		}
	case <-time.After(closeFrameTimeout):
	}
	return first
}

// explain turns the end of one direction into words. An end of the connection to KubeVirt may mean that the machine stopped.
func (r *relay) explain(ctx context.Context, ended outcome) Closing {
	var frame *websocket.CloseError
	if errors.As(ended.err, &frame) && (frame.Code == websocket.CloseAbnormalClosure) {
		frame = nil
	}
	if ended.client {
		if frame != nil {
			return Closing{Code: frame.Code, Reason: "the client closed the stream" + withText(frame.Text)}
		}
		if errors.Is(ended.err, os.ErrDeadlineExceeded) {
			return closing(websocket.CloseGoingAway, "the client did not answer for %v", r.timing.peer)
		}
		return closing(websocket.CloseGoingAway, "the client left")
	}
	if frame != nil && frame.Code == websocket.CloseNormalClosure {
		// It says that all is well, so nothing is waited for.
		select {
		case reason, ok := <-r.stopped:
			if ok {
				return reason
			}
		default:
		}
	} else if reason, known := r.whyBackendEnded(ctx, ended); known {
		return reason
	}
	if frame != nil {
		return Closing{Code: frame.Code, Reason: "KubeVirt closed the stream" + withText(frame.Text)}
	}
	return closing(websocket.CloseInternalServerErr, "the connection to the machine was lost; connect again")
}

// whyBackendEnded waits for the news that the machine stopped, and asks KubeVirt meanwhile: the news say more, but may be late.
// If the guest can have ended the stream, a machine that still runs says that it did.
func (r *relay) whyBackendEnded(ctx context.Context, ended outcome) (Closing, bool) {
	asking, cancel := context.WithTimeout(ctx, r.timing.explain)
	answer := make(chan opinion, 1)
	go func() {
		defer close(answer)
		if r.ask != nil {
			answer <- r.ask(asking)
		}
	}()
	defer func() {
		cancel()
		for range answer {
			// It closes when nobody asks any more.
		}
	}()
	var said opinion
	early := answer
	if !r.guestEnds || !ended.abrupt() {
		early = nil
	}
	for {
		select {
		case reason, ok := <-r.stopped:
			if ok {
				return reason, true
			}
		case <-ctx.Done():
			return causeOf(ctx), true
		case said = <-early:
			early = nil
			if said.verdict == runs {
				return closing(websocket.CloseNormalClosure, "the guest closed the connection"), true
			}
			continue
		case <-asking.Done():
		}
		break
	}
	if ctx.Err() != nil {
		// Asking ended for the same reason.
		return causeOf(ctx), true
	}
	if late, ok := <-answer; ok {
		said = late
	}
	return said.reason, said.verdict == stopped
}

// withText adds what a peer wrote into its close frame.
func withText(text string) string {
	if text = printable(text); text == "" {
		return ""
	}
	return ": " + text
}

func causeOf(ctx context.Context) Closing {
	var reason Closing
	if errors.As(context.Cause(ctx), &reason) {
		return reason
	}
	return closing(websocket.CloseGoingAway, "the stream was ended")
}

// sayGoodbye sends a close frame to both peers at once. It does not matter if one is gone already.
func (r *relay) sayGoodbye(end Closing) {
	var both sync.WaitGroup
	for _, connection := range []*websocket.Conn{r.client, r.backend} {
		both.Go(func() {
			_ = connection.WriteControl(websocket.CloseMessage, end.frame(), time.Now().Add(closeFrameTimeout))
		})
	}
	both.Wait()
}

// pump carries messages in one direction until that fails.
func (r *relay) pump(toMachine bool) outcome {
	source, sink := r.backend, r.client
	if toMachine {
		source, sink = r.client, r.backend
	}
	reader := &patientReader{connection: source, patience: r.timing.peer}
	source.SetPongHandler(func(string) error { return reader.refresh() })
	for {
		if err := reader.refresh(); err != nil {
			return outcome{client: toMachine, err: err}
		}
		kind, message, err := source.NextReader()
		if err != nil {
			return outcome{client: toMachine, err: err}
		}
		reader.message, reader.failure = message, nil
		if toMachine {
			// A browser's terminal sends what is typed as text. The bytes are the same, but virt-handler drops text messages
			// without a word. Source: binaryReader in kubevirt.io/client-go/kubevirt/typed/core/v1/websocket.go.
			kind = websocket.BinaryMessage
		}
		writer, err := sink.NextWriter(kind)
		if err != nil {
			return outcome{client: !toMachine, writing: true, err: err}
		}
		// The writer reads straight into its own buffer, so nothing is allocated here.
		bytes, err := io.Copy(writer, reader)
		if reader.failure != nil {
			return outcome{client: toMachine, cut: true, err: reader.failure}
		}
		if err == nil {
			err = writer.Close()
		}
		r.carried(toMachine, bytes)
		if err != nil {
			return outcome{client: !toMachine, writing: true, err: err}
		}
	}
}

// patientReader reads one message and extends the deadline before each read. The time that we spend writing to a slow peer
// so never counts against the one that we read from.
type patientReader struct {
	connection *websocket.Conn
	message    io.Reader
	patience   time.Duration
	failure    error
}

func (p *patientReader) Read(buffer []byte) (int, error) {
	if err := p.refresh(); err != nil {
		p.failure = err
		return 0, err
	}
	n, err := p.message.Read(buffer)
	if err != nil && err != io.EOF {
		p.failure = err
	}
	return n, err
}

func (p *patientReader) refresh() error {
	return p.connection.SetReadDeadline(time.Now().Add(p.patience))
}

// drain reads and drops until the peer closes or the connection is closed under it.
func drain(connection *websocket.Conn) {
	for {
		if _, message, err := connection.NextReader(); err != nil {
			return
		} else if _, err := io.Copy(io.Discard, message); err != nil {
			return
		}
	}
}

// pingUntil pings a peer. A ping to a peer that does not read waits as data would: cutting it short would break the connection.
func (r *relay) pingUntil(stop <-chan struct{}, connection *websocket.Conn) {
	ticker := time.NewTicker(r.timing.ping)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			if connection.WriteControl(websocket.PingMessage, nil, time.Now().Add(r.timing.peer)) != nil {
				return
			}
		}
	}
}
