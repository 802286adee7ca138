package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"
)

// viewer is a program that shows a VNC screen, and what makes it connect to an address.
type viewer struct {
	program   string
	arguments func(host, port string) []string
}

// viewers are the programs that are looked for, the best one first.
func viewers() []viewer {
	double := func(host, port string) []string { return []string{host + "::" + port} }
	return []viewer{
		{"remote-viewer", func(host, port string) []string { return []string{"vnc://" + net.JoinHostPort(host, port)} }},
		{"vncviewer", double},
		{"xtightvncviewer", double},
	}
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
	kube, err := s.kube()
	if err != nil {
		return err
	}
	namespace, err := s.namespace()
	if err != nil {
		return err
	}
	picture, err := kube.Discovery().RESTClient().Get().AbsPath(resourcePath(namespace, name, "vnc", "screenshot")).DoRaw(ctx)
	if err != nil {
		return err
	}
	return os.WriteFile(file, picture, 0o644)
}

// vnc serves one viewer: the screen is exclusive anyway.
func (s *session) vnc(ctx context.Context, name string, port uint16, proxyOnly bool, timeout time.Duration, takeOver bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	connection, err := s.openWhenUp(ctx, name, timeout, takeOver, "vnc")
	if err != nil {
		return err
	}
	defer connection.Close()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", fmt.Sprint(port)))
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() }) // Ends Accept; nobody is left to tell.
	defer stop()
	host, chosen, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "The screen of %s is at vnc://%s\n", name, listener.Addr())
	var viewer *exec.Cmd
	if !proxyOnly {
		if viewer, err = startViewer(ctx, host, chosen); err != nil {
			return err
		}
	}
	local, err := listener.Accept()
	if err != nil {
		return errors.Join(ctx.Err(), err)
	}
	defer local.Close()
	err = copyStream(ctx, connection, local, local)
	if viewer != nil {
		cancel()
		// The viewer is told to end by the context; how it ends does not matter any more.
		_ = viewer.Wait()
	}
	return err
}

func startViewer(ctx context.Context, host, port string) (*exec.Cmd, error) {
	for _, known := range viewers() {
		path, err := exec.LookPath(known.program)
		if err != nil {
			continue
		}
		command := exec.CommandContext(ctx, path, known.arguments(host, port)...)
		return command, command.Start()
	}
	return nil, errors.New("no viewer found: install remote-viewer or vncviewer, or use --proxy-only")
}
