package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// viewer is a program that shows a VNC screen, and what makes it connect to an address.
type viewer struct {
	program   string
	arguments func(host, port string) []string
	// leaves is true for a program that only hands the address to another one and ends.
	leaves bool
}

// viewers are the programs that are looked for, the best one first.
func viewers() []viewer {
	address := func(host, port string) []string { return []string{"vnc://" + net.JoinHostPort(host, port)} }
	double := func(host, port string) []string { return []string{host + "::" + port} }
	known := []viewer{
		{program: "remote-viewer", arguments: address},
		{program: "vncviewer", arguments: double},
		{program: "xtightvncviewer", arguments: double},
	}
	if runtime.GOOS == "darwin" {
		known = append(known, viewer{program: "open", arguments: address, leaves: true}) // The system's own screen sharing.
	}
	return known
}

func (s *session) vncCommand() *cobra.Command {
	var takeOver, proxyOnly bool
	var port uint16
	var timeout time.Duration
	var screenshot string
	command := s.named(&cobra.Command{
		Use:     "vnc NAME",
		Short:   "Show the screen of a machine, or save a picture of it",
		Example: "  kubectl vs vnc my-vs\n  kubectl vs vnc my-vs --screenshot screen.png",
	})
	command.Flags().BoolVar(&takeOver, "take-over", false, "end the session of whoever is connected now")
	command.Flags().BoolVar(&proxyOnly, "proxy-only", false, "start no viewer, only say where one can connect")
	command.Flags().Uint16Var(&port, "port", 0, "the local port for the viewer; 0 for any")
	command.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "how long to wait for a machine that is starting")
	command.Flags().StringVar(&screenshot, "screenshot", "", "save a picture of the screen to this PNG file instead")
	command.RunE = func(command *cobra.Command, arguments []string) error {
		if screenshot != "" {
			return s.screenshot(command.Context(), arguments[0], screenshot)
		}
		return s.vnc(command.Context(), arguments[0], port, proxyOnly, timeout, takeOver)
	}
	return command
}

func (s *session) screenshot(ctx context.Context, name, file string) error {
	group, err := s.group()
	if err != nil {
		return err
	}
	namespace, err := s.namespace()
	if err != nil {
		return err
	}
	answer := group.RESTClient().Get().AbsPath(resourcePath(namespace, name, "vnc", "screenshot")).Do(ctx)
	// Error reads the Status of a refusal, which Raw does not.
	if err := answer.Error(); err != nil {
		return err
	}
	picture, err := answer.Raw()
	if err != nil {
		return err
	}
	return os.WriteFile(file, picture, 0o644)
}

// vnc serves one viewer: the screen is exclusive anyway.
func (s *session) vnc(ctx context.Context, name string, port uint16, proxyOnly bool, timeout time.Duration, takeOver bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	connection, err := s.openWhenUp(ctx, opening{name: name, path: []string{"vnc"}, timeout: timeout, takeOver: takeOver})
	if err != nil {
		return err
	}
	defer connection.Close()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", fmt.Sprint(port)))
	if err != nil {
		return err
	}
	defer listener.Close()
	host, chosen, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return err
	}
	seat := &seat{taken: make(chan struct{})}
	sessionEnded := make(chan error, 1)
	go func() { sessionEnded <- copyStream(ctx, connection, seat, seat) }()
	fmt.Fprintf(s.Out, "The screen of %s is at vnc://%s\n", name, listener.Addr())
	var viewerEnded <-chan error
	if !proxyOnly {
		if viewerEnded, err = s.startViewer(ctx, host, chosen); err != nil {
			return err
		}
		// The viewer is told to end by the context, and gets the time for it.
		defer func() {
			cancel()
			if viewerEnded != nil {
				<-viewerEnded
			}
		}()
	}
	accepted := make(chan error, 1)
	go func() {
		local, err := listener.Accept()
		if err == nil {
			err = seat.take(local)
		}
		accepted <- err
	}()
	select {
	case err := <-sessionEnded:
		return err
	case err := <-viewerEnded:
		// Not wrapped: the code of the viewer is not ours, as that of ssh is.
		return fmt.Errorf("the viewer ended before it connected: %v", err)
	case err := <-accepted:
		if err != nil {
			return err
		}
	}
	defer seat.viewer.Close()
	return <-sessionEnded
}

// seat is the place of the viewer in a session. As long as it is empty it keeps what the machine says, so that the end of the
// session is noticed meanwhile. A machine says little before it is answered.
type seat struct {
	taken  chan struct{} // closed when there is a viewer
	mu     sync.Mutex
	early  bytes.Buffer
	viewer net.Conn
}

// Read implements io.Reader. It blocks until there is a viewer.
func (s *seat) Read(buffer []byte) (int, error) {
	<-s.taken
	return s.viewer.Read(buffer)
}

// Write implements io.Writer.
func (s *seat) Write(content []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.viewer == nil {
		return s.early.Write(content)
	}
	return s.viewer.Write(content)
}

func (s *seat) take(viewer net.Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.viewer = viewer
	close(s.taken)
	_, err := s.early.WriteTo(viewer)
	return err
}

// startViewer starts the best viewer that is installed. The channel says how it ended and closes; it is nil if nobody can know.
func (s *session) startViewer(ctx context.Context, host, port string) (<-chan error, error) {
	for _, known := range viewers() {
		path, err := exec.LookPath(known.program)
		if err != nil {
			continue
		}
		command := exec.CommandContext(ctx, path, known.arguments(host, port)...)
		command.Stderr = s.ErrOut
		endInOrder(ctx, command)
		if known.leaves {
			return nil, command.Run()
		}
		if err := command.Start(); err != nil {
			return nil, err
		}
		ended := make(chan error, 1)
		go func() {
			err := command.Wait()
			if err == nil {
				err = errors.New("without an error")
			}
			ended <- err
			close(ended)
		}()
		return ended, nil
	}
	return nil, errors.New("no viewer found: install remote-viewer or vncviewer, or use --proxy-only")
}
