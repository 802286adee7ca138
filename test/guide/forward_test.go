package guide

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"

	"github.com/stretchr/testify/require"

	"tensorstack.dev/virtualserver/test/framework"
)

// forwarded returns the port of this machine that "kubectl port-forward" leads to a port of a Service, until the test ends.
func forwarded(e *framework.Environment, namespace, service, port string) string {
	e.T.Helper()
	ctx, cancel := context.WithCancel(e.Context)
	command := exec.CommandContext(ctx, e.Plane.Binary("kubectl"), "-n", namespace, "port-forward", "service/"+service, ":"+port)
	command.Env = e.Environ()
	stdout, err := command.StdoutPipe()
	require.NoError(e.T, err)
	require.NoError(e.T, command.Start())
	e.T.Cleanup(func() {
		cancel()
		_ = command.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(e.T, err)
	local := regexp.MustCompile(`127\.0\.0\.1:(\d+)`).FindStringSubmatch(line)
	require.Len(e.T, local, 2, line)
	return local[1]
}

// throughPortForward reads the guest's page through "kubectl port-forward service/MACHINE", as the guide has it.
func throughPortForward(e *framework.Environment, machine string) string {
	e.T.Helper()
	port := forwarded(e, e.Namespace, machine, "80")
	text := ""
	e.Eventually("the page comes through the forwarded port", func() error {
		response, err := http.Get("http://127.0.0.1:" + port + "/index.html")
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", response.StatusCode)
		}
		content, err := io.ReadAll(response.Body)
		text = string(content)
		return err
	})
	return text
}
