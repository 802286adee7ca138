package integration

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/rest"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

func TestConsoleOfAMachine(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine"))
	e.WaitStatus("machine", v1beta1.StatusRunning)
	user := e.UserWith("console-user", rbacv1.PolicyRule{
		APIGroups: []string{"tensorstack.dev"}, Resources: []string{"virtualservers/console"}, Verbs: []string{"get", "create"}})

	console := e.OpenConsole(user.Config, framework.Path(e.Namespace)+"/machine/console")
	assert.Equal(t, framework.PlainProtocol, console.Connection.Subprotocol())
	console.Login()
}

func TestConsoleNeedsCreateAsWellAsGet(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine"))
	e.WaitStatus("machine", v1beta1.StatusRunning)
	for name, config := range map[string]*rest.Config{
		"a viewer": e.UserInRole("viewer", "view").Config,
		"a user who may only get": e.UserWith("getter", rbacv1.PolicyRule{
			APIGroups: []string{"tensorstack.dev"}, Resources: []string{"virtualservers/console"}, Verbs: []string{"get"}}).Config,
		"nobody": e.Plane.AnonymousConfig(),
	} {
		_, response, err := framework.Dial(e.Context, config, framework.Path(e.Namespace)+"/machine/console")
		require.Error(t, err, name)
		require.NotNil(t, response, name)
		assert.Contains(t, []int{http.StatusForbidden, http.StatusUnauthorized}, response.StatusCode, name)
	}
}

func TestConsoleSaysWhyThereIsNone(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("stopped", framework.WithStrategy(v1beta1.RunStrategyHalted)))
	e.WaitStatus("stopped", v1beta1.StatusStopped)
	e.Faults(map[string]string{"import": "stall"})
	e.Create(framework.Minimal("importing"))
	e.WaitStatus("importing", v1beta1.StatusProvisioning)
	for name, want := range map[string]int{
		"importing": http.StatusBadRequest, // virtctl waits on exactly this
		"stopped":   http.StatusConflict,
		"unknown":   http.StatusNotFound,
	} {
		_, response, err := framework.Dial(e.Context, e.Config, framework.Path(e.Namespace)+"/"+name+"/console")
		require.Error(t, err, name)
		require.NotNil(t, response, name)
		assert.Equal(t, want, response.StatusCode, name)
		assert.Contains(t, response.Header.Get("Content-Type"), "application/json", name)
	}
}

func TestConsoleWaitsForAMachineThatIsStarting(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine"))
	e.OpenConsole(e.Config, framework.Path(e.Namespace)+"/machine/console?wait=60").Login()
}

// Nothing that a console carries is lost, doubled or out of order, in either direction. test/benchmark/console measures speed.
func TestConsoleCarriesEveryByte(t *testing.T) {
	t.Parallel()
	const bytes = 8 << 20
	e := framework.New(t)
	e.Create(framework.Minimal("machine"))
	e.WaitStatus("machine", v1beta1.StatusRunning)
	for _, path := range []string{
		framework.Path(e.Namespace) + "/machine/console",
		framework.KubeVirtPrefix + kubeVirtPath(e.Namespace, "virtualmachineinstances", "machine", "console"),
	} {
		console := e.OpenConsole(e.Config, path)
		console.Login()
		console.Receive(bytes)
		console.Transmit(bytes)
	}
}
