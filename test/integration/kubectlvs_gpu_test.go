package integration

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// Whoever waits for GPUs is told how many he wants, how many are free, and who holds the others.
func TestKubectlVSWhyNamesTheHoldersOfGPUs(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	const gpu = "nvidia.com/GA100_A100_PCIE_40GB"
	with := func(count int32) func(*v1beta1.VirtualServer) {
		return func(vs *v1beta1.VirtualServer) { vs.Spec.Resources.GPU = &v1beta1.GPU{Type: gpu, Count: count} }
	}
	e.Create(framework.Minimal("holder", with(1)))
	e.WaitStatus("holder", v1beta1.StatusRunning)
	// More than any node has, whatever other tests hold.
	e.Create(framework.Minimal("waits", with(9)))
	e.WaitStatus("waits", v1beta1.StatusFailedUnschedulable)
	why := e.Run("", "kubectl", "vs", "-n", e.Namespace, "why", "waits")
	assert.NoError(t, why.Err, why.Stderr)
	assert.Regexp(t, `GPU `+gpu+`: 9 wanted; free: \d of 8 on node-a`, why.Stdout)
	assert.Contains(t, why.Stdout, "VirtualServer "+e.Namespace+"/holder has 1")
}
