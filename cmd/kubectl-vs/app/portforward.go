package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

const (
	// acceptAgain is how long a port rests after it could not take a connection.
	acceptAgain = time.Second
	// lookAgain is how often a machine that is forwarded to is looked at.
	lookAgain = 2 * time.Second
)

// forward is one port of the local machine that leads to a port of the guest.
type forward struct{ local, remote uint16 }

func (s *session) portForwardCommand() *cobra.Command {
	var address string
	var stdio bool
	var timeout time.Duration
	command := &cobra.Command{
		Use:               "port-forward NAME [LOCAL:]REMOTE...",
		Short:             "Forward local TCP ports to a machine",
		Example:           "  kubectl vs port-forward my-vs 8080:80",
		Args:              cobra.MatchAll(cobra.MinimumNArgs(2), firstIsName),
		ValidArgsFunction: s.completeName,
	}
	command.Flags().StringVar(&address, "address", "127.0.0.1", "the local address to listen on")
	command.Flags().BoolVar(&stdio, "stdio", false, "connect standard input and output to the port, for ssh's ProxyCommand")
	command.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "how long to wait for a machine that is starting")
	command.RunE = func(command *cobra.Command, arguments []string) error {
		forwards, err := parseForwards(arguments[1:])
		if err != nil {
			return err
		}
		if stdio {
			return s.forwardStdio(command.Context(), arguments[0], timeout, forwards[0].remote)
		}
		return s.forwardAll(command.Context(), arguments[0], address, timeout, forwards)
	}
	return command
}

func parseForwards(arguments []string) ([]forward, error) {
	var forwards []forward
	for _, argument := range arguments {
		local, remote, both := strings.Cut(argument, ":")
		if !both {
			remote = local
		}
		to, err := strconv.ParseUint(remote, 10, 16)
		if err != nil || to == 0 {
			return nil, fmt.Errorf("%q is no port: write REMOTE or LOCAL:REMOTE, each from 1 to 65535", argument)
		}
		from, err := strconv.ParseUint(local, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("%q is no port: write REMOTE or LOCAL:REMOTE, each from 1 to 65535", argument)
		}
		forwards = append(forwards, forward{local: uint16(from), remote: uint16(to)})
	}
	return forwards, nil
}

func (s *session) forwardStdio(ctx context.Context, name string, timeout time.Duration, port uint16) error {
	connection, err := s.openWhenUp(ctx, opening{name: name, path: portPath(port), timeout: timeout})
	if err != nil {
		return err
	}
	pipe := lingerFor(ctx, quietAfterInput, s.In, s.Out)
	return orEOF(copyStream(ctx, connection, pipe, pipe))
}

func portPath(port uint16) []string { return []string{"portforward", fmt.Sprint(port)} }

// reach waits for the machine and makes sure that the user may connect to the port. Nothing has to listen on it yet.
func (s *session) reach(ctx context.Context, name string, timeout time.Duration, port uint16) error {
	connection, err := s.openWhenUp(ctx, opening{name: name, path: portPath(port), timeout: timeout})
	switch {
	case err == nil:
		return connection.Close()
	case apierrors.HasStatusCause(err, v1beta1.CausePortClosed):
		fmt.Fprintf(s.ErrOut, "Nothing listens on port %d of the machine yet.\n", port)
		return nil
	case apierrors.HasStatusCause(err, v1beta1.CauseGuestUnreachable):
		fmt.Fprintln(s.ErrOut, "The guest does not answer on its network yet.")
		return nil
	}
	return err
}

// forwardAll listens on every port before it says so, and serves until the context ends or the machine is gone.
func (s *session) forwardAll(ctx context.Context, name, address string, timeout time.Duration, forwards []forward) error {
	vs, err := s.get(ctx, name)
	if err != nil {
		return err
	}
	for _, forward := range forwards {
		if err := s.reach(ctx, name, timeout, forward.remote); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	defer group.Wait()
	var listeners []net.Listener
	closeAll := func() {
		cancel()
		for _, listener := range listeners {
			_ = listener.Close() // It only stops Accept; there is nobody to tell.
		}
	}
	defer closeAll()
	for _, forward := range forwards {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(address, fmt.Sprint(forward.local)))
		if err != nil {
			return err
		}
		listeners = append(listeners, listener)
	}
	for i, forward := range forwards {
		fmt.Fprintf(s.Out, "Forwarding from %s -> %d\n", listeners[i].Addr(), forward.remote)
		group.Go(func() { s.serve(ctx, &group, listeners[i], name, forward.remote) })
	}
	return s.untilGone(ctx, vs)
}

// untilGone returns why the machine cannot be reached any more, or nil when the context ends. It asks with the right to get alone.
func (s *session) untilGone(ctx context.Context, vs *v1beta1.VirtualServer) error {
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		now, err := s.get(ctx, vs.Name)
		if apierrors.IsNotFound(err) || err == nil && now.UID != vs.UID {
			return fmt.Errorf("virtualserver %q was deleted", vs.Name)
		}
		// Any other error is about the server that was asked.
		if err == nil && gone(now) {
			return fmt.Errorf("the machine of virtualserver %q is %s", vs.Name, now.Status.PrintableStatus)
		}
	}
}

// gone says whether a machine that ran does not come back by itself. A restart or a crash is no such end.
func gone(vs *v1beta1.VirtualServer) bool {
	switch vs.Status.PrintableStatus {
	case v1beta1.StatusTerminating:
		return true
	case v1beta1.StatusStopped:
		return vs.Status.PendingOperation == nil
	}
	return !vs.DeletionTimestamp.IsZero()
}

func (s *session) serve(ctx context.Context, group *sync.WaitGroup, listener net.Listener, name string, port uint16) {
	for {
		local, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// It is about this moment, for example too many open files. The port must not stay silent for ever.
			fmt.Fprintf(s.ErrOut, "port %d: %v; trying again\n", port, err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(acceptAgain):
				continue
			}
		}
		group.Go(func() {
			defer local.Close()
			connection, err := s.open(ctx, name, url.Values{}, portPath(port)...)
			if err == nil {
				pipe := lingerFor(ctx, quietAfterInput, local, local)
				err = orEOF(copyStream(ctx, connection, pipe, pipe))
			}
			if err != nil {
				fmt.Fprintf(s.ErrOut, "port %d: %s\n", port, plain(err.Error()))
			}
		})
	}
}
