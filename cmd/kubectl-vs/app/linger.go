package app

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"
)

// quietAfterInput is how long a port must have been silent after its input has ended before it is closed. A stream has two ends
// only, so the guest cannot be told that nothing more will be sent, as TCP could; nor is seen whether the local program still
// waits for an answer or has gone.
const quietAfterInput = 10 * time.Second

// lingering is the local side of a stream. It hides the end of the input for as long as more of the output may come, because a
// stream ends with its input.
type lingering struct {
	in  io.Reader
	out io.Writer
	// quiet is how long the output must be silent. Without it only done ends the wait.
	quiet time.Duration
	done  <-chan struct{}
	clock clock.Clock
	// written is when the output was written to last, in nanoseconds.
	written atomic.Int64
}

// lingerFor keeps a stream until its output has been silent for that long after the input has ended. Zero is for ever.
func lingerFor(ctx context.Context, quiet time.Duration, in io.Reader, out io.Writer) *lingering {
	return &lingering{in: in, out: out, quiet: quiet, done: ctx.Done(), clock: clock.RealClock{}}
}

// Read implements io.Reader.
func (l *lingering) Read(buffer []byte) (int, error) {
	n, err := l.in.Read(buffer)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	if n > 0 {
		// What was read is sent before the wait. The next read says again that this is the end.
		return n, nil
	}
	l.wait()
	return 0, io.EOF
}

func (l *lingering) wait() {
	if l.quiet == 0 {
		<-l.done
		return
	}
	since := l.clock.Now()
	for {
		if written := time.Unix(0, l.written.Load()); written.After(since) {
			since = written
		}
		left := l.quiet - l.clock.Since(since)
		if left <= 0 {
			return
		}
		select {
		case <-l.clock.After(left):
		case <-l.done:
			return
		}
	}
}

// Write implements io.Writer.
func (l *lingering) Write(data []byte) (int, error) {
	// The time that a slow reader takes is no silence.
	defer func() { l.written.Store(l.clock.Now().UnixNano()) }()
	return l.out.Write(data)
}
