package integration

import (
	"bytes"
	"errors"
	"image/png"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

func TestKubectlVSConnects(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	p.Create(framework.Minimal("my-vs"))
	machine := p.WaitSettled("my-vs", v1beta1.StatusRunning).Status.VM.Name
	for name, test := range map[string]func(*testing.T, *plugin, string){
		"console": pluginConsole, "vnc": pluginVNC, "port-forward": pluginPortForward, "ssh": pluginSSH, "virt": pluginVirt,
	} {
		t.Run(name, func(t *testing.T) {
			environment := *p.Environment
			environment.T = t
			test(t, &plugin{Environment: &environment, environ: p.environ, user: p.user}, machine)
		})
	}
}

// A console can be opened before its machine is there, and says when it is. Until then Ctrl-C ends it.
func TestKubectlVSConsoleWaitsForTheMachine(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	p.Faults(map[string]string{"import": "stall", "importProgress": "42"})
	p.Create(framework.Minimal("my-vs"))
	impatient := p.Start(p.environ, p.Plane.Binary("kubectl-vs"), "console", "my-vs")
	impatient.WaitOutput("Waiting for the machine")
	impatient.Interrupt()
	result := impatient.Wait(endOfProcess)
	require.Error(t, result.Err)
	assert.Contains(t, result.Stderr, "error: interrupt signal received")
	assert.NotContains(t, result.Stderr, "Connected")

	console := p.Start(p.environ, "kubectl", "vs", "console", "my-vs")
	console.WaitOutput("Waiting for the machine")
	p.Faults(nil)
	console.WaitOutput("Connected to my-vs. Leave with Ctrl-].")
	console.Type("\r")
	console.WaitOutput("login: ")
	console.Type("\x1d")
	assert.NoError(t, console.Wait(endOfProcess).Err)
}

func pluginConsole(t *testing.T, p *plugin, machine string) {
	console := p.Start(p.environ, "kubectl", "vs", "console", "my-vs")
	console.WaitOutput("Connected to my-vs. Leave with Ctrl-].")
	console.Type("\r")
	console.WaitOutput("login: ")
	console.Type("hostname\r")
	console.WaitOutput("hostname\r\nmy-vs\r\n")
	console.Type("\x1d")
	assert.NoError(t, console.Wait(endOfProcess).Err)
}

func pluginVNC(t *testing.T, p *plugin, machine string) {
	proxy := p.Start(p.environ, "kubectl", "vs", "vnc", "my-vs", "--proxy-only")
	address := regexp.MustCompile(`vnc://(\S+)\n`).FindStringSubmatch(proxy.WaitOutput("\n"))
	require.NotNil(t, address, proxy.Output())
	viewer, err := net.Dial("tcp", address[1])
	require.NoError(t, err)
	assert.Equal(t, p.Namespace+"/"+machine, rfbHandshake(t, viewer))
	require.NoError(t, viewer.Close())
	assert.NoError(t, proxy.Wait(endOfProcess).Err, "the viewer was closed")

	picture := filepath.Join(t.TempDir(), "screen.png")
	p.vs("vnc", "my-vs", "--screenshot", picture)
	content, err := os.ReadFile(picture)
	require.NoError(t, err)
	_, err = png.Decode(bytes.NewReader(content))
	require.NoError(t, err)
}

func pluginPortForward(t *testing.T, p *plugin, machine string) {
	forward := p.Start(p.environ, "kubectl", "vs", "port-forward", "my-vs", "0:"+portOfGuest)
	address := regexp.MustCompile(`Forwarding from (\S+) -> ` + portOfGuest).FindStringSubmatch(forward.WaitOutput("-> " + portOfGuest))
	require.NotNil(t, address)
	for range 3 {
		response, err := http.Get("http://" + address[1])
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, "hello from "+p.Namespace+"/"+machine+"\n", string(body))
	}
	forward.Interrupt()
	assert.NoError(t, forward.Wait(endOfProcess).Err)
}

func pluginSSH(t *testing.T, p *plugin, machine string) {
	needs(t, "ssh")
	(&virtctl{Environment: p.Environment, machine: machine}).guestServesSSH(t)
	options := []string{"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"}
	ssh := func(command ...string) framework.Result {
		arguments := append([]string{"vs", "ssh", "root@my-vs", "--"}, options...)
		return p.RunIn(p.environ, "", "kubectl", append(arguments, command...)...)
	}
	result := ssh("hostname")
	require.NoError(t, result.Err, result.Stderr)
	assert.Equal(t, "my-vs", strings.TrimSpace(result.Stdout))

	result = ssh("no-such-command")
	var exit *exec.ExitError
	require.True(t, errors.As(result.Err, &exit))
	assert.Equal(t, 127, exit.ExitCode(), "the exit code of the guest is that of the plugin")
}

// pluginVirt passes commands to virtctl, among them one that runs virtctl once more.
func pluginVirt(t *testing.T, p *plugin, machine string) {
	p.WaitAgent("my-vs")
	assert.Contains(t, p.vs("virt", "guestosinfo", "my-vs").Stdout, `"hostname": "my-vs"`)
	assert.Contains(t, p.vs("--namespace", p.Namespace, "virt", "fslist", "my-vs").Stdout, `"/"`)
	refused := p.RunIn(p.environ, "", "kubectl", "vs", "virt", "start", "my-vs")
	require.Error(t, refused.Err)
	assert.Contains(t, refused.Stderr, "start is not possible under run strategy Always", "our own table speaks")

	needs(t, "ssh")
	(&virtctl{Environment: p.Environment, machine: machine}).guestServesSSH(t)
	result := p.vs("virt", "ssh", "--local-ssh-opts=-o StrictHostKeyChecking=no", "--local-ssh-opts=-o UserKnownHostsFile=/dev/null",
		"--local-ssh-opts=-o LogLevel=ERROR", "--command=hostname", "root@vm/my-vs")
	assert.Equal(t, "my-vs", strings.TrimSpace(result.Stdout))
}
