package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	googlename "github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// repository makes a repository with a small program in the place of the product, tagged v1.2.3.
func repository(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for file, text := range map[string]string{
		"go.mod":  "module example.com/product\n\ngo 1.26.0\n",
		"LICENSE": "Do as you like.\n",
		"cmd/virtualserver-apiserver/main.go": "package main\n\nimport \"runtime/debug\"\n\nfunc main() {\n\tinfo, _ := debug.ReadBuildInfo()\n" +
			"\tprintln(info.Main.Version)\n}\n",
	} {
		path := filepath.Join(folder, file)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	for _, arguments := range [][]string{
		{"init", "-q"}, {"add", "-A"}, {"-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "x"}, {"tag", "v1.2.3"},
	} {
		command := exec.Command("git", arguments...)
		command.Dir = folder
		text, err := command.CombinedOutput()
		require.NoError(t, err, string(text))
	}
	return folder
}

func built(t *testing.T, source string) string {
	t.Helper()
	output := t.TempDir()
	require.NoError(t, run(t.Context(), []string{"build", "--source", source, "--output", output}, io.Discard))
	return output
}

// manifestOf reads the image of an architecture.
func manifestOf(t *testing.T, index v1.ImageIndex, architecture string) v1.Image {
	t.Helper()
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	for _, described := range manifest.Manifests {
		if described.Platform.Architecture == architecture {
			image, err := index.Image(described.Digest)
			require.NoError(t, err)
			return image
		}
	}
	require.Fail(t, "no image for "+architecture)
	return nil
}

func TestTheSameCommitGivesTheSameImage(t *testing.T) {
	source := repository(t)
	first, err := builtIndex(filepath.Join(built(t, source), layoutFolder))
	require.NoError(t, err)
	// As in another checkout, which lies elsewhere and has files of another time.
	copied := filepath.Join(t.TempDir(), "elsewhere")
	text, err := exec.Command("git", "clone", "-q", source, copied).CombinedOutput()
	require.NoError(t, err, string(text))
	second, err := builtIndex(filepath.Join(built(t, copied), layoutFolder))
	require.NoError(t, err)
	one, err := first.Digest()
	require.NoError(t, err)
	other, err := second.Digest()
	require.NoError(t, err)
	assert.Equal(t, one, other)
}

func TestBuilt(t *testing.T) {
	output := built(t, repository(t))
	t.Run("image", func(t *testing.T) { checkImage(t, output) })
	t.Run("list of what is in it", func(t *testing.T) { checkList(t, output) })
	t.Run("push", func(t *testing.T) { checkPush(t, output) })
}

func checkImage(t *testing.T, output string) {
	index, err := builtIndex(filepath.Join(output, layoutFolder))
	require.NoError(t, err)
	for _, architecture := range []string{"amd64", "arm64"} {
		image := manifestOf(t, index, architecture)
		config, err := image.ConfigFile()
		require.NoError(t, err)
		assert.Equal(t, architecture, config.Architecture)
		assert.Equal(t, "65532:65532", config.Config.User, "not root, by number")
		assert.Equal(t, []string{"/virtualserver-apiserver"}, config.Config.Entrypoint)
		assert.Equal(t, "v1.2.3", config.Config.Labels["org.opencontainers.image.version"])
		assert.Len(t, config.Config.Labels["org.opencontainers.image.revision"], 40)
		files := filesOf(t, image)
		assert.Equal(t, []string{"virtualserver-apiserver", "licenses/LICENSE"}, files)
	}
	version, err := os.ReadFile(filepath.Join(output, "version"))
	require.NoError(t, err)
	assert.Equal(t, "v1.2.3\n", string(version))
	assert.FileExists(t, filepath.Join(output, "virtualserver-apiserver_arm64.tar"))
}

func filesOf(t *testing.T, image v1.Image) []string {
	t.Helper()
	reader := mutate.Extract(image)
	defer func() { require.NoError(t, reader.Close()) }()
	var files []string
	for archive := tar.NewReader(reader); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return files
		}
		require.NoError(t, err)
		files = append(files, header.Name)
	}
}

func checkList(t *testing.T, output string) {
	text, err := os.ReadFile(filepath.Join(output, "virtualserver-apiserver_amd64.spdx.json"))
	require.NoError(t, err)
	var document spdx
	require.NoError(t, json.Unmarshal(text, &document))
	assert.Equal(t, "SPDX-2.3", document.Version)
	identifiers := map[string]bool{documentID: true}
	for _, found := range document.Packages {
		assert.False(t, identifiers[found.ID], "twice: %s", found.ID)
		assert.Regexp(t, `^SPDXRef-[A-Za-z0-9.-]+$`, found.ID)
		identifiers[found.ID] = true
	}
	for _, related := range document.Relationships {
		assert.True(t, identifiers[related.Element] && identifiers[related.Related], "%v", related)
	}
	assert.Equal(t, "v1.2.3", document.Packages[0].Version)
	assert.Equal(t, "stdlib", document.Packages[1].Name)
}

func TestModuleInTheList(t *testing.T) {
	found := packageOf("k8s.io/api", "v0.37.2", "h1:K6j46C81hXtZQfuX60cVWQFBJahKSE2gfRbNuvr5bFs=")
	assert.Equal(t, "pkg:golang/k8s.io/api@v0.37.2", found.References[0].Locator)
	require.Len(t, found.Checksums, 1)
	assert.Len(t, found.Checksums[0].Value, 64)
	assert.Equal(t, "SPDXRef-Package-k8s.io-api-v0.37.2", found.ID)
	assert.Empty(t, packageOf("x", "v1.0.0", "").Checksums)
}

func checkPush(t *testing.T, output string) {
	server := httptest.NewTLSServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	authority := filepath.Join(t.TempDir(), "ca.crt")
	require.NoError(t, os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	host := strings.TrimPrefix(server.URL, "https://")

	out := &bytes.Buffer{}
	require.NoError(t, run(t.Context(), []string{"push", "--output", output, "--to", host + "/team/virtualserver", "--ca-file", authority}, out))
	assert.Contains(t, out.String(), "Pushed "+host+"/team/virtualserver:v1.2.3@sha256:")
	tag, err := googlename.NewTag(host + "/team/virtualserver:v1.2.3")
	require.NoError(t, err)
	pulled, err := remote.Index(tag, remote.WithTransport(server.Client().Transport))
	require.NoError(t, err)
	here, err := builtIndex(filepath.Join(output, layoutFolder))
	require.NoError(t, err)
	want, err := here.Digest()
	require.NoError(t, err)
	got, err := pulled.Digest()
	require.NoError(t, err)
	assert.Equal(t, want, got)

	err = run(t.Context(), []string{"push", "--output", output, "--to", host + "/team/virtualserver"}, io.Discard)
	assert.ErrorContains(t, err, "certificate", "nobody vouches for the registry")
	plain := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer plain.Close()
	err = run(t.Context(), []string{"push", "--output", output, "--to", strings.TrimPrefix(plain.URL, "http://") + "/x"}, io.Discard)
	assert.ErrorContains(t, err, "TLS", "plain HTTP is refused also on this machine")
}

func TestWhatMakesNoSense(t *testing.T) {
	for _, test := range []struct {
		arguments []string
		want      string
	}{
		{nil, "build or push"},
		{[]string{"pull"}, `unknown command "pull"`},
		{[]string{"build", "--platforms", "amd64", "--source", repository(t), "--output", t.TempDir()}, "not like linux/amd64"},
		{[]string{"build", "here"}, `unexpected argument "here"`},
		{[]string{"push", "--output", t.TempDir()}, "--to says where"},
		{[]string{"push", "--output", t.TempDir(), "--to", "example.com/x"}, "nothing has been built"},
	} {
		assert.ErrorContains(t, run(t.Context(), test.arguments, io.Discard), test.want)
	}
}
