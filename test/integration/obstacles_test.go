package integration

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// A machine obeys a stop whatever else about it cannot be brought about.

// Somebody's policy refuses the changed VirtualMachine. The strategy is written without the change.
func TestStopWhileAChangeIsRefused(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine"))
	machine := e.WaitSettled("machine", v1beta1.StatusRunning).Status.VM.Name
	rule := admissionregistrationv1.Rule{
		APIGroups: []string{kubevirtv1.GroupVersion.Group}, APIVersions: []string{"*"}, Resources: []string{"virtualmachines"},
	}
	validatePolicy(e, "memory", &admissionregistrationv1.MatchResources{
		ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: admissionregistrationv1.RuleWithOperations{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Update}, Rule: rule,
		}}},
	}, admissionregistrationv1.Deny, admissionregistrationv1.Validation{
		Expression: "object.spec.template.spec.domain.memory.guest != '3Gi'", Message: "this is too much memory",
	})
	e.Eventually("the policy is in force", func() error {
		result := e.Kubectl("patch", "virtualmachine", machine, "--type=merge", "--dry-run=server", "-p",
			`{"spec":{"template":{"spec":{"domain":{"memory":{"guest":"3Gi"}}}}}}`)
		if !strings.Contains(result.Stderr, "too much memory") {
			return errMissing("the refusal")
		}
		return nil
	})
	patchServer(e, `{"spec":{"resources":{"memory":"3Gi"}}}`)
	refused := e.WaitCondition("machine", v1beta1.ConditionReconciled, metav1.ConditionFalse)
	assert.Contains(t, findCondition(refused, v1beta1.ConditionReconciled).Message, "this is too much memory")

	e.MustOperate("machine", "stop")
	stopped := e.WaitSettled("machine", v1beta1.StatusStopped)
	assert.Equal(t, v1beta1.OperationSucceeded, stopped.Status.Operations[0].Result)
	assert.Nil(t, e.Instance(machine))
	assert.Equal(t, metav1.ConditionFalse, findCondition(stopped, v1beta1.ConditionReconciled).Status, "the change is still refused")

	e.MustOperate("machine", "start")
	patchServer(e, `{"spec":{"resources":{"memory":"2Gi"}}}`)
	e.WaitSettled("machine", v1beta1.StatusRunning)
	assert.Equal(t, "2Gi", e.Instance(machine).Spec.Domain.Memory.Guest.String(), "the start has waited for the change")
}

// Somebody has an object of the name that the machine now needs too.
func TestStopWhileANameIsTaken(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine"))
	machine := e.WaitSettled("machine", v1beta1.StatusRunning).Status.VM.Name
	service := foreignObjects()["service"]
	theirs := service.create(e, machine)
	patchServer(e, `{"spec":{"network":{"tcp":[22]}}}`)
	taken := e.WaitCondition("machine", v1beta1.ConditionReconciled, metav1.ConditionFalse)
	assert.Equal(t, "NameTaken", findCondition(taken, v1beta1.ConditionReconciled).Reason)

	e.MustOperate("machine", "stop")
	e.WaitSettled("machine", v1beta1.StatusStopped)
	assert.Nil(t, e.Instance(machine))
	service.untouched(e, theirs)

	e.MustOperate("machine", "start")
	e.MustKubectl("delete", "service", machine)
	patchServer(e, `{"metadata":{"annotations":{"poke":"it may look again"}}}`)
	e.WaitSettled("machine", v1beta1.StatusRunning)
	e.WaitCondition("machine", v1beta1.ConditionReconciled, metav1.ConditionTrue)
}

// The VirtualMachine of an ephemeral root is not made before the import is done, and this one never ends.
func TestStopBeforeThereIsAMachine(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Faults(map[string]string{"import": "stall"})
	e.Create(framework.Minimal("machine", ephemeral))
	machine := e.MachineName("machine")
	e.MustOperate("machine", "stop")
	stopped := e.Wait("machine", "has obeyed", func(vs *v1beta1.VirtualServer) string {
		if vs.Status.PendingOperation != nil {
			return "the stop is pending: " + vs.Status.PendingOperation.Message
		}
		return ""
	})
	require.NotEmpty(t, stopped.Status.Operations)
	assert.Equal(t, v1beta1.OperationSucceeded, stopped.Status.Operations[0].Result)
	assert.Nil(t, e.Machine(machine))

	e.Faults(map[string]string{})
	e.WaitStatus("machine", v1beta1.StatusStopped)
	e.Eventually("the machine is made", func() error {
		if e.Machine(machine) == nil {
			return errMissing("the VirtualMachine")
		}
		return nil
	})
	assert.Nil(t, e.Instance(machine))
}

func ephemeral(vs *v1beta1.VirtualServer) { vs.Spec.Storage.Root.Ephemeral = true }

// KubeVirt does not wait for the disk under an overlay, so the product does, also when the overlay comes later.
func TestPausedStartWaitsForTheDiskUnderAnOverlay(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Faults(map[string]string{"import": "stall"})
	e.Create(framework.Minimal("machine", framework.WithStrategy(v1beta1.RunStrategyHalted)))
	machine := e.MachineName("machine")
	e.Eventually("the machine is made", func() error {
		if e.Machine(machine) == nil {
			return errMissing("the VirtualMachine")
		}
		return nil
	})
	patchServer(e, `{"spec":{"storage":{"root":{"ephemeral":true}}}}`)
	_, err := e.Operate("machine", "start", `{"paused":true}`)
	require.NoError(t, err)
	e.Wait("machine", "waits for the import", func(vs *v1beta1.VirtualServer) string {
		if op := vs.Status.PendingOperation; op == nil || !strings.Contains(op.Message, "import of the root disk") {
			return "it does not wait"
		}
		return ""
	})
	assert.Nil(t, e.Instance(machine))

	e.Faults(map[string]string{})
	paused := e.WaitSettled("machine", v1beta1.StatusPaused)
	assert.Equal(t, v1beta1.OperationSucceeded, paused.Status.Operations[0].Result)
	assert.Equal(t, v1beta1.RunStrategyAlways, paused.Status.RunStrategy)
}

// A guest that runs over the old disk keeps it, as one without an overlay does.
func TestDiskUnderAnOverlayDeletedByHand(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine", ephemeral))
	before := e.WaitSettled("machine", v1beta1.StatusRunning)
	machine := before.Status.VM.Name
	e.MustKubectl("delete", "datavolume", machine, "--wait=false")
	waits := e.WaitCondition("machine", v1beta1.ConditionReconciled, metav1.ConditionFalse)
	assert.Equal(t, "DiskDeleted", findCondition(waits, v1beta1.ConditionReconciled).Reason)
	assert.Equal(t, v1beta1.StatusRunning, waits.Status.PrintableStatus)
	assert.Equal(t, before.Status.VM.InstanceUID, waits.Status.VM.InstanceUID)

	e.MustOperate("machine", "restart")
	e.WaitCondition("machine", v1beta1.ConditionReconciled, metav1.ConditionTrue)
	after := e.WaitSettled("machine", v1beta1.StatusRunning)
	assert.NotEqual(t, before.Status.VM.InstanceUID, after.Status.VM.InstanceUID)
	assert.Equal(t, v1beta1.RunStrategyAlways, after.Status.RunStrategy)
	assert.Equal(t, v1beta1.OperationSucceeded, after.Status.Operations[0].Result)
}

// patchServer merges a change into the VirtualServer "machine".
func patchServer(e *framework.Environment, patch string) {
	e.T.Helper()
	_, err := e.Client().Patch(e.Context, "machine", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	require.NoError(e.T, err)
}
