package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/gorilla/websocket"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

const (
	// waitAtOnce is how long the server is asked to wait in one request. For a longer wait it would open the stream before the
	// machine is up (docs/streams.md), and nobody could tell when the machine is there.
	waitAtOnce = 40 * time.Second
	// betweenTries keeps a server that does not wait from being asked all the time.
	betweenTries = time.Second
)

// opening is a stream to a machine that may not be up yet.
type opening struct {
	name string
	// path is the subresource and what follows it.
	path []string
	// timeout is how long to wait for the machine; 0 not at all.
	timeout time.Duration
	// takeOver ends the session of whoever is connected.
	takeOver bool
	// preserve ends no session, not even one's own.
	preserve bool
	// forPort waits as well for a program in the guest that listens on the port.
	forPort bool
}

// passes says whether a refusal is about something that may be otherwise a moment later.
func (o *opening) passes(err error) bool {
	return apierrors.IsBadRequest(err) || o.forPort &&
		(apierrors.HasStatusCause(err, v1beta1.CausePortClosed) || apierrors.HasStatusCause(err, v1beta1.CauseGuestUnreachable))
}

// openWhenUp opens a stream to a machine, which may be starting. What it returns leads to the machine.
func (s *session) openWhenUp(ctx context.Context, o opening) (*websocket.Conn, error) {
	config, err := s.config()
	if err != nil {
		return nil, err
	}
	atOnce := waitAtOnce
	if config.Timeout > 0 {
		atOnce = min(atOnce, config.Timeout/2)
	}
	query := url.Values{}
	if o.takeOver {
		query.Set("takeOver", "true")
	}
	if o.preserve {
		query.Set("preserveSession", "true")
	}
	shown, deadline := "", time.Now().Add(o.timeout)
	for {
		connection, err := s.open(ctx, o.name, query, o.path...)
		if err != nil && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		var refused *apierrors.StatusError
		if err == nil || !errors.As(err, &refused) || !o.passes(refused) || o.timeout <= 0 {
			return connection, err
		}
		why := plain(refused.ErrStatus.Message)
		left := time.Until(deadline)
		if left <= 0 {
			return nil, fmt.Errorf("not connected after %v: %s (try: %s)", o.timeout, why, s.again("why", o.name))
		}
		if why != shown {
			fmt.Fprintf(s.ErrOut, "Waiting for the machine: %s\n", why)
			shown = why
		}
		if wait := int64(min(left, atOnce) / time.Second); wait > 0 {
			query.Set("wait", strconv.FormatInt(wait, 10))
		} else {
			query.Del("wait")
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(min(left, betweenTries)):
		}
	}
}
