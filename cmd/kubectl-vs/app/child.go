package app

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"
	"k8s.io/client-go/tools/clientcmd"
)

// childPatience is how long a program that was told to end may take, before it is killed.
const childPatience = 5 * time.Second

// runChild runs a program of the user's that has the terminal while it runs, and connects as this command was told: the
// kubeconfig says so, because everybody sees the flags of a process.
func (s *session) runChild(ctx context.Context, prefix, program string, arguments ...string) error {
	overlay, err := s.overlay(prefix)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "kubectl-vs-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "kubeconfig")
	if err := clientcmd.WriteToFile(*overlay, file); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// Ctrl-C reaches the program too, since it is in our process group. It decides itself what that means, and we stay until it
	// ends. Other signals may have been sent to us alone.
	ctx, stop := untilSignal(context.WithoutCancel(ctx), syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	defer s.keepTerminal()()
	child := exec.CommandContext(ctx, program, arguments...)
	child.Env = append(os.Environ(), "KUBECONFIG="+strings.Join(append([]string{file}, s.kubeconfigs()...), string(os.PathListSeparator)))
	child.Stdin, child.Stdout, child.Stderr = s.In, s.Out, s.ErrOut
	endInOrder(ctx, child)
	return child.Run()
}

// endInOrder lets a program put its things in order, such as the terminal, when its context ends.
func endInOrder(ctx context.Context, command *exec.Cmd) {
	command.WaitDelay = childPatience
	command.Cancel = func() error {
		signal := syscall.SIGTERM
		// Ctrl-\ has reached the program already, which is to end of it, and of nothing that overtakes it.
		if ended, ok := errors.AsType[endedBySignal](context.Cause(ctx)); ok && ended.Signal == syscall.SIGQUIT {
			signal = syscall.SIGQUIT
		}
		if err := command.Process.Signal(signal); err != nil {
			return command.Process.Kill()
		}
		return nil
	}
}

// endedBySignal is why a context has ended.
type endedBySignal struct{ os.Signal }

// Error implements error.
func (e endedBySignal) Error() string { return "signal: " + e.String() }

// untilSignal is signal.NotifyContext with the signal as the cause.
func untilSignal(ctx context.Context, signals ...os.Signal) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	received := make(chan os.Signal, 1)
	signal.Notify(received, signals...)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case got := <-received:
			cancel(endedBySignal{got})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(received)
		cancel(nil)
		<-stopped
	}
}

// keepTerminal returns what makes the terminal as it is now, for a program that dies without doing so.
func (s *session) keepTerminal() func() {
	file, ok := s.In.(*os.File)
	if !ok || !inForeground(int(file.Fd())) {
		return func() {}
	}
	terminal := int(file.Fd())
	state, err := term.GetState(terminal)
	if err != nil {
		return func() {}
	}
	return func() {
		// In the background it is somebody else's by now, and touching it would stop us.
		if inForeground(terminal) {
			_ = term.Restore(terminal, state) // The terminal may be gone, and then it does not matter.
		}
	}
}
