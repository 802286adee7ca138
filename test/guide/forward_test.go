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

// throughPortForward reads the guest's page through "kubectl port-forward service/MACHINE", as the guide has it.
func throughPortForward(e *framework.Environment, machine string) string {
	e.T.Helper()
	ctx, cancel := context.WithCancel(e.Context)
	defer cancel()
	command := exec.CommandContext(ctx, e.Plane.Binary("kubectl"), "-n", e.Namespace, "port-forward", "service/"+machine, ":80")
	command.Env = e.Environ()
	stdout, err := command.StdoutPipe()
	require.NoError(e.T, err)
	require.NoError(e.T, command.Start())
	defer func() {
		cancel()
		_ = command.Wait()
	}()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(e.T, err)
	port := regexp.MustCompile(`127\.0\.0\.1:(\d+)`).FindStringSubmatch(line)
	require.Len(e.T, port, 2, line)
	text := ""
	e.Eventually("the page comes through the forwarded port", func() error {
		response, err := http.Get("http://127.0.0.1:" + port[1] + "/index.html")
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
