package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// waitAtOnce is how long the server is asked to wait in one request. For a longer wait it would open the stream before the
	// machine is up (docs/streams.md), and nobody could tell when the machine is there.
	waitAtOnce = 40 * time.Second
	// betweenTries keeps a server that does not wait from being asked all the time.
	betweenTries = time.Second
)

// openWhenUp opens a stream to a machine, which may be starting. What it returns leads to the machine.
func (s *session) openWhenUp(ctx context.Context, name string, timeout time.Duration, takeOver bool, kind string) (*websocket.Conn, error) {
	config, err := s.config()
	if err != nil {
		return nil, err
	}
	atOnce := waitAtOnce
	if config.Timeout > 0 {
		atOnce = min(atOnce, config.Timeout/2)
	}
	query := url.Values{}
	if takeOver {
		query.Set("takeOver", "true")
	}
	shown, deadline := "", time.Now().Add(timeout)
	for {
		connection, err := s.open(ctx, name, query, kind)
		if err != nil && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		var refused *refusal
		if err == nil || !errors.As(err, &refused) || refused.code != http.StatusBadRequest || timeout <= 0 {
			return connection, err
		}
		// What follows is advice for those who ask the server by themselves.
		why, _, _ := strings.Cut(refused.Error(), ";")
		left := time.Until(deadline)
		if left <= 0 {
			return nil, fmt.Errorf("not connected after %v: %s", timeout, why)
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
