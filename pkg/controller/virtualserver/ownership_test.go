package virtualserver

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
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
	b.update(vs)
	for range 10 {
		_, _, err := b.pass("web")
		if b.server("web").Finalizers == nil {
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
	b.updateStatus(vs)

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

// The machine of an earlier VirtualServer is adopted, but KubeVirt refuses what the new one says. It can be stopped nevertheless.
func TestAdoptedMachineThatCannotBeChangedStops(t *testing.T) {
	b := newBench(t, testServer())
	b.settle("web")
	vs := b.server("web")
	machine := b.kubevirt.machines[vs.Status.VM.Name]
	machine.Labels[translate.LabelUID] = "uid-of-the-lost-store"
	vs.Spec.Resources.Memory = resource.MustParse("8Gi")
	vs = b.update(vs)
	b.kubevirt.refuseMachine = func(vm *kubevirtv1.VirtualMachine) error {
		if vm.Spec.Template.Spec.Domain.Memory.Guest.Cmp(resource.MustParse("8Gi")) == 0 {
			return apierrors.NewForbidden(kubevirtv1.Resource("virtualmachines"), vm.Name, errors.New("too much memory"))
		}
		return nil
	}
	_, _, err := b.pass("web")
	require.ErrorContains(t, err, "too much memory")
	machine = b.kubevirt.machines[vs.Status.VM.Name]
	assert.Equal(t, "vs-uid", machine.Labels[translate.LabelUID])
	assert.Equal(t, kubevirtv1.RunStrategyAlways, ptr.Deref(machine.Spec.RunStrategy, ""))

	b.request("web", v1beta1.Operation{Type: v1beta1.OperationStop, FromRunStrategy: always, ToRunStrategy: halted})
	for range 3 {
		_, _, err = b.pass("web")
		require.ErrorContains(t, err, "too much memory")
	}
	vs = b.server("web")
	assert.Equal(t, halted, vs.Status.RunStrategy)
	assert.Equal(t, kubevirtv1.RunStrategyHalted, ptr.Deref(b.kubevirt.machines[vs.Status.VM.Name].Spec.RunStrategy, ""))
	for _, record := range vs.Status.Operations {
		assert.Equal(t, v1beta1.OperationSucceeded, record.Result, record.Message)
	}
}

// request makes an operation pending, as the API server does.
func (b *bench) request(name string, op v1beta1.Operation) {
	b.t.Helper()
	vs := b.server(name)
	op.ID = "op"
	vs.Status.PendingOperation, vs.Status.RunStrategy = &op, op.ToRunStrategy
	b.updateStatus(vs)
}

// What was asked for before the machine was found is not done to it, and that is told, even if the next write fails.
func TestOperationBeforeAnAdoptionFails(t *testing.T) {
	b := newBench(t, testServer())
	b.settle("web")
	name := b.server("web").Status.VM.Name
	machine := b.kubevirt.machines[name]
	machine.Labels[translate.LabelUID] = "uid-of-the-lost-store"
	vs := b.server("web")
	vs.Status = v1beta1.VirtualServerStatus{NamespaceUID: testNamespaceUID}
	b.updateStatus(vs)
	b.request("web", v1beta1.Operation{Type: v1beta1.OperationStop, RequestedBy: "alice", FromRunStrategy: always, ToRunStrategy: halted})
	conflict := apierrors.NewConflict(kubevirtv1.Resource("virtualmachines"), name, errors.New("somebody was faster"))
	b.kubevirt.fail = func(string) error { return conflict }

	_, events, err := b.pass("web")
	require.ErrorIs(t, err, conflict)
	assert.Contains(t, strings.Join(events, "\n"), "FailedStop The stop asked for by alice failed")
	vs = b.server("web")
	assert.Nil(t, vs.Status.PendingOperation)
	assert.Equal(t, always, vs.Status.RunStrategy)
	require.Len(t, vs.Status.Operations, 1)
	assert.Equal(t, v1beta1.OperationFailed, vs.Status.Operations[0].Result)
	_, events, err = b.pass("web")
	require.ErrorIs(t, err, conflict)
	assert.NotContains(t, strings.Join(events, "\n"), "FailedStop", "it is told once")
}

// A name that is taken keeps the machine from what would start something, and from nothing else.
func TestManualWhileANameIsTaken(t *testing.T) {
	vs := testServer()
	vs.Spec.Network = v1beta1.Network{}
	b := newBench(t, vs)
	b.settle("web")
	vs = b.server("web")
	name := vs.Status.VM.Name
	_, err := b.kubernetes.CoreV1().Services(testNamespace).Create(t.Context(),
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: name}}, metav1.CreateOptions{})
	require.NoError(t, err)
	vs.Spec.Network.TCP = []int32{80}
	vs = b.update(vs)
	vs.Status.RunStrategy = manual
	b.updateStatus(vs)
	for range 2 {
		_, _, err = b.pass("web")
		require.ErrorContains(t, err, "belongs to somebody else")
	}
	assert.Equal(t, kubevirtv1.RunStrategyManual, ptr.Deref(b.kubevirt.machines[name].Spec.RunStrategy, ""))
	assert.Empty(t, b.kubevirt.calls, "once is enough")
}
