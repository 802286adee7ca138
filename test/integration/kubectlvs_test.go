package integration

import (
	"encoding/json"
	"errors"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// plugin is "kubectl vs" in the hands of a user with the ClusterRole edit.
type plugin struct {
	*framework.Environment
	environ []string
	user    *framework.User
}

func newPlugin(t *testing.T) *plugin {
	t.Helper()
	e := framework.New(t)
	user := e.UserInRole("user", "edit")
	return &plugin{Environment: e, environ: e.As(user.Kubeconfig), user: user}
}

// vs runs "kubectl vs", which kubectl has to find by itself, with an exit code that must be 0.
func (p *plugin) vs(arguments ...string) framework.Result {
	p.T.Helper()
	result := p.RunIn(p.environ, "", "kubectl", append([]string{"vs"}, arguments...)...)
	require.NoError(p.T, result.Err, "kubectl vs %s\n%s%s", strings.Join(arguments, " "), result.Stdout, result.Stderr)
	return result
}

// fails runs "kubectl vs" for an exit code of 1 and a message.
func (p *plugin) fails(message string, arguments ...string) framework.Result {
	p.T.Helper()
	result := p.RunIn(p.environ, "", "kubectl", append([]string{"vs"}, arguments...)...)
	var exit *exec.ExitError
	require.True(p.T, errors.As(result.Err, &exit), "kubectl vs %s must fail: %v", strings.Join(arguments, " "), result.Err)
	assert.Equal(p.T, 1, exit.ExitCode())
	assert.Regexp(p.T, `(?m)^(error|Error from server \(\w+\)): `, result.Stderr)
	assert.Contains(p.T, result.Stderr, message)
	assert.Empty(p.T, result.Stdout, "an error leaves nothing for a script to read")
	return result
}

const image = "--image=https://images.example.com/disk.img"

func TestKubectlVSOperates(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	created := p.vs("create", "my-vs", image, "--disk=1Gi", "--memory=1Gi", "--wait")
	assert.Equal(t, "virtualserver.tensorstack.dev/my-vs created\n", created.Stdout)
	assert.Regexp(t, `(?m)^\d\d:\d\d:\d\d  Running`, created.Stderr, "progress goes to standard error, with the time")
	p.fails("already exists", "create", "my-vs", image)
	p.fails("start is not possible under run strategy Always", "start", "my-vs")

	stopped := p.vs("stop", "my-vs", "--wait")
	assert.Equal(t, "virtualserver/my-vs is Stopped, run strategy Always -> Halted\n", stopped.Stdout)
	assert.Contains(t, stopped.Stderr, "Stopped")
	assert.Equal(t, "virtualserver/my-vs starting (server dry run)\n", p.vs("start", "my-vs", "--dry-run=server").Stdout)
	assert.Equal(t, v1beta1.RunStrategyHalted, p.Get("my-vs").Status.RunStrategy)

	assert.Equal(t, "virtualserver.tensorstack.dev/my-vs\n", p.vs("start", "my-vs", "--wait", "-o", "name").Stdout)
	before := p.Get("my-vs").Status.VM.InstanceUID
	restarted := &v1beta1.VirtualServer{}
	require.NoError(t, json.Unmarshal([]byte(p.vs("restart", "my-vs", "--wait", "-o", "json").Stdout), restarted))
	assert.Equal(t, "VirtualServer", restarted.Kind)
	assert.NotEqual(t, before, restarted.Status.VM.InstanceUID)
	assert.Equal(t, v1beta1.StatusRunning, restarted.Status.PrintableStatus)

	p.vs("pause", "my-vs", "--wait")
	assert.Equal(t, v1beta1.StatusPaused, p.Get("my-vs").Status.PrintableStatus)
	unpaused := &v1beta1.VirtualServer{}
	require.NoError(t, yaml.UnmarshalStrict([]byte(p.vs("unpause", "my-vs", "--wait", "-o", "yaml").Stdout), unpaused))
	assert.Equal(t, v1beta1.StatusRunning, unpaused.Status.PrintableStatus)

	// KubeVirt calls a machine ready a moment after it runs again.
	p.MustKubectl("wait", "--for=condition=Ready", "--timeout=90s", "virtualserver/my-vs")
	p.shows(t)
	p.vs("stop", "my-vs", "--force", "--wait")
	p.vs("start", "my-vs", "--paused", "--wait")
	assert.Equal(t, v1beta1.StatusPaused, p.Get("my-vs").Status.PrintableStatus)
}

// shows looks at what the commands that only look print.
func (p *plugin) shows(t *testing.T) {
	t.Helper()
	status := p.vs("status", "my-vs").Stdout
	for _, want := range []string{`Status: +Running`, `Run strategy: +Always \(created with Always\)`, `Node: +node-`, `Restart +system:serviceaccount:.*:user .* Succeeded`, `Ready +True`} {
		assert.Regexp(t, want, status)
	}
	assert.Equal(t, "Running", p.vs("status", "my-vs", "-o", "jsonpath={.status.printableStatus}").Stdout)
	assert.Regexp(t, `^VirtualServer my-vs: Running`, p.vs("why", "my-vs").Stdout)
	p.Eventually("events show the life of the machine", func() error {
		events := p.vs("events", "my-vs").Stdout
		if !regexp.MustCompile(`(?s)^LAST SEEN .*Started`).MatchString(events) {
			return errMissing("Started in " + events)
		}
		return nil
	})
	assert.Contains(t, p.vs("logs", "my-vs", "--since=1h").Stdout, "login: ")
	assert.Equal(t, "login: \n", p.vs("logs", "my-vs", "--tail=1").Stdout)
	assert.Regexp(t, `^\d{4}-\d\d-\d\dT\S+ login: \n$`, p.vs("logs", "my-vs", "--tail=1", "--timestamps").Stdout)
}

// A wait that does not come to its end says how far it came, and what to try.
func TestKubectlVSGivesUpWaiting(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	p.Faults(map[string]string{"import": "stall", "importProgress": "42"})
	failed := p.RunIn(p.environ, "", "kubectl", "vs", "create", "my-vs", image, "--wait", "--timeout=20s")
	require.Error(t, failed.Err)
	assert.Contains(t, failed.Stderr, "creating my-vs: not done after 20s, last seen: Provisioning")
	assert.Contains(t, failed.Stderr, "try: kubectl vs why my-vs")

	waiting := p.Start(p.environ, p.Plane.Binary("kubectl-vs"), "create", "your-vs", image, "--wait")
	waiting.WaitOutput("Provisioning")
	waiting.Interrupt()
	interrupted := waiting.Wait(endOfProcess)
	require.Error(t, interrupted.Err)
	assert.Contains(t, interrupted.Stderr, "creating your-vs: not waited for any longer (interrupt signal received), but it goes on")
}

// A machine that nobody starts is waited for until it can be started, and is printed as it is then.
func TestKubectlVSWaitsForAMachineThatDoesNotStart(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	for _, strategy := range []v1beta1.RunStrategy{v1beta1.RunStrategyManual, v1beta1.RunStrategyHalted} {
		name := strings.ToLower(string(strategy))
		created := &v1beta1.VirtualServer{}
		result := p.vs("create", name, image, "--run-strategy="+string(strategy), "--wait", "--timeout=80s", "-o", "json")
		require.NoError(t, json.Unmarshal([]byte(result.Stdout), created))
		assert.Equal(t, v1beta1.StatusStopped, created.Status.PrintableStatus)
	}
}

// Each chain ends at the object that blocks the machine, with a hint.
func TestKubectlVSWhy(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	p.vs("create", "no-class", image, "--storage-class=no-such-class")
	p.vs("create", "bad-image", "--image=https://images.example.com/does-not-exist.img")
	p.vs("create", "too-large", image, "--memory=10Ti")
	p.vs("create", "stopped", image, "--run-strategy=Halted")
	for name, want := range map[string][]string{
		"no-class":  {"VirtualServer no-class: Provisioning", "no-such-class", "Hint: name one of 'kubectl get storageclasses'"},
		"bad-image": {"VirtualServer bad-image: Provisioning", "404", "Condition DataImported: ", "Hint: correct spec.storage.root.source"},
		"too-large": {"VirtualServer too-large: FailedUnschedulable", "Pod virt-launcher-", "Insufficient memory", "Hint: ask for fewer resources"},
		"stopped":   {"VirtualServer stopped: Stopped", "Hint: kubectl vs start stopped"},
	} {
		p.Eventually("why "+name, func() error {
			text := p.vs("why", name).Stdout
			rest := text
			for _, part := range want {
				_, after, found := strings.Cut(rest, part)
				if !found {
					return errMissing(part + " in\n" + text)
				}
				rest = after
			}
			return nil
		})
	}
}

// kubectl itself completes the names of VirtualServers, by the script beside the plugin.
func TestKubectlVSCompletesNames(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	p.vs("create", "alpha", image, "--run-strategy=Halted")
	p.vs("create", "beta", image, "--run-strategy=Halted")
	complete := func(arguments ...string) []string {
		t.Helper()
		result := p.RunIn(p.environ, "", "kubectl", append([]string{"__complete", "vs"}, arguments...)...)
		require.NoError(t, result.Err, result.Stderr)
		return strings.Split(result.Stdout, "\n")
	}
	assert.Contains(t, strings.Join(complete("console", "al"), "\n"), "alpha")
	assert.NotContains(t, strings.Join(complete("console", "al"), "\n"), "beta")
	assert.Contains(t, strings.Join(complete("ssh", "root@al"), "\n"), "root@alpha\t")
	both := strings.Join(complete("--namespace", p.Namespace, "stop", ""), "\n")
	assert.Contains(t, both, "alpha")
	assert.Contains(t, both, "beta")
	assert.Contains(t, strings.Join(complete("port-f"), "\n"), "port-forward")
	assert.NotContains(t, strings.Join(complete("console", "alpha", ""), "\n"), "beta", "a second name makes no sense")
	second := strings.Join(complete("stop", "alpha", ""), "\n")
	assert.Contains(t, second, "beta", "several are stopped at once")
	assert.NotContains(t, second, "alpha")
}
