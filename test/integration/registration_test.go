package integration

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensorstack.dev/virtualserver/test/framework"
)

const (
	registration = "artifacts/deploy/apiservice"
	secretOfCA   = "secretGenerator: [{name: virtualserver-serving-ca, files: [%FILE%], options: {disableNameSuffixHash: true, " +
		"annotations: {config.kubernetes.io/local-config: 'true'}}}]\n"
)

// An APIService without its CA is one without a server, and while there is such a one no namespace can be deleted.
func TestTheServerCannotBeRegisteredWithoutItsCA(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	base := e.MustKubectl("kustomize", "artifacts/deploy")
	assert.NotContains(t, base, "kind: APIService")
	assert.Contains(t, base, "kind: Deployment")

	component, err := filepath.Abs(filepath.Join("..", "..", registration))
	require.NoError(t, err)
	// kustomize takes no absolute paths.
	overlay := func(t *testing.T, text string) string {
		t.Helper()
		folder := t.TempDir()
		relative, err := filepath.Rel(folder, component)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(folder, "ca.crt"), []byte("a CA"), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(text+"components: ["+relative+"]\n"), 0o600))
		return folder
	}
	with := func(file string) string { return strings.ReplaceAll(secretOfCA, "%FILE%", file) }

	t.Run("with its CA", func(t *testing.T) {
		built := e.MustKubectl("kustomize", overlay(t, with("ca.crt")))
		assert.Contains(t, built, "caBundle: "+base64.StdEncoding.EncodeToString([]byte("a CA"))+"\n")
		assert.NotContains(t, built, "kind: Secret")
	})
	for name, text := range map[string]string{
		"without the Secret":          "",
		"with another file":           with("other.crt=ca.crt"),
		"with another Secret":         strings.ReplaceAll(with("ca.crt"), "virtualserver-serving-ca", "another-ca"),
		"with a file that is missing": with("missing.crt"),
	} {
		t.Run(name, func(t *testing.T) {
			result := e.Kubectl("kustomize", overlay(t, text))
			assert.Error(t, result.Err, result.Stdout)
		})
	}
	for _, way := range [][]string{{"-k", registration}, {"-f", registration + "/apiservice.yaml"}, {"-R", "-f", registration}} {
		arguments := append([]string{"apply", "--dry-run=server"}, way...)
		result := e.Kubectl(arguments...)
		assert.Error(t, result.Err, "%v: %s", way, result.Stdout)
	}
}
