package status

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// computeContainer is the container of the launcher pod in which the guest runs.
const computeContainer = "compute"

// Failure returns the unexpected end of the instance that can be seen, or nil. Its Count is not set.
func Failure(o Observed) *v1beta1.MachineFailure {
	return factsOf(o).failureNow()
}

// lastFailure returns the last unexpected end of the machine: the one that is seen now, or the one from before. KubeVirt
// removes a failed instance and its pod within moments, so the cause is remembered in the status.
func (f *facts) lastFailure() *v1beta1.MachineFailure {
	before := f.before.LastFailure.DeepCopy()
	now := f.failureNow()
	if seen := f.Failure; now == nil && seen != nil && (seen.Reason != ReasonEvicted || !f.wasAskedToEnd(seen.InstanceUID)) {
		now = seen.DeepCopy()
	}
	switch {
	case now == nil:
		return before
	case before == nil || before.InstanceUID != now.InstanceUID:
		now.Count = f.countFrom(before)
		return now
	case (before.Reason == ReasonGuestCrashed || before.Reason == ReasonBootFailed) &&
		(now.Reason == ReasonOOMKilled || now.Reason == ReasonEvicted):
		// The pod may tell the true cause a moment after the instance has failed. What became of the node since has not caused it.
		before.Reason, before.Message = now.Reason, now.Message
		return before
	default:
		return before
	}
}

// countFrom counts on, unless a person has started the machine since.
func (f *facts) countFrom(before *v1beta1.MachineFailure) int32 {
	if before == nil {
		return 1
	}
	for _, op := range f.before.Operations {
		started := (op.Type == v1beta1.OperationStart || op.Type == v1beta1.OperationRestart) && op.RequestedBy != RequestedByEviction
		if started && op.Result == v1beta1.OperationSucceeded && op.CompletedAt.After(before.Time.Time) {
			return 1
		}
	}
	return before.Count + 1
}

// failureNow returns the unexpected end that can be seen now: that of the instance that is there, or of one that went while
// nobody looked.
func (f *facts) failureNow() *v1beta1.MachineFailure {
	if seen := f.failureInSight(); seen != nil {
		return seen
	}
	return f.goneUnseen()
}

// failureInSight returns the unexpected end of the instance that is there, or of one whose start KubeVirt counts.
func (f *facts) failureInSight() *v1beta1.MachineFailure {
	vmi := f.Instance
	if vmi == nil {
		return f.failedStart()
	}
	killed := f.podOf(vmi) != nil && oomKilled(f.LauncherPod)
	switch {
	case !vmi.IsFinal() && !killed:
		return nil
	case !killed && vmi.Status.Phase == kubevirtv1.Succeeded && f.disruptionOf(vmi) == nil:
		// The guest shut down by itself.
		return nil
	case !killed && f.stopWasAsked(vmi):
		// A guest that ignores its shutdown is killed at the end of its grace period and counts as Failed in KubeVirt.
		return nil
	case !killed && !hasRun(vmi) && !f.imported.done:
		// The import failed, not the machine.
		return nil
	}
	failure := &v1beta1.MachineFailure{InstanceUID: vmi.UID, Time: metav1.NewTime(f.Now)}
	if at := endedAt(vmi); !at.IsZero() {
		failure.Time = at
	}
	failure.Reason, failure.Message = f.causeOf(vmi)
	return failure
}

// failedStart finds an instance that failed before it ran and is gone already. KubeVirt remembers its UID. A first failure
// alone does not count: KubeVirt takes an instance that was stopped while it started for a failure too.
func (f *facts) failedStart() *v1beta1.MachineFailure {
	if f.VirtualMachine == nil || f.VirtualMachine.Status.StartFailure == nil || !f.imported.done {
		return nil
	}
	start := f.VirtualMachine.Status.StartFailure
	ends := f.vs.DeletionTimestamp != nil || f.VirtualMachine.DeletionTimestamp != nil ||
		f.strategy == v1beta1.RunStrategyHalted
	if ends || start.ConsecutiveFailCount < 2 || start.LastFailedVMIUID == "" {
		return nil
	}
	return &v1beta1.MachineFailure{
		InstanceUID: start.LastFailedVMIUID,
		Reason:      ReasonBootFailed,
		Message:     bootFailedText,
		Time:        metav1.NewTime(f.Now),
	}
}

const bootFailedText = "The machine ended before it ran."

func (f *facts) causeOf(vmi *kubevirtv1.VirtualMachineInstance) (reason, message string) {
	pod := f.podOf(vmi)
	lost := nodeLost(f.Observed)
	taken := f.disruptionOf(vmi)
	switch {
	case pod != nil && oomKilled(pod):
		return ReasonOOMKilled, fmt.Sprintf("Pod %s used more memory than it may and was killed.", pod.Name)
	case taken != nil && vmi.Status.Phase == kubevirtv1.Succeeded:
		// The node was there to tell, whatever has become of it since.
		return ReasonEvicted, taken.message()
	case vmi.Status.Reason == kubeVirtNodeUnresponsive || lost != "":
		return ReasonNodeLost, sentence(of("Node", vmi.Status.NodeName, OneLine(orText(lost, "not heard from"))))
	case taken != nil:
		return ReasonEvicted, taken.message()
	case !hasRun(vmi):
		return ReasonBootFailed, bootFailedText
	default:
		return ReasonGuestCrashed, "The guest crashed, or its process was killed."
	}
}

func orText(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// podOf returns the launcher pod if it belongs to the instance.
func (f *facts) podOf(vmi *kubevirtv1.VirtualMachineInstance) *corev1.Pod {
	pod := f.LauncherPod
	if pod == nil || vmi == nil || vmi.UID == "" {
		return nil
	}
	owned := slices.ContainsFunc(pod.OwnerReferences, func(owner metav1.OwnerReference) bool { return owner.UID == vmi.UID })
	if owned || pod.Labels[kubevirtv1.CreatedByLabel] == string(vmi.UID) {
		return pod
	}
	return nil
}

func oomKilled(pod *corev1.Pod) bool {
	for _, container := range pod.Status.ContainerStatuses {
		if container.Name != computeContainer {
			continue
		}
		for _, ended := range []*corev1.ContainerStateTerminated{
			container.State.Terminated, container.LastTerminationState.Terminated} {
			if ended != nil && ended.Reason == podOOMKilled {
				return true
			}
		}
	}
	return false
}

// stopWasAsked says whether the instance was told to end: by an operation, by the run strategy, by KubeVirt's own
// requests, by deletion. KubeVirt deletes an instance that failed by itself too; such a deletion comes after the failure.
func (f *facts) stopWasAsked(vmi *kubevirtv1.VirtualMachineInstance) bool {
	switch {
	case f.wasAskedToEnd(vmi.UID):
		return true
	case vmi.DeletionTimestamp == nil:
		return false
	case f.before.LastFailure != nil && f.before.LastFailure.InstanceUID == vmi.UID && f.before.LastFailure.Reason == ReasonEvicted,
		f.disruptionOf(vmi) != nil:
		// Its pod went first. KubeVirt deletes the instance for that.
		return false
	case f.before.PrintableStatus == v1beta1.StatusStopping && f.before.VM.InstanceUID == vmi.UID:
		return true
	case !vmi.IsFinal():
		return true
	default:
		ended := endedAt(vmi)
		return ended.After(vmi.DeletionTimestamp.Time)
	}
}

// wasAskedToEnd says whether somebody wants the instance to end, by whatever but the deletion of the instance itself.
func (f *facts) wasAskedToEnd(instance types.UID) bool {
	return f.vs.DeletionTimestamp != nil || f.VirtualMachine == nil || f.VirtualMachine.DeletionTimestamp != nil ||
		f.strategy == v1beta1.RunStrategyHalted ||
		f.stopPending(instance, v1beta1.OperationStop, v1beta1.OperationRestart) ||
		f.requested(kubevirtv1.StopRequest, instance)
}

// endsAsAsked says whether the instance has ended as it was told to, and is being removed. Where a start waits for that, the
// machine is on its way up: KubeVirt removes what is left of a run by a request to stop it.
func (f *facts) endsAsAsked() bool {
	return !f.startPending() && f.live == nil && f.Instance != nil && f.Instance.DeletionTimestamp != nil && f.stopWasAsked(f.Instance)
}

// hasRun says whether the guest was up.
func hasRun(vmi *kubevirtv1.VirtualMachineInstance) bool {
	ranAt := reachedAt(vmi, kubevirtv1.Running)
	return vmi.Status.Phase == kubevirtv1.Running || !ranAt.IsZero()
}

// reachedAt returns when the instance reached the phase, or zero.
func reachedAt(vmi *kubevirtv1.VirtualMachineInstance, phase kubevirtv1.VirtualMachineInstancePhase) metav1.Time {
	for _, transition := range vmi.Status.PhaseTransitionTimestamps {
		if transition.Phase == phase {
			return transition.PhaseTransitionTimestamp
		}
	}
	return metav1.Time{}
}

// recovered says whether the machine has run again since its last failure. Once it has, it stays so until the next
// failure, whatever happens to the machine then.
func (f *facts) recovered() bool {
	if f.live != nil && f.live.UID != f.failure.InstanceUID && f.live.Status.Phase == kubevirtv1.Running {
		return true
	}
	if f.before.LastFailure == nil || f.before.LastFailure.InstanceUID != f.failure.InstanceUID {
		return false
	}
	return slices.ContainsFunc(f.before.Conditions, func(condition metav1.Condition) bool {
		// Evicting takes the place of either only for an instance that came after the failure.
		return condition.Type == v1beta1.ConditionFailure && (condition.Reason == ReasonRecovered || condition.Reason == ReasonEvicting)
	})
}
