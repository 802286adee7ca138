package handler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

func migrating() *kubevirtv1.VirtualMachineInstance {
	vmi := &kubevirtv1.VirtualMachineInstance{}
	vmi.Status.Phase, vmi.Status.NodeName = kubevirtv1.Running, "node-a"
	vmi.Status.MigrationState = &kubevirtv1.VirtualMachineInstanceMigrationState{
		SourceNode: "node-a", SourcePod: "pod-a", TargetNode: "node-b",
		TargetState: &kubevirtv1.VirtualMachineInstanceMigrationTargetState{},
	}
	return vmi
}

func everywhere(string) bool { return true }

func TestMigrate(t *testing.T) {
	vmi, now := migrating(), time.Unix(1000, 0)
	for steps := 0; !vmi.Status.MigrationState.Completed; steps++ {
		require.Less(t, steps, 10, "the migration must come to an end")
		assert.False(t, leftBehind(vmi, "pod-a", "node-a"))
		now = now.Add(migrate(vmi, "127.0.0.1", everywhere, metav1.NewTime(now)))
	}
	state := vmi.Status.MigrationState
	assert.False(t, state.Failed)
	assert.Equal(t, "node-b", vmi.Status.NodeName)
	assert.Equal(t, "node-b", vmi.Labels[kubevirtv1.NodeNameLabel])
	assert.Equal(t, "127.0.0.1", *state.TargetState.NodeAddress)
	assert.True(t, state.TargetState.DomainDetected)
	assert.True(t, state.EndTimestamp.After(state.StartTimestamp.Time))
	assert.True(t, leftBehind(vmi, "pod-a", "node-a"))
	assert.False(t, leftBehind(vmi, "pod-b", "node-b"))
	assert.Zero(t, migrate(vmi, "127.0.0.1", everywhere, metav1.NewTime(now)), "an ended migration stays as it is")
}

func TestMigrateAborts(t *testing.T) {
	vmi := migrating()
	vmi.Status.MigrationState.AbortRequested = true
	migrate(vmi, "127.0.0.1", everywhere, metav1.Now())
	assert.True(t, vmi.Status.MigrationState.Failed)
	assert.Equal(t, kubevirtv1.MigrationAbortSucceeded, vmi.Status.MigrationState.AbortStatus)
	assert.Equal(t, "node-a", vmi.Status.NodeName)
}

func TestMigrateWaits(t *testing.T) {
	vmi := migrating()
	before := vmi.DeepCopy()
	assert.Zero(t, migrate(vmi, "127.0.0.1", func(node string) bool { return node != "node-b" }, metav1.Now()))
	assert.Equal(t, before, vmi, "nothing happens while the target is lost")
}
