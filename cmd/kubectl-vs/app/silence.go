package app

import (
	"fmt"
	"io"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// silenceLimit is how long a guest may say nothing on its console before the user is told what that can mean.
const silenceLimit = 10 * time.Second

// silenceWatch passes on what a guest writes. If that is nothing for silenceLimit after connecting, it says so once, in place
// of a screen that stays empty.
type silenceWatch struct {
	out   io.Writer
	timer clock.Timer

	mu    sync.Mutex
	heard bool
}

// watchSilence starts to wait. The note goes to errOut, so that a script which reads the console never gets it.
func watchSilence(clock clock.WithDelayedExecution, out, errOut io.Writer, name string) *silenceWatch {
	w := &silenceWatch{out: out}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = clock.AfterFunc(silenceLimit, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.heard {
			w.heard = true
			// A terminal in raw mode needs the carriage return.
			fmt.Fprintf(errOut, "The guest has written nothing for %v. Press Enter for a prompt; if there is none, it may still be starting, or not use its "+
				"serial console (console=ttyS0 on the kernel's command line): see its screen with kubectl vs vnc %s.\r\n", silenceLimit, name)
		}
	})
	return w
}

// Write implements io.Writer.
func (w *silenceWatch) Write(data []byte) (int, error) {
	if len(data) > 0 {
		w.stop()
	}
	return w.out.Write(data)
}

// stop ends the wait.
func (w *silenceWatch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = true
	w.timer.Stop()
}
