package simulation

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

// The node: virt-handler, and what virt-controller does about pods.

// nodeHasWork says whether something happens to the instance by itself.
func (k *KubeVirt) nodeHasWork() bool {
	vmi := k.instance
	switch {
	case vmi == nil:
		return false
	case vmi.IsFinal() && k.killed && k.pod != nil:
		return true
	case vmi.IsFinal():
		return vmi.DeletionTimestamp != nil && (slices.Contains(vmi.Finalizers, nodeFinalizer) || len(vmi.Finalizers) == 0)
	default:
		return vmi.Status.Phase != kubevirtv1.Running || vmi.DeletionTimestamp != nil || k.killed
	}
}

// nodeWorks takes the instance one step further. A guest that is shut down may use up its time and be killed.
func (k *KubeVirt) nodeWorks() {
	vmi := k.instance
	switch {
	case vmi.IsFinal() && k.killed && k.pod != nil:
		k.dropPod()
	case vmi.IsFinal() && len(vmi.Finalizers) == 0:
		k.dropInstance()
	case vmi.DeletionTimestamp != nil && k.pod != nil && k.pod.DeletionTimestamp == nil:
		k.deletePod()
		k.tell("VirtualMachineInstance", "SuccessfulDelete", "Deleted virtual machine pod "+k.pod.Name)
	case vmi.IsFinal():
		k.dropPod()
		k.removeFinalizer(nodeFinalizer)
	case vmi.DeletionTimestamp != nil || k.killed:
		if k.coin() {
			k.phase(kubevirtv1.Failed)
		} else {
			k.phase(kubevirtv1.Succeeded)
		}
	default:
		k.phase(map[kubevirtv1.VirtualMachineInstancePhase]kubevirtv1.VirtualMachineInstancePhase{
			kubevirtv1.VmPhaseUnset: kubevirtv1.Pending,
			kubevirtv1.Pending:      kubevirtv1.Scheduling,
			kubevirtv1.Scheduling:   kubevirtv1.Scheduled,
			kubevirtv1.Scheduled:    kubevirtv1.Running,
		}[vmi.Status.Phase])
	}
}

func (k *KubeVirt) phase(phase kubevirtv1.VirtualMachineInstancePhase) {
	vmi := k.instance.DeepCopy()
	vmi.Status.Phase = phase
	vmi.Status.PhaseTransitionTimestamps = append(vmi.Status.PhaseTransitionTimestamps,
		kubevirtv1.VirtualMachineInstancePhaseTransitionTimestamp{Phase: phase, PhaseTransitionTimestamp: metav1.Now()})
	if phase == kubevirtv1.Scheduling {
		k.createPod()
	}
	if phase == kubevirtv1.Running {
		vmi.Status.Conditions = append(vmi.Status.Conditions,
			kubevirtv1.VirtualMachineInstanceCondition{Type: kubevirtv1.VirtualMachineInstanceReady, Status: corev1.ConditionTrue})
		if ptr.Deref(vmi.Spec.StartStrategy, "") == kubevirtv1.StartStrategyPaused {
			setPaused(vmi, true)
		}
	}
	k.setInstance(vmi)
}

func setPaused(vmi *kubevirtv1.VirtualMachineInstance, paused bool) {
	vmi.Status.Conditions = slices.DeleteFunc(vmi.Status.Conditions, func(c kubevirtv1.VirtualMachineInstanceCondition) bool {
		return c.Type == kubevirtv1.VirtualMachineInstancePaused
	})
	if paused {
		vmi.Status.Conditions = append(vmi.Status.Conditions, kubevirtv1.VirtualMachineInstanceCondition{
			Type: kubevirtv1.VirtualMachineInstancePaused, Status: corev1.ConditionTrue, Reason: "PausedByUser"})
	}
}

// running says whether the guest runs, and nothing ends it yet.
func (k *KubeVirt) running() bool {
	vmi := k.instance
	return vmi != nil && vmi.Status.Phase == kubevirtv1.Running && vmi.DeletionTimestamp == nil && !k.killed
}
