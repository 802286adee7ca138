package status

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

// kubeVirtPausedByUser is the reason of the condition Paused of an instance that a person paused, in updatePausedConditions of
// KubeVirt's pkg/virt-handler/vm.go. KubeVirt pauses guests itself when their storage fails or during a migration; those must
// not be let go.
const kubeVirtPausedByUser = "PausedByUser"

// SleepsThroughShutdown says whether a guest is to shut down, and has time for it, but is frozen because a person paused it.
func SleepsThroughShutdown(o Observed) bool {
	if o.VirtualServer == nil {
		return false
	}
	f := factsOf(o)
	if f.live == nil || f.live.Status.Phase != kubevirtv1.Running || f.nodeLost != "" || migrates(f.live) {
		return false
	}
	paused := vmiCondition(f.live, kubevirtv1.VirtualMachineInstancePaused)
	if paused == nil || paused.Status != corev1.ConditionTrue || paused.Reason != kubeVirtPausedByUser {
		return false
	}
	patient := ptr.Deref(f.live.Spec.TerminationGracePeriodSeconds, defaultGracePeriod) > 0
	return patient && (f.live.DeletionTimestamp != nil || f.isEvicting())
}
