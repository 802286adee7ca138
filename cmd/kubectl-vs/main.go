// Command kubectl-vs is the kubectl plugin "kubectl vs": it operates VirtualServers by name.
package main

import (
	"context"
	"fmt"
	"os"
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
	if err == nil {
		return 0
	}
	text, code := app.Failure(err)
	if text != "" {
		fmt.Fprintln(os.Stderr, text)
	}
	return code
}
