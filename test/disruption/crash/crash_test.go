package crash

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/klog/v2"

	"tensorstack.dev/virtualserver/pkg/generated/clientset/versioned"
	"tensorstack.dev/virtualserver/test/controlplane"
	"tensorstack.dev/virtualserver/test/framework"
)

// TestCrash runs the tests one after the other: each needs the product for itself.
func TestCrash(t *testing.T) {
	// Connections that break are what these tests are about, and no news.
	klog.SetLogger(klog.Logger{})
	t.Cleanup(klog.ClearLogger)
	plane := start(t)
	t.Run("restart storm", func(t *testing.T) { testRestartStorm(t, environment(t, plane)) })
	t.Run("emptied store", func(t *testing.T) { testEmptiedStore(t, environment(t, plane)) })
	t.Run("next tenant of a namespace", func(t *testing.T) { testNextTenant(t, environment(t, plane)) })
	t.Run("namespace goes under a running server", func(t *testing.T) { testNamespaceGoesUnderARunningServer(t, environment(t, plane)) })
	t.Run("store from an older backup", func(t *testing.T) { testOlderBackup(t, environment(t, plane)) })
}

// start starts a control plane, or attaches to the one that the environment names.
func start(t *testing.T) *controlplane.ControlPlane {
	t.Helper()
	root, err := controlplane.RepositoryRoot()
	require.NoError(t, err)
	plane, err := controlplane.FromEnvironment(t.Context(), controlplane.Options{
		StateDir: filepath.Join(root, "_output", "crash-state"),
	})
	require.NoError(t, err, "build what a control plane needs first: make lab")
	t.Cleanup(func() { assert.NoError(t, plane.Stop()) })
	return plane
}

// environment is a namespace whose clients of the product go past the aggregator.
func environment(t *testing.T, plane *controlplane.ControlPlane) *framework.Environment {
	t.Helper()
	e := framework.In(t, plane)
	direct, err := versioned.NewForConfig(e.DirectConfig())
	require.NoError(t, err)
	e.VirtualServers = direct
	return e
}
