package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/krew/pkg/constants"
	"sigs.k8s.io/krew/pkg/index"
	"sigs.k8s.io/yaml"
)

// root is the folder of the repository, seen from here.
const root = "../.."

// The manifest is one of krew, for every platform that people sit at.
func TestTheManifestOfKrew(t *testing.T) {
	template, err := os.ReadFile(filepath.Join(root, "artifacts", "krew", "vs.yaml"))
	require.NoError(t, err)
	plugin := &index.Plugin{}
	require.NoError(t, yaml.UnmarshalStrict(template, plugin))
	assert.Equal(t, constants.CurrentAPIVersion, plugin.APIVersion)
	assert.Equal(t, constants.PluginKind, plugin.Kind)
	assert.Equal(t, "vs", plugin.Name, "as the file")
	// What krew's own check warns of.
	assert.LessOrEqual(t, len(plugin.Spec.ShortDescription), 70)
	for _, line := range strings.Split(plugin.Spec.Description+plugin.Spec.Caveats, "\n") {
		assert.LessOrEqual(t, len(line), 80, line)
	}
	var platforms []string
	for _, platform := range plugin.Spec.Platforms {
		labels := platform.Selector.MatchLabels
		platforms = append(platforms, labels["os"]+"/"+labels["arch"])
		assert.Equal(t, "${ADDRESS}/kubectl-vs_"+labels["os"]+"_"+labels["arch"]+".tar.gz", platform.URI)
		assert.Equal(t, "kubectl-vs", platform.Bin)
	}
	assert.Equal(t, []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64"}, platforms)
}

// krew itself takes the manifest and the archive of this platform, and the plugin that it installs runs.
func TestKrewInstallsThePlugin(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("hack/krew.sh needs GNU tar")
	}
	output, home := t.TempDir(), t.TempDir()
	platform := runtime.GOOS + "/" + runtime.GOARCH
	packed := program(t, []string{"KREW_OUTPUT=" + output}, filepath.Join("hack", "krew.sh"), "v0.1.0", "https://example.com/releases", "https://example.com", platform)
	require.Contains(t, packed, platform)
	archive := filepath.Join(output, "kubectl-vs_"+runtime.GOOS+"_"+runtime.GOARCH+".tar.gz")
	installed := program(t, []string{"KREW_ROOT=" + home}, "go", "tool", "krew", "install", "--manifest", filepath.Join(output, "vs.yaml"), "--archive", archive)
	assert.Contains(t, installed, "Installed plugin: vs")
	assert.Contains(t, program(t, nil, filepath.Join(home, "bin", "kubectl-vs"), "--help"), "Operate VirtualServers")
	_, err := os.Stat(filepath.Join(home, "store", "vs", "v0.1.0", "kubectl_complete-vs"))
	require.NoError(t, err, "the caveats of the manifest name this file")
}

// program runs a program at the root of the repository and returns what it printed.
func program(t *testing.T, environ []string, name string, arguments ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, arguments...)
	command.Dir, command.Env = root, append(os.Environ(), environ...)
	text, err := command.CombinedOutput()
	require.NoError(t, err, "%s", text)
	return string(text)
}
