package virtualserver

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// estrange settles a machine whose disk is imported, and then takes our label off the VirtualMachine, as somebody could.
func estrange(t *testing.T) (b *bench, name string) {
	t.Helper()
	b = newBench(t, testServer())
	b.settle("web")
	name = b.server("web").Status.VM.Name
	b.kubevirt.volumes[name].Status.Phase = cdiv1.Succeeded
	b.settle("web")
	delete(b.kubevirt.machines[name].Labels, translate.LabelUID)
	return b, name
}

// A name is given up only while there is nothing to lose under it.
func TestDiskOfAMachineThatIsNotOursAnyMoreIsKept(t *testing.T) {
	b, name := estrange(t)
	for range 3 {
		_, _, err := b.pass("web")
		require.Error(t, err)
	}
	vs := b.server("web")
	assert.Equal(t, name, vs.Status.VM.Name)
	assert.Zero(t, vs.Status.VM.CollisionCount)
	assert.Contains(t, b.kubevirt.volumes, name)
	assert.Len(t, b.kubevirt.machines, 1)
	condition := meta.FindStatusCondition(vs.Status.Conditions, v1beta1.ConditionReconciled)
	require.NotNil(t, condition)
	assert.Equal(t, "NameTaken", condition.Reason)
	assert.Contains(t, condition.Message, translate.LabelUID+"=vs-uid")

	b.kubevirt.machines[name].Labels[translate.LabelUID] = "vs-uid"
	b.settle("web")
	assert.True(t, meta.IsStatusConditionTrue(b.server("web").Status.Conditions, v1beta1.ConditionReconciled))
}

// The instance of that machine has our label still, from the template. Deleted, it would be made again without end.
func TestDeletionLeavesTheInstanceOfSomebodyElsesMachine(t *testing.T) {
	b, name := estrange(t)
	vmi := instance("theirs", kubevirtv1.Running)
	vmi.Namespace, vmi.Name, vmi.Labels = testNamespace, name, map[string]string{translate.LabelUID: "vs-uid"}
	b.kubevirt.instances[name] = vmi
	vs := b.server("web")
	vs.DeletionTimestamp = ptr.To(metav1.Now())
	_, err := b.servers.TensorstackV1beta1().VirtualServers(testNamespace).Update(t.Context(), vs, metav1.UpdateOptions{})
	require.NoError(t, err)
	for range 10 {
		if _, _, err = b.pass("web"); b.server("web").Finalizers == nil {
			break
		}
		require.NoError(t, err)
	}
	assert.Empty(t, b.server("web").Finalizers)
	assert.Contains(t, b.kubevirt.machines, name)
	assert.Contains(t, b.kubevirt.instances, name)
	assert.NotContains(t, b.kubevirt.volumes, name, "the disk is ours")
}

// The versions of two stores cannot be compared. The machine was last written for another VirtualServer, which is gone.
func TestMachineOfAnotherStoreIsNotStarted(t *testing.T) {
	b := newBench(t, testServer())
	b.settle("web")
	vs := b.server("web")
	machine := b.kubevirt.machines[vs.Status.VM.Name]
	machine.Labels[translate.LabelUID] = "uid-of-the-store-between"
	machine.Annotations[annotationAppliedVersion] = "0"
	machine.Annotations[translate.AnnotationAppliedRunStrategy] = string(halted)
	machine.Spec.RunStrategy = ptr.To(kubevirtv1.RunStrategyHalted)
	vs.Status.PendingOperation = &v1beta1.Operation{Type: v1beta1.OperationRestart, FromRunStrategy: always, ToRunStrategy: always}
	_, err := b.servers.TensorstackV1beta1().VirtualServers(testNamespace).UpdateStatus(t.Context(), vs, metav1.UpdateOptions{})
	require.NoError(t, err)

	_, events, err := b.pass("web")
	require.NoError(t, err)
	assert.Contains(t, strings.Join(events, "\n"), "RunStrategyAdopted")
	b.settle("web")
	vs = b.server("web")
	assert.Equal(t, halted, vs.Status.RunStrategy)
	assert.Equal(t, v1beta1.OperationFailed, vs.Status.Operations[0].Result)
	machine = b.kubevirt.machines[vs.Status.VM.Name]
	assert.Equal(t, kubevirtv1.RunStrategyHalted, ptr.Deref(machine.Spec.RunStrategy, ""))
	assert.Equal(t, "vs-uid", machine.Labels[translate.LabelUID])
}
