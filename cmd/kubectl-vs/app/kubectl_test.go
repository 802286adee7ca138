package app

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func TestVerbsOfKubectl(t *testing.T) {
	keep := program(t, "kubectl", `echo "$@" > "$KEEP/arguments"; exit 4`)
	for name, test := range map[string]struct {
		arguments []string
		want      string
	}{
		"all":                                    {[]string{"get"}, "get virtualservers.tensorstack.dev"},
		"by its other name":                      {[]string{"list", "-A"}, "get virtualservers.tensorstack.dev -A"},
		"several":                                {[]string{"get", "a", "b", "-o", "wide"}, "get virtualservers.tensorstack.dev a b -o wide"},
		"by label":                               {[]string{"describe", "-l", "team=blue"}, "describe virtualservers.tensorstack.dev -l team=blue"},
		"edited":                                 {[]string{"edit", "a"}, "edit virtualservers.tensorstack.dev a"},
		"deleted by a script, which nobody asks": {[]string{"delete", "--all"}, "delete virtualservers.tensorstack.dev --all"},
	} {
		t.Run(name, func(t *testing.T) {
			here := newCluster(t)
			got := here.runs(t, nil, test.arguments...)
			assert.Equal(t, outcome{code: 4}, got, "kubectl has said what there is to say")
			assert.Equal(t, test.want, strings.Join(words(t, filepath.Join(keep, "arguments")), " "))
		})
	}
	got := newCluster(t).runs(t, nil, "delete", "--help")
	assert.Contains(t, got.out, "kubectl delete --help")
}

func TestWhetherToAskBeforeADeletion(t *testing.T) {
	for _, asked := range [][]string{{"-i", "a"}, {"--interactive=false", "a"}, {"a", "--dry-run=client"}} {
		assert.True(t, saysHowToAsk(asked), "%v", asked)
	}
	assert.False(t, saysHowToAsk([]string{"a", "--all", "-l", "i"}))
}

func TestRemoteFiles(t *testing.T) {
	for word, want := range map[string]remoteFile{
		"web:":               {name: "web"},
		"web:notes.txt":      {name: "web", path: "notes.txt"},
		"ann@web:/var/log:1": {user: "ann", name: "web", path: "/var/log:1"},
	} {
		got, ok := parseRemote(word)
		assert.True(t, ok, word)
		assert.Equal(t, want, got)
	}
	for _, word := range []string{"notes.txt", "./a:b", "/a:b", ":x", `c\d:e`} {
		_, ok := parseRemote(word)
		assert.False(t, ok, word)
	}
}

func TestArgumentsOfSCP(t *testing.T) {
	target := &sshTarget{user: "ann", namespace: "team", name: "web", key: "k", knownHosts: "/h", proxy: []string{"p"}}
	assert.Equal(t, []string{"-o", "ProxyCommand='p'", "-o", "HostKeyAlias=k", "-o", "User=ann", "-o", `UserKnownHostsFile="/h"`,
		"-o", "StrictHostKeyChecking=accept-new", "-o", "LogLevel=ERROR", "-r", "--", "notes", "vs.web.team:/tmp"},
		target.copyArguments(true, []string{"notes", "web:/tmp"}))
}

func TestResize(t *testing.T) {
	here := newCluster(t, machine())
	got := here.runs(t, nil, "-n", "team", "resize", "my-vs", "--cores", "4", "--memory", "8Gi")
	assert.Equal(t, outcome{out: "virtualserver/my-vs resized\n", err: "It takes effect with a restart: kubectl vs restart my-vs -n team\n"}, got)
	got = here.runs(t, nil, "resize", "my-vs", "--disk", "40Gi")
	assert.Equal(t, outcome{out: "virtualserver/my-vs resized\n"}, got, "a disk grows while the machine runs")

	patch, err := newSizes{cores: 4, memory: "8Gi", disk: "40Gi"}.patch()
	require.NoError(t, err)
	assert.JSONEq(t, `{"spec":{"resources":{"cpu":{"cores":4},"memory":"8Gi"},"storage":{"root":{"pvc":{"size":"40Gi"}}}}}`, string(patch))
}

func TestOperationsThatAreNotNeeded(t *testing.T) {
	running, stopped := machine(), machine(is(v1beta1.StatusStopped, ""), func(vs *v1beta1.VirtualServer) {
		vs.Status.RunStrategy, vs.Status.VM.InstanceUID = v1beta1.RunStrategyHalted, ""
	})
	assert.Equal(t, outcome{out: "virtualserver/my-vs runs already\n"}, newCluster(t, running).runs(t, nil, "start", "my-vs", "--if-needed"))
	assert.Equal(t, outcome{out: "virtualserver/my-vs is stopped already\n"}, newCluster(t, stopped).runs(t, nil, "stop", "my-vs", "--if-needed"))
	here := newCluster(t, running)
	assert.Zero(t, here.runs(t, nil, "stop", "my-vs", "--if-needed").code)
	assert.Contains(t, here.asked, "POST /apis/tensorstack.dev/v1beta1/namespaces/team/virtualservers/my-vs/stop")
}
