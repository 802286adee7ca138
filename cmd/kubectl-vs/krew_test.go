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
	"sigs.k8s.io/yaml"
)

// root is the folder of the repository, seen from here.
const root = "../.."

// manifest is a plugin as krew reads it.
type manifest struct {
	APIVersion string                `json:"apiVersion"`
	Kind       string                `json:"kind"`
	Metadata   struct{ Name string } `json:"metadata"`
	Spec       struct {
		Version          string     `json:"version"`
		Homepage         string     `json:"homepage"`
		ShortDescription string     `json:"shortDescription"`
		Description      string     `json:"description"`
		Caveats          string     `json:"caveats"`
		Platforms        []platform `json:"platforms"`
	} `json:"spec"`
}

type platform struct {
	Selector struct {
		MatchLabels map[string]string `json:"matchLabels"`
	} `json:"selector"`
	URI    string `json:"uri"`
	Sha256 string `json:"sha256"`
	Bin    string `json:"bin"`
}

// The manifest has an archive for every platform that people sit at, and texts that fit krew's lists.
func TestTheManifestOfKrew(t *testing.T) {
	template, err := os.ReadFile(filepath.Join(root, "artifacts", "krew", "vs.yaml"))
	require.NoError(t, err)
	plugin := &manifest{}
	require.NoError(t, yaml.UnmarshalStrict(template, plugin))
	assert.Equal(t, "vs", plugin.Metadata.Name, "as the file")
	// What krew's own check of new plugins warns of.
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
	// With the flags of a release everything would be compiled once more.
	packed := program(t, root, []string{"KREW_OUTPUT=" + output, "KREW_BUILD_FLAGS="}, filepath.Join("hack", "krew.sh"), "v0.1.0", "https://example.com/releases", "https://example.com", platform)
	require.Contains(t, packed, platform)
	archive := filepath.Join(output, "kubectl-vs_"+runtime.GOOS+"_"+runtime.GOARCH+".tar.gz")
	// krew is pinned in a module of its own.
	installed := program(t, filepath.Join(root, "test", "krew"), []string{"KREW_ROOT=" + home}, "go", "tool", "krew", "install", "--manifest", filepath.Join(output, "vs.yaml"), "--archive", archive)
	assert.Contains(t, installed, "Installed plugin: vs")
	assert.Contains(t, program(t, root, nil, filepath.Join(home, "bin", "kubectl-vs"), "--help"), "Operate VirtualServers")
	_, err := os.Stat(filepath.Join(home, "store", "vs", "v0.1.0", "kubectl_complete-vs"))
	require.NoError(t, err, "the caveats of the manifest name this file")
}

// program runs a program in a folder and returns what it printed.
func program(t *testing.T, folder string, environ []string, name string, arguments ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, arguments...)
	command.Dir, command.Env = folder, append(os.Environ(), environ...)
	text, err := command.CombinedOutput()
	require.NoError(t, err, "%s", text)
	return string(text)
}
