package framework

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

// Result is what a command printed and how it ended.
type Result struct {
	// Stdout and Stderr are what the command printed.
	Stdout, Stderr string
	// Err is nil when the command ended with 0.
	Err error
}

// Kubectl runs the real kubectl as an administrator in the test's namespace.
func (e *Environment) Kubectl(arguments ...string) Result {
	return e.Run("", "kubectl", append([]string{"--namespace", e.Namespace}, arguments...)...)
}

// KubectlInput is Kubectl with something on standard input.
func (e *Environment) KubectlInput(input string, arguments ...string) Result {
	return e.Run(input, "kubectl", append([]string{"--namespace", e.Namespace}, arguments...)...)
}

// MustKubectl is Kubectl for a command that must succeed. It returns what the command printed.
func (e *Environment) MustKubectl(arguments ...string) string {
	e.T.Helper()
	result := e.Kubectl(arguments...)
	require.NoError(e.T, result.Err, "kubectl %s\n%s%s", strings.Join(arguments, " "), result.Stdout, result.Stderr)
	return result.Stdout
}

// Run runs a program with the control plane's binaries first in PATH and its kubeconfig.
func (e *Environment) Run(input, program string, arguments ...string) Result {
	e.T.Helper()
	return e.RunIn(e.Environ(), input, program, arguments...)
}

// RunIn is Run in another environment, such as that of As.
func (e *Environment) RunIn(environ []string, input, program string, arguments ...string) Result {
	e.T.Helper()
	ctx, cancel := context.WithTimeout(e.Context, 3*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, e.lookPath(program), arguments...)
	command.Env = environ
	command.Dir = e.Root()
	if input != "" {
		command.Stdin = strings.NewReader(input)
	}
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	return Result{Stdout: stdout.String(), Stderr: stderr.String(), Err: err}
}

// Environ is the environment of a person who works with the control plane.
func (e *Environment) Environ() []string {
	return append(os.Environ(),
		"PATH="+filepath.Dir(e.Plane.Binary("kubectl"))+string(os.PathListSeparator)+os.Getenv("PATH"),
		"KUBECONFIG="+e.Plane.KubeconfigPath())
}

// As is Environ for somebody with another kubeconfig and a home of their own.
func (e *Environment) As(kubeconfig string) []string {
	return append(e.Environ(), "KUBECONFIG="+kubeconfig, "HOME="+e.T.TempDir())
}

// lookPath prefers the control plane's own programs.
func (e *Environment) lookPath(program string) string {
	if own := e.Plane.Binary(program); !strings.ContainsRune(program, filepath.Separator) {
		if _, err := os.Stat(own); err == nil {
			return own
		}
	}
	return program
}
