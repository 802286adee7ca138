// Command kubectl-vs is the kubectl plugin "kubectl vs": it operates VirtualServers by name.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"tensorstack.dev/virtualserver/cmd/kubectl-vs/app"
)

func main() {
	os.Exit(run())
}

func run() int {
	// SIGQUIT is Ctrl-\ on a terminal: what is open, such as a raw terminal or a file with a token, is put in order first.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	err := app.NewCommand(streams).ExecuteContext(ctx)
	var ended *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &ended):
		// ssh, scp and virtctl have said what was wrong; their exit code is ours. After a signal it is as in a shell.
		if status, ok := ended.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return 128 + int(status.Signal())
		}
		return ended.ExitCode()
	default:
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1
	}
}
