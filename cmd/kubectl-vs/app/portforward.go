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
)

// acceptAgain is how long a port rests after it could not take a connection.
const acceptAgain = time.Second

// forward is one port of the local machine that leads to a port of the guest.
type forward struct{ local, remote uint16 }

func (s *session) portForwardCommand() *cobra.Command {
	var address string
	var stdio bool
	command := &cobra.Command{
		Use:               "port-forward NAME [LOCAL:]REMOTE...",
		Short:             "Forward local TCP ports to a machine",
		Example:           "  kubectl vs port-forward my-vs 8080:80",
		Args:              cobra.MatchAll(cobra.MinimumNArgs(2), firstIsName),
		ValidArgsFunction: s.completeName,
	}
	command.Flags().StringVar(&address, "address", "127.0.0.1", "the local address to listen on")
	command.Flags().BoolVar(&stdio, "stdio", false, "connect standard input and output to the port, for ssh's ProxyCommand")
	command.RunE = func(command *cobra.Command, arguments []string) error {
		forwards, err := parseForwards(arguments[1:])
		if err != nil {
			return err
		}
		if stdio {
			return s.forwardStdio(command.Context(), arguments[0], forwards[0].remote)
		}
		return s.forwardAll(command.Context(), arguments[0], address, forwards)
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

func (s *session) forwardStdio(ctx context.Context, name string, port uint16) error {
	connection, err := s.open(ctx, name, url.Values{}, "portforward", fmt.Sprint(port))
	if err != nil {
		return err
	}
	pipe := lingerFor(ctx, quietAfterInput, s.In, s.Out)
	return orEOF(copyStream(ctx, connection, pipe, pipe))
}

// forwardAll listens on every port before it says so, and serves until the context ends.
func (s *session) forwardAll(ctx context.Context, name, address string, forwards []forward) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	defer group.Wait()
	var listeners []net.Listener
	closeAll := func() {
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
		fmt.Fprintf(s.Out, "Forwarding from %s -> %d\n", listener.Addr(), forward.remote)
		group.Add(1)
		go func() {
			defer group.Done()
			s.serve(ctx, &group, listener, name, forward.remote)
		}()
	}
	<-ctx.Done()
	closeAll()
	return nil
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
		group.Add(1)
		go func() {
			defer group.Done()
			defer local.Close()
			connection, err := s.open(ctx, name, url.Values{}, "portforward", fmt.Sprint(port))
			if err == nil {
				pipe := lingerFor(ctx, quietAfterInput, local, local)
				err = orEOF(copyStream(ctx, connection, pipe, pipe))
			}
			if err != nil {
				fmt.Fprintf(s.ErrOut, "port %d: %v\n", port, err)
			}
		}()
	}
}
