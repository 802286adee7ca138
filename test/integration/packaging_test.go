package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// buildHelm builds Helm, which is a module of its own so that nothing of it enters ours. The place is fixed, so that go
// build finds its work done.
func buildHelm(t *testing.T, e *framework.Environment) string {
	t.Helper()
	program := filepath.Join(e.Root(), "_output", "bin", "helm")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	build.Dir = filepath.Join(e.Root(), "test", "helm")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	output, err := build.CombinedOutput()
	require.NoError(t, err, string(output))
	return program
}

// Helm waits by itself: it takes the condition Ready of a VirtualServer for what it says.
func TestHelmInstallsUpgradesAndUninstalls(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	program := buildHelm(t, e)
	helm := func(arguments ...string) string {
		t.Helper()
		result := e.Run("", program, append([]string{"--namespace", e.Namespace, "--timeout", "2m"}, arguments...)...)
		require.NoError(t, result.Err, "%v: %s%s", arguments, result.Stdout, result.Stderr)
		return result.Stdout
	}
	chart := filepath.Join(e.Root(), "artifacts", "examples", "chart")

	assert.Contains(t, helm("install", "web", chart, "--set", "image.size=4Gi"), "revision 1: deployed")
	vs := e.Get("web")
	assert.Equal(t, v1beta1.StatusRunning, vs.Status.PrintableStatus, "the installation waited until the machine was ready")
	assert.Equal(t, "Helm", vs.Labels["app.kubernetes.io/managed-by"])
	assert.Equal(t, "4Gi", vs.Spec.Storage.Root.PVC.Size.String())

	// The controller's own fields, such as the finalizer and the status, are no drift, and other people's stay.
	_, err := e.Client().Patch(e.Context, "web", types.MergePatchType, []byte(`{"metadata":{"annotations":{"example.com/note":"kept"}}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	assert.Contains(t, helm("upgrade", "web", chart, "--set", "image.size=4Gi,memory=4Gi,tcp={22,80}"), "revision 2: deployed")
	vs = e.Get("web")
	assert.Equal(t, "4Gi", vs.Spec.Resources.Memory.String())
	assert.Equal(t, []int32{22, 80}, vs.Spec.Network.TCP)
	assert.Equal(t, "kept", vs.Annotations["example.com/note"])
	assert.NotEmpty(t, vs.Finalizers)

	helm("uninstall", "web")
	e.Eventually("the VirtualServer is gone", func() error {
		_, err := e.Client().Get(e.Context, "web", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errMissing("the end of web")
	})
	nothingLeft(e)
}

// kustomize follows the names of generated objects into a VirtualServer, by the configuration of the example.
func TestKustomize(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.MustKubectl("apply", "-k", "artifacts/examples/kustomize/base")
	e.MustKubectl("apply", "-k", "artifacts/examples/kustomize/blue")
	for name, memory := range map[string]string{"server": "1Gi", "blue-server": "4Gi"} {
		vs := e.WaitStatus(name, v1beta1.StatusRunning)
		assert.Equal(t, memory, vs.Spec.Resources.Memory.String())
		settings := vs.Spec.Storage.AdditionalDisks[0].ConfigMap.Name
		assert.Regexp(t, `^(blue-)?settings-[a-z0-9]+$`, settings)
		found, err := e.Kube.CoreV1().ConfigMaps(e.Namespace).Get(e.Context, settings, metav1.GetOptions{})
		require.NoError(t, err)
		assert.Equal(t, map[string]string{"server": "green", "blue-server": "blue"}[name], found.Data["color"])
	}
	assert.Equal(t, []int32{22, 80, 443}, e.Get("blue-server").Spec.Network.TCP)
	assert.Equal(t, "blue", e.Get("blue-server").Labels["team"])
	assert.Contains(t, e.MustKubectl("apply", "-k", "artifacts/examples/kustomize/blue"), "blue-server unchanged")
	e.MustKubectl("delete", "-k", "artifacts/examples/kustomize/blue", "--wait", "--timeout=90s")
	_, err := e.Client().Get(e.Context, "blue-server", metav1.GetOptions{})
	assert.True(t, apierrors.IsNotFound(err), "%v", err)
}
