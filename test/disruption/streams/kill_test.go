// Package streams breaks the servers that carry a console. It disturbs everything else in the control plane, so it runs
// by itself.
package streams

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/controlplane"
	"tensorstack.dev/virtualserver/test/framework"
)

// notice is how long a person may look at a console that leads nowhere.
const notice = 5 * time.Second

// A console ends within five seconds with words that say what happened, whatever process on its way dies.
func TestAConsoleTellsThatItsWayIsBroken(t *testing.T) {
	e := framework.New(t)
	e.Create(framework.Minimal("my-vs"))
	e.WaitSettled("my-vs", v1beta1.StatusRunning)
	user := e.UserInRole("user", "edit")
	direct, prefix := e.As(user.Kubeconfig), e.As(e.PrefixKubeconfig(user))
	consoles := map[string]func() *framework.Process{
		"kubectl vs console": func() *framework.Process {
			return e.Start(direct, "kubectl-vs", "console", "my-vs", "--take-over")
		},
		"virtctl console through the prefix": func() *framework.Process {
			return e.Start(prefix, "kubectl-virt", "console", "my-vs")
		},
	}
	for _, broken := range []struct {
		component string
		stop      bool
		// says is what either client prints, by its name.
		says map[string]string
	}{
		{component: controlplane.VirtAPI, says: map[string]string{
			"kubectl vs console": "connect again", "virtctl console through the prefix": "the connection to the machine was lost"}},
		{component: controlplane.NodeAgent, says: map[string]string{
			"kubectl vs console": "connect again", "virtctl console through the prefix": "the connection to the machine was lost"}},
		{component: controlplane.Product, says: map[string]string{
			"kubectl vs console": "the connection to the server was lost", "virtctl console through the prefix": "You were disconnected from the console"}},
		{component: controlplane.Product, stop: true, says: map[string]string{
			"kubectl vs console": "is shutting down; connect again", "virtctl console through the prefix": "is shutting down; connect again"}},
	} {
		for client, open := range consoles {
			name := "kill " + broken.component + " under " + client
			if broken.stop {
				name = "stop " + broken.component + " under " + client
			}
			t.Run(name, func(t *testing.T) {
				console := login(open())
				brokenAt := time.Now()
				interrupt := e.Plane.Kill
				if broken.stop {
					interrupt = e.Plane.StopComponent
				}
				done := make(chan error, 1)
				go func() { done <- interrupt(e.Context, broken.component) }()
				ended := console.Wait(framework.DefaultTimeout)
				took := time.Since(brokenAt)
				require.NoError(t, <-done)
				require.NoError(t, e.Plane.StartComponent(e.Context, broken.component))

				assert.Less(t, took, notice, "the console ended in time")
				assert.Error(t, ended.Err, "and not as if the user had left")
				assert.Contains(t, ended.Stdout+ended.Stderr, broken.says[client])
				recovers(e)
				if broken.stop {
					toldByAnEvent(e)
				}
			})
		}
	}
}

// login waits until the guest answers on a console.
func login(console *framework.Process) *framework.Process {
	console.WaitOutput("onnected to my-vs")
	console.Type("\r")
	console.WaitOutput("login: ")
	return console
}

// recovers waits until a console opens again: kube-apiserver takes a moment to trust a server that is back.
func recovers(e *framework.Environment) {
	e.T.Helper()
	e.Eventually("a console opens again", func() error {
		connection, _, err := framework.Dial(e.Context, e.Config, framework.Path(e.Namespace)+"/my-vs/console?takeOver=true&wait=30")
		if err != nil {
			return err
		}
		return connection.Close()
	})
	e.WaitStatus("my-vs", v1beta1.StatusRunning)
	// The next console is another user's, who would be told to wait for this one.
	e.Eventually("that console is closed", func() error {
		answer, err := e.VirtualServers.TensorstackV1beta1().RESTClient().Get().
			AbsPath(framework.Path(e.Namespace), "my-vs", "sessions").DoRaw(e.Context)
		if err == nil && !strings.Contains(string(answer), `"items":[]`) {
			err = fmt.Errorf("open: %s", answer)
		}
		return err
	})
}
