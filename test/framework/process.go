package framework

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
)

// Process is a program that runs while the test talks to it.
type Process struct {
	// Stdin is the program's standard input.
	Stdin io.WriteCloser

	e       *Environment
	name    string
	command *exec.Cmd
	stdout  *output
	stderr  *output
	done    chan struct{}
	err     error
}

// output collects what a program prints, and may be read meanwhile.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// String is everything so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Start starts a program in an environment such as Environ or As. It is killed when the test ends.
func (e *Environment) Start(environ []string, program string, arguments ...string) *Process {
	e.T.Helper()
	ctx, cancel := context.WithCancel(e.Context)
	p := &Process{
		e: e, name: program + " " + strings.Join(arguments, " "), done: make(chan struct{}),
		command: exec.CommandContext(ctx, e.lookPath(program), arguments...), stdout: &output{}, stderr: &output{},
	}
	p.command.Env, p.command.Dir = environ, e.Root()
	p.command.Stdout, p.command.Stderr = p.stdout, p.stderr
	p.command.WaitDelay = time.Second
	var err error
	p.Stdin, err = p.command.StdinPipe()
	require.NoError(e.T, err)
	require.NoError(e.T, p.command.Start(), p.name)
	go func() {
		p.err = p.command.Wait()
		close(p.done)
	}()
	e.T.Cleanup(func() { cancel(); <-p.done })
	return p
}

// WaitOutput waits until the program has printed a text to either output, and returns everything it printed so far.
func (p *Process) WaitOutput(text string) string {
	p.e.T.Helper()
	p.e.Eventually(fmt.Sprintf("%s prints %q", p.name, text), func() error {
		if printed := p.Output(); !strings.Contains(printed, text) {
			return fmt.Errorf("so far: %q", printed)
		}
		return nil
	})
	return p.Output()
}

// Output is what the program has printed so far.
func (p *Process) Output() string { return p.stdout.String() + p.stderr.String() }

// Type writes to the program's standard input.
func (p *Process) Type(text string) {
	p.e.T.Helper()
	_, err := io.WriteString(p.Stdin, text)
	require.NoError(p.e.T, err, "%s\n%s", p.name, p.Output())
}

// Interrupt sends what Ctrl-C sends.
func (p *Process) Interrupt() {
	p.e.T.Helper()
	require.NoError(p.e.T, p.command.Process.Signal(os.Interrupt))
}

// Wait waits until the program has ended by itself and returns how.
func (p *Process) Wait(limit time.Duration) Result {
	p.e.T.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		require.FailNow(p.e.T, p.name+" does not end", "within %v; it printed:\n%s", limit, p.Output())
	}
	return Result{Stdout: p.stdout.String(), Stderr: p.stderr.String(), Err: p.err}
}
