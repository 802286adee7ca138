package guide

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensorstack.dev/virtualserver/pkg/images"
	"tensorstack.dev/virtualserver/test/controlplane"
	"tensorstack.dev/virtualserver/test/framework"
)

// From nothing to a shell in two commands: a newcomer's first machine is one that he can log in to.
func TestDebianInTwoCommands(t *testing.T) {
	if os.Getenv("GUEST") != "debian" {
		t.Skip("boots a Debian, which takes minutes under emulation: make test-guest")
	}
	e := newEnvironment(t)
	publishDebian(e)
	key := filepath.Join(t.TempDir(), "id_ed25519")
	output, err := exec.CommandContext(e.Context, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput()
	require.NoError(t, err, string(output))

	began := time.Now()
	created := must(e, "kubectl", "vs", "-n", e.Namespace, "create", "web", "--image", "lab-debian", "--memory", "1Gi", "--disk", "4Gi", "--ssh-key", key+".pub")
	assert.Contains(t, created, "created")
	// ssh takes the keys of whoever runs it from his home, whatever HOME says; this one is named.
	ssh := exec.CommandContext(e.Context, e.Plane.Binary("kubectl"), "vs", "-n", e.Namespace, "ssh", "web", "--timeout", bootTimeout.String(), "--",
		"-i", key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "echo $USER on $(hostname)")
	ssh.Env = append(e.Environ(), "HOME="+t.TempDir())
	ssh.Stderr = os.Stderr
	answer, err := ssh.Output()
	require.NoError(t, err)
	assert.Equal(t, "debian on web\n", string(answer))
	t.Logf("a shell %v after the first command", time.Since(began).Round(time.Second))
}

// publishDebian makes the lab's Debian an image of the cluster's catalogue.
func publishDebian(e *framework.Environment) {
	e.T.Helper()
	catalogue := fmt.Sprintf("images: [{name: lab-debian, user: debian, versions: [{version: \"13\", url: %q}]}]", e.Plane.GuestURL(controlplane.DebianGuest))
	published := e.Run(fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"namespace":%q,"name":%q},"data":{%q:%q}}`,
		images.ConfigMapNamespace, images.ConfigMapName, images.ConfigMapKey, catalogue), "kubectl", "apply", "-f", "-")
	require.NoError(e.T, published.Err, published.Stderr)
	e.T.Cleanup(func() {
		e.Run("", "kubectl", "delete", "configmap", "-n", images.ConfigMapNamespace, images.ConfigMapName)
	})
}
