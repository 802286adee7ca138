package app

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func TestArgumentsOfSSH(t *testing.T) {
	ours := []string{"-o", "ProxyCommand='/opt/kubectl-vs' '--context' 'it'\\''s 100%%' 'port-forward'", "-o", "HostKeyAlias=vs.my-vs.team.u-1"}
	defaults := []string{"-o", `UserKnownHostsFile="/home/ann %%/known"`, "-o", "StrictHostKeyChecking=accept-new", "-o", "LogLevel=ERROR", "vs.my-vs.team"}
	for name, test := range map[string]struct {
		user          string
		more          []string
		first, remote []string
	}{
		"nothing more":           {},
		"a user":                 {user: "ann", first: []string{"-l", "ann"}},
		"a command":              {more: []string{"uptime", "-p"}, remote: []string{"uptime", "-p"}},
		"options and a command":  {more: []string{"-A", "-i", "key", "ls", "-l"}, first: []string{"-A", "-i", "key"}, remote: []string{"ls", "-l"}},
		"an option with a value": {more: []string{"-L8080:localhost:80", "-N"}, first: []string{"-L8080:localhost:80", "-N"}},
		"a default of one's own": {more: []string{"-o", "LogLevel=DEBUG"}, first: []string{"-o", "LogLevel=DEBUG"}},
	} {
		t.Run(name, func(t *testing.T) {
			target := sshTarget{user: test.user, namespace: "team", name: "my-vs", key: "vs.my-vs.team.u-1", knownHosts: "/home/ann %/known",
				proxy: []string{"/opt/kubectl-vs", "--context", "it's 100%", "port-forward"}}
			assert.Equal(t, slices.Concat(ours, test.first, defaults, test.remote), target.arguments(test.more))
		})
	}
}

// ssh must ask again for a machine that is another one, and only then.
func TestTheKeyOfAMachineBelongsToItsUID(t *testing.T) {
	alias := func(uid, instance types.UID, edits ...func(*v1beta1.VirtualServer)) string {
		vs := machine(edits...)
		vs.UID, vs.Status.VM.InstanceUID = uid, instance
		return hostKeyAlias(vs)
	}
	ephemeral := func(vs *v1beta1.VirtualServer) { vs.Spec.Storage.Root.Ephemeral = true }
	other := func(vs *v1beta1.VirtualServer) { vs.Namespace = "other" }
	assert.Equal(t, "vs.my-vs.team.u-1", alias("u-1", "run-1"))
	assert.Equal(t, alias("u-1", "run-1"), alias("u-1", "run-2"), "a restart keeps the disk, and the key on it")
	assert.NotEqual(t, alias("u-1", "run-1"), alias("u-2", "run-1"), "deleted and made again")
	assert.NotEqual(t, alias("u-1", "run-1"), alias("u-1", "run-1", other), "the same name elsewhere")
	assert.Equal(t, alias("u-1", "run-1", ephemeral), alias("u-1", "run-1", ephemeral))
	assert.NotEqual(t, alias("u-1", "run-1", ephemeral), alias("u-1", "run-2", ephemeral), "the key was on a disk that is lost")
}

// ssh runs this program again, which must connect as this one was told. Nobody else may read how.
func TestSSHHandsTheConnectionOn(t *testing.T) {
	keep := program(t, "ssh", `echo "$@" > "$KEEP/arguments"; file=${KUBECONFIG%%:*}; echo "$file" > "$KEEP/file"
stat -c %a "$file" "$(dirname "$file")" > "$KEEP/modes"; cp "$file" "$KEEP/kubeconfig"; exit 7`)
	here := newCluster(t, machine(func(vs *v1beta1.VirtualServer) { vs.Namespace = "mine" }))
	got := here.runs(t, nil, "--token", "secret", "--as", "eve", "--as-uid", "e-1", "--as-group", "g1", "--as-group", "g2", "--as-user-extra", "k=v",
		"--request-timeout", "7s", "-n", "mine", "ssh", "root@my-vs", "--", "uptime")
	assert.Equal(t, outcome{code: 7}, got, "what ssh says is enough")

	arguments := strings.Join(words(t, filepath.Join(keep, "arguments")), " ")
	assert.Contains(t, arguments, "'--request-timeout' '7s' 'port-forward' '--stdio' '--namespace' 'mine' 'my-vs' '22'")
	assert.NotContains(t, arguments, "secret")
	made, err := clientcmd.LoadFromFile(filepath.Join(keep, "kubeconfig"))
	require.NoError(t, err)
	cluster, user := made.Clusters[overlayContext], made.AuthInfos[overlayContext]
	assert.Equal(t, here.URL, cluster.Server)
	assert.Equal(t, []any{"secret", "eve", "e-1", []string{"g1", "g2"}, map[string][]string{"k": {"v"}}},
		[]any{user.Token, user.Impersonate, user.ImpersonateUID, user.ImpersonateGroups, user.ImpersonateUserExtra})
	assert.Equal(t, []string{"600", "700"}, words(t, filepath.Join(keep, "modes")))
	assert.NoDirExists(t, filepath.Dir(words(t, filepath.Join(keep, "file"))[0]), "it is gone with ssh")
}

// ssh starts when the machine is up and something listens on the port, and does not say a word before.
func TestSSHWaitsForTheMachineAndItsPort(t *testing.T) {
	program(t, "ssh", "echo logged in; exit 3")
	answers := []error{
		refusedBecause(http.StatusBadRequest, "not up yet (Starting)", v1beta1.CauseMachineStarting),
		refusedBecause(http.StatusServiceUnavailable, "the guest does not answer on its network", v1beta1.CauseGuestUnreachable),
		refusedBecause(http.StatusConflict, "nothing listens on port 22 of the machine", v1beta1.CausePortClosed),
		nil,
	}
	here := newCluster(t, machine())
	here.open = func(string) error {
		next := answers[0]
		answers = answers[1:]
		return next
	}
	got := here.runs(t, nil, "ssh", "my-vs")
	assert.Equal(t, outcome{out: "logged in\n", code: 3, err: "Waiting for the machine: virtualservers.tensorstack.dev \"my-vs\": not up yet (Starting)\n" +
		"Waiting for the machine: virtualservers.tensorstack.dev \"my-vs\": the guest does not answer on its network\n" +
		"Waiting for the machine: virtualservers.tensorstack.dev \"my-vs\": nothing listens on port 22 of the machine\n"}, got)

	answers = slices.Repeat([]error{refusedBecause(http.StatusConflict, "nothing listens on port 2222 of the machine", v1beta1.CausePortClosed)}, 9)
	got = here.runs(t, nil, "-n", "team", "ssh", "--port", "2222", "--timeout", "1s", "my-vs")
	assert.Equal(t, 1, got.code)
	assert.Regexp(t, `error: not connected after 1s: .*nothing listens on port 2222 of the machine \(try: kubectl vs why my-vs -n team\)$`, got.err)
}

// The real ssh takes the arguments as they are meant.
func TestTheRealSSHReadsTheArguments(t *testing.T) {
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		t.Skip("there is no ssh here")
	}
	target := sshTarget{user: "ann", namespace: "team", name: "my-vs", key: "vs.my-vs.team.u-1", knownHosts: "/home/ann x/known", proxy: []string{"true", "it's"}}
	content, err := exec.CommandContext(t.Context(), ssh, append([]string{"-F", "/dev/null", "-G"}, target.arguments(nil)...)...).CombinedOutput()
	require.NoError(t, err, string(content))
	for _, want := range []string{"user ann", "hostkeyalias vs.my-vs.team.u-1", "userknownhostsfile /home/ann x/known\n", "stricthostkeychecking accept-new",
		"loglevel ERROR", `proxycommand 'true' 'it'\''s'`, "hostname vs.my-vs.team"} {
		assert.Contains(t, string(content), want)
	}
}
