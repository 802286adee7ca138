package integration

import (
	"errors"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// commandsOfOne are all commands that are about one machine.
func commandsOfOne(t *testing.T) map[string][]string {
	return map[string][]string{
		"start": {"start", "NAME"}, "stop": {"stop", "NAME"}, "restart": {"restart", "NAME"}, "pause": {"pause", "NAME"}, "unpause": {"unpause", "NAME"},
		"console": {"console", "NAME"}, "vnc": {"vnc", "NAME", "--proxy-only"},
		"screenshot":   {"vnc", "NAME", "--screenshot", filepath.Join(t.TempDir(), "screen.png")},
		"port-forward": {"port-forward", "NAME", "0:80"}, "ssh": {"ssh", "root@NAME", "--", "hostname"},
		"status": {"status", "NAME"}, "why": {"why", "NAME"}, "events": {"events", "NAME"}, "logs": {"logs", "NAME"},
	}
}

// wordsOfTheAPI are what nothing that a command line prints may have.
var wordsOfTheAPI = regexp.MustCompile(`\b[1-5]\d\d [A-Z]|\?[a-z]|takeOver|wait=|/apis/|unknown$|InternalError|websocket|[Vv]irtualmachineinstance|VMI is`)

// matrix is "kubectl vs" in the hands of somebody whose kubeconfig has two contexts, each with a namespace.
type matrix struct {
	*plugin
	other string
}

func newMatrix(t *testing.T) *matrix {
	t.Helper()
	m := &matrix{plugin: newPlugin(t)}
	m.other = m.CreateNamespace("test-other-")
	m.Grant(m.user, m.other, rbacv1.PolicyRule{APIGroups: []string{"tensorstack.dev"}, Resources: []string{"*"}, Verbs: []string{"*"}},
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"events", "pods", "pods/log", "persistentvolumeclaims"}, Verbs: []string{"get", "list", "watch"}})
	config, err := clientcmd.LoadFromFile(m.user.Kubeconfig)
	require.NoError(t, err)
	config.Contexts["far"] = &clientcmdapi.Context{Cluster: "local", AuthInfo: m.user.Name, Namespace: m.other}
	require.NoError(t, clientcmd.WriteToFile(*config, m.user.Kubeconfig))
	return m
}

// says runs a command as a user, with the flags and for the machine.
func (m *matrix) says(environ []string, flags, command []string, name string) (out, err string, code int) {
	m.T.Helper()
	arguments := append([]string{"vs"}, command...)
	for i := range arguments {
		arguments[i] = strings.ReplaceAll(arguments[i], "NAME", name)
	}
	result := m.RunIn(environ, "", "kubectl", append(arguments[:2:2], append(slices.Clone(flags), arguments[2:]...)...)...)
	var exit *exec.ExitError
	if errors.As(result.Err, &exit) {
		code = exit.ExitCode()
	} else {
		require.NoError(m.T, result.Err)
	}
	return result.Stdout, strings.TrimRight(result.Stderr, "\n"), code
}

// All commands, for a machine that is missing, forbidden or stopped, here, in another namespace and in another context.
func TestKubectlVSMatrix(t *testing.T) {
	t.Parallel()
	m := newMatrix(t)
	m.Create(framework.Minimal("down", framework.WithStrategy(v1beta1.RunStrategyManual)))
	m.WaitSettled("down", v1beta1.StatusStopped)
	reader := m.As(m.UserInRole("reader", "view").Kubeconfig)
	nobody := m.As(m.UserWith("nobody", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get"}}).Kubeconfig)
	reads := []string{"status", "why", "events"}
	for name, command := range commandsOfOne(t) {
		for where, test := range map[string]struct {
			flags     []string
			namespace string
		}{
			"here": {nil, m.Namespace}, "namespace": {[]string{"-n", m.other}, m.other}, "context": {[]string{"--context", "far"}, m.other},
			"context and namespace": {[]string{"--context", "far", "-n", m.Namespace}, m.Namespace},
		} {
			t.Run("missing "+name+" "+where, func(t *testing.T) {
				out, err, code := m.says(m.environ, test.flags, command, "missing")
				assert.Equal(t, 1, code)
				assert.Empty(t, out)
				assert.Equal(t, `Error from server (NotFound): virtualservers.tensorstack.dev "missing" not found in namespace "`+test.namespace+`"`, err)
			})
		}
		t.Run("forbidden "+name, func(t *testing.T) {
			out, err, code := m.says(nobody, nil, command, "down")
			assert.Equal(t, 1, code)
			assert.Empty(t, out)
			assert.Regexp(t, `^Error from server \(Forbidden\): .* User "system:serviceaccount:.*:nobody" cannot get resource .* in the namespace "`+m.Namespace+`"$`, err)
		})
		t.Run("reader "+name, func(t *testing.T) {
			_, err, code := m.says(reader, nil, command, "down")
			if slices.Contains(reads, name) || name == "logs" {
				assert.NotContains(t, err, "Forbidden")
				return
			}
			assert.Equal(t, 1, code)
			assert.Regexp(t, `^Error from server \(Forbidden\): .* User "system:serviceaccount:.*:reader" cannot `, err)
		})
		t.Run("stopped "+name, func(t *testing.T) {
			if name == "start" {
				return // It works.
			}
			_, err, code := m.says(m.environ, nil, command, "down")
			assert.NotRegexp(t, wordsOfTheAPI, err)
			if slices.Contains(reads, name) {
				assert.Zero(t, code, err)
				return
			}
			assert.Equal(t, 1, code, err)
			assert.Regexp(t, `^(Error from server \(Conflict\): virtualservers.tensorstack.dev "down": .*(not running|stopped|no machine runs)|error: virtualserver "down" has no serial log)`, err)
		})
	}
}

// What a second operation says is about what the user sees: a machine that stops, stands still or is paused.
func TestKubectlVSSecondOperation(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	p.Faults(map[string]string{"stop": "hang"})
	for _, strategy := range []v1beta1.RunStrategy{v1beta1.RunStrategyAlways, v1beta1.RunStrategyManual, v1beta1.RunStrategyRerunOnFailure} {
		name := strings.ToLower(string(strategy))
		p.Create(framework.Minimal(name, framework.WithStrategy(strategy)))
		if strategy == v1beta1.RunStrategyManual {
			p.WaitSettled(name, v1beta1.StatusStopped)
			p.vs("start", name)
		}
		p.WaitSettled(name, v1beta1.StatusRunning)
		p.fails("is not paused", "unpause", name)
		p.vs("pause", name, "--wait")
		p.fails("the machine is paused already; unpause lets it go on", "pause", name)
		p.vs("unpause", name, "--wait")
		p.vs("stop", name)
		for range 2 {
			again := p.fails("already", "stop", name)
			assert.Regexp(t, `stop is not possible: the machine is (being stopped|shutting down) already`, again.Stderr)
			p.WaitStatus(name, v1beta1.StatusStopping)
		}
		p.vs("stop", name, "--force", "--wait")
		p.fails("stopped already", "stop", name)
	}
}

// port-forward says Forwarding when it can, and ends with the machine.
func TestKubectlVSPortForwardEndsWithTheMachine(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	for name, end := range map[string]func(string){
		"stopped": func(name string) { p.vs("stop", name, "--force") },
		"deleted": func(name string) { p.MustKubectl("delete", "virtualserver", name, "--wait=false") },
	} {
		p.Create(framework.Minimal(name))
		forward := p.Start(p.environ, "kubectl", "vs", "port-forward", name, "0:"+portOfGuest, "0:81")
		forward.WaitOutput("-> 81")
		assert.NotContains(t, forward.Output(), "Error")
		forward.WaitOutput("Nothing listens on port 81 of the machine yet.")
		p.vs("restart", name, "--wait")
		address := regexp.MustCompile(`Forwarding from (\S+) -> ` + portOfGuest).FindStringSubmatch(forward.Output())
		require.NotNil(t, address)
		p.Eventually("the port works again after a restart", func() error {
			connection, err := net.Dial("tcp", address[1])
			if err == nil {
				err = connection.Close()
			}
			return err
		})
		end(name)
		result := forward.Wait(endOfProcess)
		require.Error(t, result.Err)
		assert.Regexp(t, `error: (the machine of virtualserver "`+name+`" is |virtualserver "`+name+`" was deleted)`, result.Stderr)
	}
}

// ssh waits for a machine that starts, is quiet, and takes another machine of the same name for another one.
func TestKubectlVSSSHOfAMachineMadeAgain(t *testing.T) {
	t.Parallel()
	needs(t, "ssh")
	p := newPlugin(t)
	for range 2 {
		p.Create(framework.Minimal("my-vs"))
		result := p.RunIn(p.environ, "", "kubectl", "vs", "ssh", "root@my-vs", "--", "-o", "BatchMode=yes", "hostname")
		require.NoError(t, result.Err, result.Stderr)
		for line := range strings.Lines(result.Stderr) {
			assert.Regexp(t, `^Waiting for the machine: `, line, "nothing of ssh's own")
		}
		p.MustKubectl("delete", "virtualserver", "my-vs")
	}
}

// A machine that was made again has its own events, and all of them are shown without a name.
func TestKubectlVSEventsAndStatusOfAll(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	p.Create(framework.Minimal("my-vs"))
	first := p.WaitSettled("my-vs", v1beta1.StatusRunning)
	p.MustKubectl("delete", "virtualserver", "my-vs")
	p.Create(framework.Minimal("my-vs", framework.WithStrategy(v1beta1.RunStrategyHalted)))
	p.Create(framework.Minimal("your-vs"))
	p.WaitSettled("my-vs", v1beta1.StatusStopped)
	p.WaitSettled("your-vs", v1beta1.StatusRunning)
	old, err := p.Kube.CoreV1().Events(p.Namespace).List(p.Context, metav1.ListOptions{FieldSelector: "involvedObject.uid=" + string(first.UID)})
	require.NoError(t, err)
	require.NotEmpty(t, old.Items, "the earlier machine has left events")
	assert.NotRegexp(t, `Normal +Started `, p.vs("events", "my-vs").Stdout, "this one has never run")
	p.Eventually("the events of all", func() error {
		if all := p.vs("events").Stdout; !regexp.MustCompile(`(?m)Started +your-vs`).MatchString(all) {
			return errMissing("Started of your-vs in " + all)
		}
		return nil
	})
	status := p.vs("status").Stdout
	assert.Equal(t, p.MustKubectl("get", "vs")[:20], status[:20], "the table of kubectl, by the short name")
	assert.Regexp(t, `(?m)^my-vs +Stopped`, status)
	assert.Regexp(t, `(?m)^your-vs +Running`, status)

	watch := p.Start(p.environ, "kubectl", "vs", "events", "my-vs", "--watch")
	watch.WaitOutput("LAST SEEN")
	p.vs("start", "my-vs", "--wait")
	watch.WaitOutput("  Started")
	watch.Interrupt()
	assert.NoError(t, watch.Wait(endOfProcess).Err)
}

// What is shown is what the machine runs with, and why says what waits and what went wrong.
func TestKubectlVSShowsWhatRuns(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	p.Create(framework.Minimal("my-vs"))
	machine := p.WaitSettled("my-vs", v1beta1.StatusRunning).Status.VM.Name
	p.GuestFault(machine, "crash")
	p.Wait("my-vs", "has failed", func(vs *v1beta1.VirtualServer) string {
		if vs.Status.LastFailure == nil {
			return "no failure"
		}
		return ""
	})
	p.WaitSettled("my-vs", v1beta1.StatusRunning)
	assert.Regexp(t, `Last failure: \w+, \d+s ago`, p.vs("why", "my-vs").Stdout)
	p.MustKubectl("patch", "virtualserver", "my-vs", "--type=merge", "-p", `{"spec":{"resources":{"cpu":{"cores":4},"memory":"3Gi"}}}`)
	p.WaitCondition("my-vs", v1beta1.ConditionRestartRequired, metav1.ConditionTrue)
	assert.Regexp(t, `my-vs .* 1 -> 4 +1Gi -> 3Gi `, p.MustKubectl("get", "vs", "my-vs", "--no-headers"))
	assert.Regexp(t, `CPU, memory: +1, 1Gi \(4, 3Gi after a restart\)`, p.vs("status", "my-vs").Stdout)
	why := p.vs("-n", p.Namespace, "why", "my-vs").Stdout
	assert.Contains(t, why, "Condition RestartRequired: ")
	assert.Contains(t, why, "Hint: kubectl vs restart my-vs -n "+p.Namespace+"\n")
	p.vs("restart", "my-vs", "--wait")
	p.Within(time.Minute, "the table shows what runs now", func() error {
		if row := p.MustKubectl("get", "vs", "my-vs", "--no-headers"); !regexp.MustCompile(`my-vs .* 4 +3Gi `).MatchString(row) {
			return errMissing("4 and 3Gi in " + row)
		}
		return nil
	})
}
