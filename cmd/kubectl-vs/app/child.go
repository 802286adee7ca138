package app

import (
	"context"
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
	ctx, stop := signal.NotifyContext(context.WithoutCancel(ctx), syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	defer s.keepTerminal()()
	child := exec.CommandContext(ctx, program, arguments...)
	child.Env = append(os.Environ(), "KUBECONFIG="+strings.Join(append([]string{file}, s.kubeconfigs()...), string(os.PathListSeparator)))
	child.Stdin, child.Stdout, child.Stderr = s.In, s.Out, s.ErrOut
	politely(child)
	return child.Run()
}

// politely lets a program put its things in order, such as the terminal, when its context ends.
func politely(command *exec.Cmd) {
	command.WaitDelay = childPatience
	command.Cancel = func() error {
		if err := command.Process.Signal(syscall.SIGTERM); err != nil {
			return command.Process.Kill()
		}
		return nil
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
