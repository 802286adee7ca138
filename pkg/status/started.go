package status

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// KubeVirt calls an instance ready as soon as its hypervisor runs (ready containers of the launcher pod, and a probe where
// somebody has set one), which is before the system in it has booted. Only a guest agent tells more, by connecting. A guest
// without one looks the same for as long as it runs, so nothing may wait for an agent of which nothing is known, and nothing
// for ever.

// GuestStartTimeout is how long Ready waits for the guest agent of a machine that had one in its last run.
const GuestStartTimeout = 5 * time.Minute

const (
	messageAnswered = "The machine runs, and its guest agent has answered."
	messageSilent   = "The machine runs. Without a guest agent nobody can see whether its system has started."
	// messageJustRunning is for the moment between virt-handler's report that the guest runs and virt-controller's that it is ready.
	messageJustRunning = "The guest has begun to run, and KubeVirt does not call it ready yet."
	messageStarting    = "The machine runs, and its system is starting: the guest agent has not answered yet. Ready does not wait for it after "
)

// started is the condition Ready of a machine that KubeVirt calls ready.
func (f *facts) started(ready metav1.Condition) metav1.Condition {
	if by := f.startsBy(); !by.IsZero() {
		ready.Reason, ready.Message = ReasonGuestStarting, messageStarting+timeText(by)+"."
		return ready
	}
	ready.Status, ready.Reason, ready.Message = metav1.ConditionTrue, ReasonRunning, messageSilent
	if agent := f.guestAgent(); agent != nil && agent.InstanceUID == f.live.UID {
		ready.Message = messageAnswered
	}
	return ready
}

// handedOver says that a machine which was ready has moved to another pod, on which KubeVirt has not noted yet that the guest is
// not paused. The guest has run all the while.
func (f *facts) handedOver(observed *kubevirtv1.VirtualMachineInstanceCondition) bool {
	return f.live != nil && f.live.Status.Phase == kubevirtv1.Running && observed.Reason == readinessGatesNotReady &&
		f.before.VM.InstanceUID == f.live.UID && meta.IsStatusConditionTrue(f.before.Conditions, v1beta1.ConditionReady)
}

// readinessIsStale says that KubeVirt's condition is from before the guest ran: virt-handler reports the phase, and
// virt-controller renews the condition after that.
func (f *facts) readinessIsStale(observed *kubevirtv1.VirtualMachineInstanceCondition) bool {
	return f.live != nil && f.live.Status.Phase == kubevirtv1.Running && observed.Reason == kubevirtv1.GuestNotRunningReason
}

// ReadyBy returns when Ready does not wait for the guest agent any more, or zero if it does not wait now.
func ReadyBy(o Observed) time.Time {
	if o.VirtualServer == nil {
		return time.Time{}
	}
	return factsOf(o).startsBy()
}

// startsBy returns until when the guest agent of the live instance is waited for, or zero. Once it has answered in this run,
// the system has started, whatever becomes of the agent: it may be silent for a moment, or be upgraded.
func (f *facts) startsBy() time.Time {
	agent := f.before.GuestAgent
	if f.live == nil || agent == nil || agent.InstanceUID == f.live.UID || f.agentConnected() {
		return time.Time{}
	}
	since := reachedAt(f.live, kubevirtv1.Running).Time
	if since.IsZero() {
		return time.Time{}
	}
	// A guest that is paused does not boot.
	switch paused := meta.FindStatusCondition(f.before.Conditions, v1beta1.ConditionPaused); {
	case vmiConditionIs(f.live, kubevirtv1.VirtualMachineInstancePaused, corev1.ConditionTrue),
		paused != nil && paused.Status == metav1.ConditionTrue:
		since = f.Now
	case paused != nil && paused.LastTransitionTime.After(since):
		since = paused.LastTransitionTime.Time
	}
	if by := since.Add(GuestStartTimeout); by.After(f.Now) {
		return by
	}
	return time.Time{}
}

func (f *facts) agentConnected() bool {
	return vmiConditionIs(f.live, kubevirtv1.VirtualMachineInstanceAgentConnected, corev1.ConditionTrue)
}

// guestAgent returns what is to be remembered of the guest agent: the run in which it last answered. A run in which it was
// waited for in vain wipes that out, so that the next one does not wait.
func (f *facts) guestAgent() *v1beta1.GuestAgent {
	before := f.before.GuestAgent
	switch {
	case f.live == nil || f.nodeLost != "":
		return before.DeepCopy()
	case before != nil && before.InstanceUID == f.live.UID:
		return before.DeepCopy()
	case f.agentConnected():
		return &v1beta1.GuestAgent{InstanceUID: f.live.UID, Time: metav1.NewTime(f.Now)}
	case f.live.Status.Phase != kubevirtv1.Running, !f.startsBy().IsZero():
		return before.DeepCopy()
	default:
		return nil
	}
}
