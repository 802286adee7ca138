package app

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/tools/clientcmd"
)

// program puts a shell script on the PATH as a program of that name. It finds a folder of its own in $KEEP.
func program(t *testing.T, name, script string) (keep string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("no shell")
	}
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte("#!/bin/sh\n"+script), 0o700))
	t.Setenv("PATH", folder+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("KEEP", folder)
	return folder
}

// runOn runs a command for a user with the kubeconfig of the tests.
func runOn(t *testing.T, arguments ...string) error {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	require.NoError(t, clientcmd.WriteToFile(*kubeconfig(), file))
	t.Setenv("KUBECONFIG", file)
	command := NewCommand(genericiooptions.NewTestIOStreamsDiscard())
	command.SetArgs(arguments)
	return command.ExecuteContext(t.Context())
}

func words(t *testing.T, file string) []string {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	return strings.Fields(string(content))
}

// What stands before the word virt is ours, and everything after it is virtctl's.
func TestFlagsBeforeVirtLeadTheConnection(t *testing.T) {
	keep := program(t, "virtctl", `echo "$@" > "$KEEP/arguments"; cp "${KUBECONFIG%%:*}" "$KEEP/kubeconfig"`)
	for name, test := range map[string]struct {
		flags       []string
		server      string
		user, token string
	}{
		"nothing":          {nil, "https://here:6443", "ann", ""},
		"a context":        {[]string{"--context", "rare"}, "https://there:6443/behind/a/path", "bob", ""},
		"with an equals":   {[]string{"--context=rare"}, "https://there:6443/behind/a/path", "bob", ""},
		"a server":         {[]string{"-s", "https://elsewhere", "--insecure-skip-tls-verify"}, "https://elsewhere", "ann", ""},
		"a token":          {[]string{"--token", "secret"}, "https://here:6443", overlayContext, "secret"},
		"many, and a bool": {[]string{"--insecure-skip-tls-verify", "--context", "rare", "-n", "team"}, "https://there:6443/behind/a/path", "bob", ""},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, runOn(t, append(test.flags, "virt", "stop", "my-vs", "--force", "-n", "other")...))
			assert.Equal(t, []string{"stop", "my-vs", "--force", "-n", "other"}, words(t, filepath.Join(keep, "arguments")))
			made, err := clientcmd.LoadFromFile(filepath.Join(keep, "kubeconfig"))
			require.NoError(t, err)
			assert.Equal(t, test.server+virtPrefix, made.Clusters[overlayContext].Server)
			assert.Equal(t, test.user, made.Contexts[overlayContext].AuthInfo)
			if test.token != "" {
				assert.Equal(t, test.token, made.AuthInfos[overlayContext].Token)
			}
		})
	}
}

// virtctl would obey these itself and miss the prefix.
func TestFlagsForTheServerAfterVirtAreRefused(t *testing.T) {
	keep := program(t, "virtctl", `echo "$@" > "$KEEP/arguments"`)
	for _, flags := range [][]string{
		{"--context", "rare"}, {"--context=rare"}, {"--kubeconfig=x"}, {"--cluster", "there"}, {"--server=x"}, {"-s", "x"}, {"-shttps://x"},
	} {
		require.ErrorContains(t, runOn(t, append([]string{"virt", "stop", "my-vs"}, flags...)...), "must stand before the word virt", flags)
		assert.NoFileExists(t, filepath.Join(keep, "arguments"))
	}
	require.NoError(t, runOn(t, "virt", "ssh", "root@vm/my-vs", "--", "--context"), "what the guest gets is no flag of ours")
}

func TestFlagsBeforeAnyCommand(t *testing.T) {
	text, err := run(t, "--insecure-skip-tls-verify", "--context", "x", "create", "my-vs", "--dry-run=client", "-o", "name")
	require.NoError(t, err)
	assert.Equal(t, "virtualserver.tensorstack.dev/my-vs\n", text)
	text, err = run(t, "--namespace", "x")
	require.NoError(t, err)
	assert.Contains(t, text, "Usage:")
	_, err = run(t, "--context", "x", "stat", "my-vs")
	require.ErrorContains(t, err, `unknown command "stat" for "kubectl vs", did you mean status?`)
}

// virtctl's own help lists what does not work by the name of a VirtualServer, and would try it.
func TestVirtServesWhatItLists(t *testing.T) {
	keep := program(t, "virtctl", `echo "$@" > "$KEEP/arguments"`)
	for _, help := range [][]string{{"virt"}, {"virt", "--help"}, {"virt", "-h"}, {"virt", "help"}} {
		text, err := run(t, help...)
		require.NoError(t, err)
		for _, command := range served() {
			assert.Contains(t, text, "\n  "+command[0]+" ")
		}
		for _, other := range []string{"image-upload", "vmexport", "guestfs", "credentials", "adm", "expand"} {
			assert.NotContains(t, text, other)
		}
	}
	for _, other := range []string{"image-upload", "vmexport", "guestfs", "credentials", "expand", "frobnicate"} {
		require.ErrorContains(t, runOn(t, "virt", other, "my-vs"), `"`+other+`" does not work by the name of a VirtualServer`)
	}
	assert.NoFileExists(t, filepath.Join(keep, "arguments"))
	for _, passed := range [][]string{{"console", "--help"}, {"help", "scp"}, {"-v", "5", "pause", "vm", "my-vs"}, {"scp", "a", "vm/my-vs:b"}, {"version"}} {
		require.NoError(t, runOn(t, append([]string{"virt"}, passed...)...))
		assert.Equal(t, passed, words(t, filepath.Join(keep, "arguments")))
	}
}

func TestVirtCompletes(t *testing.T) {
	here := newCluster(t, machine())
	for want, typed := range map[string][]string{
		"my-vs\tRunning\n":             {"guestosinfo", "m"},
		"vm/my-vs\tRunning\n":          {"ssh", "vm/m"},
		"root@vm/my-vs\tRunning\n":     {"scp", "file", "root@vm/"},
		"root@vm/my-vs\tRunning\n:4\n": {"ssh", "root@"},
		"vm\n":                         {"pause", ""},
		"my-vs\tRunning\n:4\n":         {"pause", "vm", ""},
		"migrate\tmove the machine":    {"mig"},
	} {
		got := here.runs(t, nil, append([]string{"__complete", "virt"}, typed...)...)
		assert.Contains(t, got.out, want, typed)
		assert.NotContains(t, got.out, "image-upload")
	}
}
