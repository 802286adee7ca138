package status

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// message says in one line why the machine is not running, and names the object that blocks it. It is empty for a machine
// that runs.
func (f *facts) message(printable v1beta1.PrintableStatus) string {
	switch printable {
	case v1beta1.StatusRunning:
		return ""
	case v1beta1.StatusTerminating:
		return f.terminatingText()
	case v1beta1.StatusProvisioning:
		return f.provisioningText()
	case v1beta1.StatusFailedUnschedulable:
		message, _ := f.unschedulable()
		return f.podText(orText(OneLine(message), "no node can take it"))
	case v1beta1.StatusStarting:
		return f.startingText()
	case v1beta1.StatusCrashLoopBackOff:
		return f.crashLoopText()
	case v1beta1.StatusStopping:
		return f.stoppingText()
	case v1beta1.StatusPaused:
		observed := vmiCondition(f.live, kubevirtv1.VirtualMachineInstancePaused)
		return of("VMI", f.live.Name, orText(OneLine(observed.Message), "paused"))
	case v1beta1.StatusMigrating:
		return f.migratingText()
	case v1beta1.StatusUnknown:
		if f.nodeLost != "" {
			return f.nodeText()
		}
		return of("VirtualMachine", f.name(), fmt.Sprintf("KubeVirt reports %q", f.VirtualMachine.Status.PrintableStatus))
	default:
		return f.stoppedText()
	}
}

// terminatingText names what is still there, in the order in which it goes.
func (f *facts) terminatingText() string {
	switch {
	case f.live != nil:
		return f.stoppingText()
	case f.VirtualMachine != nil:
		return of("VirtualMachine", f.name(), "being deleted")
	case f.Instance != nil:
		return of("VMI", f.Instance.Name, "ended, being removed")
	case f.DataVolume != nil:
		return of("DataVolume", f.name(), "to be deleted")
	case f.Claim != nil:
		return of("PVC", f.name(), "to be deleted")
	default:
		return "The last objects are being deleted."
	}
}

func (f *facts) provisioningText() string {
	switch {
	case !f.imported.done:
		return f.imported.message
	case f.VirtualMachine == nil:
		return joinName("VirtualMachine", f.name(), "not created yet")
	case f.live != nil:
		if _, text := f.blocked(); text != "" {
			return text
		}
		if text, volume := f.awaited(); volume {
			return text
		}
	}
	printed := f.VirtualMachine.Status.PrintableStatus
	if unbound := f.unbound(); unbound != nil && printed == kubevirtv1.VirtualMachineStatusWaitingForVolumeBinding {
		return sentence(unbound.text())
	}
	return of("VirtualMachine", f.name(), kubeVirtText(printed))
}

// kubeVirtText puts what KubeVirt prints into words.
func kubeVirtText(status kubevirtv1.VirtualMachinePrintableStatus) string {
	switch status {
	case kubevirtv1.VirtualMachineStatusWaitingForVolumeBinding:
		return "waiting for its claims to be bound"
	case kubevirtv1.VirtualMachineStatusDataVolumeError:
		return "a DataVolume that it uses reports an error"
	case kubevirtv1.VirtualMachineStatusPvcNotFound:
		return "a claim that it uses does not exist"
	default:
		return "its volumes are being prepared"
	}
}

// synchronizedText returns what keeps KubeVirt from making the pod of the machine, or nothing.
func (f *facts) synchronizedText() string {
	synchronized := vmiCondition(f.live, kubevirtv1.VirtualMachineInstanceSynchronized)
	if synchronized == nil || synchronized.Status != corev1.ConditionFalse {
		return ""
	}
	if synchronized.Reason == kubeVirtPVCNotFound && f.claimsAreThere() {
		// KubeVirt has not looked again yet.
		return ""
	}
	return of("VMI", f.live.Name, joined(": ", synchronized.Reason, OneLine(synchronized.Message)))
}

// nodeRefusal returns why the node cannot start the guest of an instance that it was given, or nothing. virt-handler tries again
// and again, whatever the cause, and takes the condition back when it succeeds.
func (f *facts) nodeRefusal() string {
	synchronized := vmiCondition(f.live, kubevirtv1.VirtualMachineInstanceSynchronized)
	if f.live == nil || f.live.Status.Phase != kubevirtv1.Scheduled || synchronized == nil || synchronized.Status != corev1.ConditionFalse {
		return ""
	}
	return of("VMI", f.live.Name, "node "+f.live.Status.NodeName+" cannot start the guest, and tries again: "+OneLine(synchronized.Message))
}

func (f *facts) startingText() string {
	if f.live == nil {
		return f.startSoonText()
	}
	if _, text := f.blocked(); text != "" {
		return text
	}
	if text, _ := f.awaited(); text != "" {
		return text
	}
	if pod := f.podOf(f.live); pod != nil {
		if text := waitingText(pod); text != "" {
			return of("Pod", pod.Name, text)
		}
	}
	switch f.live.Status.Phase {
	case kubevirtv1.Scheduled:
		return of("VMI", f.live.Name, "waiting for node "+f.live.Status.NodeName+" to start the guest")
	case kubevirtv1.Scheduling:
		return f.podText("waiting to be ready")
	default:
		return of("VMI", f.live.Name, "waiting for its pod")
	}
}

// startSoonText is for a machine that has no instance yet.
func (f *facts) startSoonText() string {
	if failure := MachineFailure(f.VirtualMachine); failure != nil {
		return of("VirtualMachine", f.name(), joined(": ", failure.Reason, OneLine(failure.Message)))
	}
	if f.pending != nil && f.pending.Message != "" {
		return OneLine(f.pending.Message)
	}
	return of("VirtualMachine", f.name(), "about to start")
}

// MachineFailure returns the condition VirtualMachineFailure, in which KubeVirt says why it cannot do what the machine is
// to do, or nil if it is not true.
func MachineFailure(vm *kubevirtv1.VirtualMachine) *kubevirtv1.VirtualMachineCondition {
	for i, condition := range vm.Status.Conditions {
		if condition.Type == kubevirtv1.VirtualMachineFailure && condition.Status == corev1.ConditionTrue {
			return &vm.Status.Conditions[i]
		}
	}
	return nil
}

// waitingText returns what a container of the pod waits for, if that is more than being made.
func waitingText(pod *corev1.Pod) string {
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, container := range list {
			waiting := container.State.Waiting
			if waiting != nil && waiting.Reason != "" && waiting.Reason != "PodInitializing" {
				return joined(": ", "container "+container.Name, waiting.Reason, OneLine(waiting.Message))
			}
		}
	}
	return ""
}

// podText names the launcher pod, or the instance as long as the pod is not known.
func (f *facts) podText(text string) string {
	if pod := f.podOf(f.live); pod != nil {
		return of("Pod", pod.Name, text)
	}
	return of("VMI", f.live.Name, text)
}

func (f *facts) crashLoopText() string {
	start := f.VirtualMachine.Status.StartFailure
	text := "1 start failed"
	if start.ConsecutiveFailCount != 1 {
		text = fmt.Sprintf("%d starts failed", start.ConsecutiveFailCount)
	}
	if start.RetryAfterTimestamp != nil {
		text += ", next try at " + timeText(start.RetryAfterTimestamp.Time)
	}
	if f.failure != nil {
		text += ", last cause: " + f.failure.Reason
	}
	return of("VirtualMachine", f.name(), text)
}

func (f *facts) stoppingText() string {
	if f.live == nil {
		return of("VMI", f.name(), "ended, being removed")
	}
	if f.isEvicting() && f.nodeLost == "" {
		return sentence(f.disruptionOf(f.live).text) + " The guest is shutting down" + f.afterwards()
	}
	deadline := f.stopDeadline()
	if deadline == nil {
		if op := f.before.PendingOperation; op != nil && op.Message != "" {
			return OneLine(op.Message)
		}
		return of("VMI", f.live.Name, "about to stop")
	}
	if f.nodeLost != "" {
		return f.nodeText()
	}
	if paused := vmiCondition(f.live, kubevirtv1.VirtualMachineInstancePaused); paused != nil && paused.Status == corev1.ConditionTrue {
		return of("VMI", f.live.Name, fmt.Sprintf("paused (%s) and so cannot shut down, it is killed at %s; a stop with force does not wait",
			orText(paused.Reason, "for no known reason"), timeText(deadline.Time)))
	}
	return of("VMI", f.live.Name, "the guest is shutting down, it is killed at "+timeText(deadline.Time))
}

// afterwards says what becomes of an evicted machine.
func (f *facts) afterwards() string {
	if f.strategy == v1beta1.RunStrategyManual {
		return "."
	}
	return " and starts again where there is room."
}

func (f *facts) migratingText() string {
	state := f.live.Status.MigrationState
	return of("VMI", f.live.Name, strings.TrimSpace(fmt.Sprintf("moving from node %s to %s",
		orText(state.SourceNode, f.live.Status.NodeName), orText(state.TargetNode, "another one"))))
}

// stoppedText says why a stopped machine stays so.
func (f *facts) stoppedText() string {
	if !f.imported.done {
		return joined(" ", f.strategyText(), sentence(f.imported.message))
	}
	return f.strategyText()
}

// strategyText says what keeps a machine down.
func (f *facts) strategyText() string {
	switch {
	case f.failure != nil && !f.recovered() && f.strategy == v1beta1.RunStrategyManual:
		return fmt.Sprintf("%s: %s Run strategy Manual does not start it again; use start.", f.failure.Reason, f.failure.Message)
	case f.strategy == v1beta1.RunStrategyHalted:
		return "Run strategy is Halted; use start to run the machine."
	case f.strategy == v1beta1.RunStrategyManual:
		return "Run strategy is Manual; use start to run the machine."
	case f.strategy == v1beta1.RunStrategyRerunOnFailure:
		return "The guest shut down, and run strategy RerunOnFailure starts it only after a failure; use start."
	default:
		return "The machine is stopped; use start to run it."
	}
}
