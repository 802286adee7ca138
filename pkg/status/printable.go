package status

import (
	corev1 "k8s.io/api/core/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// FromKubeVirt maps the printable status of a VirtualMachine to ours. It is total: whatever KubeVirt may add is Unknown.
// It is only a part of the derivation, see Derive: what KubeVirt prints is late, and says nothing of lost nodes.
func FromKubeVirt(status kubevirtv1.VirtualMachinePrintableStatus) v1beta1.PrintableStatus {
	switch status {
	case kubevirtv1.VirtualMachineStatusStopped, "":
		return v1beta1.StatusStopped
	case kubevirtv1.VirtualMachineStatusProvisioning, kubevirtv1.VirtualMachineStatusWaitingForVolumeBinding,
		kubevirtv1.VirtualMachineStatusDataVolumeError, kubevirtv1.VirtualMachineStatusPvcNotFound:
		return v1beta1.StatusProvisioning
	case kubevirtv1.VirtualMachineStatusStarting, kubevirtv1.VirtualMachineStatusErrImagePull,
		kubevirtv1.VirtualMachineStatusImagePullBackOff:
		return v1beta1.StatusStarting
	case kubevirtv1.VirtualMachineStatusRunning:
		return v1beta1.StatusRunning
	case kubevirtv1.VirtualMachineStatusPaused:
		return v1beta1.StatusPaused
	case kubevirtv1.VirtualMachineStatusStopping:
		return v1beta1.StatusStopping
	case kubevirtv1.VirtualMachineStatusTerminating:
		return v1beta1.StatusTerminating
	case kubevirtv1.VirtualMachineStatusCrashLoopBackOff:
		return v1beta1.StatusCrashLoopBackOff
	case kubevirtv1.VirtualMachineStatusMigrating:
		return v1beta1.StatusMigrating
	case kubevirtv1.VirtualMachineStatusUnschedulable:
		return v1beta1.StatusFailedUnschedulable
	default:
		// Unknown and WaitingForReceiver, and whatever a later KubeVirt has.
		return v1beta1.StatusUnknown
	}
}

func (f *facts) kubeVirtStatus() v1beta1.PrintableStatus {
	return FromKubeVirt(f.VirtualMachine.Status.PrintableStatus)
}

// printable returns the state of the machine in one word.
func (f *facts) printable() v1beta1.PrintableStatus {
	switch {
	case f.vs.DeletionTimestamp != nil:
		return v1beta1.StatusTerminating
	case f.VirtualMachine == nil && f.staysDown():
		return v1beta1.StatusStopped
	case f.VirtualMachine == nil:
		return v1beta1.StatusProvisioning
	case f.VirtualMachine.DeletionTimestamp != nil:
		return v1beta1.StatusTerminating
	case f.live != nil:
		return f.printableAlive()
	case f.endsAsAsked():
		return v1beta1.StatusStopping
	case !f.imported.done && f.staysDown():
		// The import goes on, but nothing starts after it.
		return v1beta1.StatusStopped
	case !f.imported.done:
		return v1beta1.StatusProvisioning
	case f.backsOff():
		return v1beta1.StatusCrashLoopBackOff
	case f.willStart():
		return v1beta1.StatusStarting
	case f.kubeVirtStatus() == v1beta1.StatusUnknown:
		return v1beta1.StatusUnknown
	default:
		return v1beta1.StatusStopped
	}
}

// printableAlive is for a machine with an instance that has not ended.
func (f *facts) printableAlive() v1beta1.PrintableStatus {
	vmi := f.live
	switch {
	case f.nodeLost != "":
		return v1beta1.StatusUnknown
	case vmi.DeletionTimestamp != nil, f.isStopping():
		return v1beta1.StatusStopping
	case migrates(vmi):
		return v1beta1.StatusMigrating
	}
	switch vmi.Status.Phase {
	case kubevirtv1.Running:
		if vmiConditionIs(vmi, kubevirtv1.VirtualMachineInstancePaused, corev1.ConditionTrue) {
			return v1beta1.StatusPaused
		}
		return v1beta1.StatusRunning
	case kubevirtv1.VmPhaseUnset, kubevirtv1.Pending, kubevirtv1.Scheduling:
		return f.printableBeforeNode()
	case kubevirtv1.Scheduled:
		return v1beta1.StatusStarting
	default:
		return v1beta1.StatusUnknown
	}
}

// printableBeforeNode is for a machine that no node has yet.
func (f *facts) printableBeforeNode() v1beta1.PrintableStatus {
	_, unschedulable := f.unschedulable()
	_, volume := f.awaited()
	switch {
	case !f.imported.done:
		// The scheduler refuses a pod whose disk is not there yet. That is no lack of nodes.
		return v1beta1.StatusProvisioning
	case unschedulable:
		return v1beta1.StatusFailedUnschedulable
	case f.before.PrintableStatus == v1beta1.StatusStarting:
		// What KubeVirt prints is late. Nothing goes back within one run.
		return v1beta1.StatusStarting
	case f.claimMissing(), volume, f.kubeVirtStatus() == v1beta1.StatusProvisioning:
		return v1beta1.StatusProvisioning
	default:
		return v1beta1.StatusStarting
	}
}

// claimMissing says whether the instance waits for a claim that does not exist. KubeVirt's word may be old.
func (f *facts) claimMissing() bool {
	if absent := f.absent(); absent != nil && absent.Kind == KindClaim {
		return true
	}
	if f.claimsAreThere() {
		return false
	}
	synchronized := vmiCondition(f.live, kubevirtv1.VirtualMachineInstanceSynchronized)
	return synchronized != nil && synchronized.Status == corev1.ConditionFalse && synchronized.Reason == kubeVirtPVCNotFound
}

// claimsAreThere says that every claim of the machine was seen.
func (f *facts) claimsAreThere() bool {
	root := !translate.MakesRootDisk(f.vs) || f.Claim != nil && f.Claim.DeletionTimestamp == nil
	return f.LookedUp && f.absent() == nil && root
}

// isStopping says whether the machine was told to stop, or its pod to go, but its instance is not being deleted yet.
func (f *facts) isStopping() bool {
	strategy := f.VirtualMachine.Spec.RunStrategy
	return (strategy != nil && *strategy == kubevirtv1.RunStrategyHalted) ||
		f.stopPending(f.live.UID, v1beta1.OperationStop) || f.isEvicting()
}

func migrates(vmi *kubevirtv1.VirtualMachineInstance) bool {
	state := vmi.Status.MigrationState
	return state != nil && state.StartTimestamp != nil && state.EndTimestamp == nil && !state.Completed
}

// backsOff says whether KubeVirt waits before it tries again to start a machine that failed to start.
func (f *facts) backsOff() bool {
	start := f.VirtualMachine.Status.StartFailure
	starts := f.strategy == v1beta1.RunStrategyAlways || f.strategy == v1beta1.RunStrategyRerunOnFailure
	return starts && start != nil && start.ConsecutiveFailCount > 0 && !f.startPending()
}

func (f *facts) startPending() bool {
	return f.pending != nil && f.pending.Type == v1beta1.OperationStart
}

// staysDown says whether a machine without an instance waits for somebody to start it, whatever its disk does.
func (f *facts) staysDown() bool {
	waits := f.strategy == v1beta1.RunStrategyHalted || f.strategy == v1beta1.RunStrategyManual
	restarts := f.pending != nil && f.pending.Type == v1beta1.OperationRestart
	return waits && !f.startPending() && !restarts && !f.requested(kubevirtv1.StartRequest, "")
}

// willStart says whether a machine without a living instance starts without anybody doing more.
func (f *facts) willStart() bool {
	vm := f.VirtualMachine
	switch {
	case f.startPending(), f.requested(kubevirtv1.StartRequest, ""):
		return true
	case f.strategy == v1beta1.RunStrategyHalted:
		return false
	case f.strategy == v1beta1.RunStrategyAlways:
		return true
	case f.kubeVirtStatus() == v1beta1.StatusStarting && f.Instance == nil:
		// KubeVirt has made the instance, and we have not seen it yet.
		return true
	case f.strategy == v1beta1.RunStrategyRerunOnFailure:
		if f.Instance != nil {
			return f.Instance.Status.Phase == kubevirtv1.Failed && !f.stopWasAsked(f.Instance)
		}
		// Coming from another strategy, or from creation, KubeVirt starts the machine.
		return vm.Status.RunStrategy != kubevirtv1.RunStrategyRerunOnFailure
	default:
		return false
	}
}
