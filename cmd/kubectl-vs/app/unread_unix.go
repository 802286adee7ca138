//go:build unix

package app

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// unreadCheck is how soon after the end of a session the watch of its output ends.
const unreadCheck = time.Second

// whileRead returns a context that ends when nobody can read the output any more, as after "kubectl vs console my-vs | grep -m1
// login". A write would tell, but a guest that waits for a login writes nothing.
func whileRead(ctx context.Context, out io.Writer) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	file, ok := out.(*os.File)
	if !ok {
		return ctx, cancel
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return ctx, cancel
	}
	go func() {
		for ctx.Err() == nil {
			watched := true
			err := raw.Control(func(fd uintptr) {
				// Without events only the end is waited for.
				polled := []unix.PollFd{{Fd: int32(fd)}}
				_, err := unix.Poll(polled, int(unreadCheck.Milliseconds()))
				switch {
				case err != nil && !errors.Is(err, unix.EINTR), polled[0].Revents&unix.POLLNVAL != 0:
					watched = false
				case polled[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0:
					cancel()
				}
			})
			if err != nil || !watched {
				return
			}
		}
	}()
	return ctx, cancel
}
