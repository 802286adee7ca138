package status

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// defaultGracePeriod is how long KubeVirt lets a guest shut down unless told otherwise, in seconds
// (DefaultGracePeriodSeconds in kubevirt.io/api).
const defaultGracePeriod int64 = 30

// Derive returns the status of the VirtualServer. It is defined for every combination of objects, also for none, and
// changes nothing that it is given.
//
// The run strategy, the name of the VirtualMachine, the collision count, the operations and all conditions of other types
// are taken from the status before. Only an eviction that is found out adds to the operations. Times move only with what they stand for: a second call with its own result returns
// that result.
func Derive(o Observed) v1beta1.VirtualServerStatus {
	if o.VirtualServer == nil {
		return v1beta1.VirtualServerStatus{}
	}
	f := factsOf(o)
	status := *o.VirtualServer.Status.DeepCopy()
	status.ObservedGeneration = f.vs.Generation
	status.Import = f.imported.status
	status.LastFailure = f.failure
	status.PendingOperation = f.pending
	status.GuestAgent = f.guestAgent()
	if f.evictedNow() {
		status.Operations = Prepend(status.Operations, f.evictionRecord())
	}
	status.PrintableStatus = f.printable()
	f.setConditions(&status)
	f.setVolumesReady(&status)
	f.setGuest(&status)
	status.Service = f.service()
	status.Message = f.message(status.PrintableStatus)
	setTransition(&status, f.before.PrintableStatus, o.Now)
	return status
}

// resourcesOf are the CPU and the memory of an instance, or nil if it does not name them. KubeVirt counts a number that is left out
// as one.
func resourcesOf(domain *kubevirtv1.DomainSpec) *v1beta1.RunningResources {
	if domain.CPU == nil || domain.Memory == nil || domain.Memory.Guest == nil {
		return nil
	}
	cores := max(domain.CPU.Cores, 1) * max(domain.CPU.Sockets, 1) * max(domain.CPU.Threads, 1)
	return &v1beta1.RunningResources{Cores: int32(cores), Memory: domain.Memory.Guest.DeepCopy()}
}

// stopDeadline returns when KubeVirt kills a guest that is shutting down.
func (f *facts) stopDeadline() *metav1.Time {
	var asked metav1.Time
	switch pod := f.podOf(f.live); {
	case f.live == nil:
		return nil
	case f.live.DeletionTimestamp != nil:
		asked = *f.live.DeletionTimestamp
	case pod != nil && pod.DeletionTimestamp != nil && f.isEvicting():
		asked = deletionAsked(pod)
	default:
		return nil
	}
	grace := time.Duration(ptr.Deref(f.live.Spec.TerminationGracePeriodSeconds, defaultGracePeriod)) * time.Second
	return ptr.To(metav1.NewTime(asked.Add(grace)))
}

// setTransition notes when a state was reached. Each state stands once, with the last time, and the last one stands last.
func setTransition(status *v1beta1.VirtualServerStatus, before v1beta1.PrintableStatus, now time.Time) {
	if status.PrintableStatus == before {
		return
	}
	transition := v1beta1.PhaseTransition{Phase: status.PrintableStatus, Time: metav1.NewTime(now)}
	status.PhaseTransitions = slices.DeleteFunc(status.PhaseTransitions, func(old v1beta1.PhaseTransition) bool {
		return old.Phase == transition.Phase
	})
	status.PhaseTransitions = append(status.PhaseTransitions, transition)
	// A release before this one kept them in another order.
	slices.SortStableFunc(status.PhaseTransitions, func(a, b v1beta1.PhaseTransition) int { return a.Time.Compare(b.Time.Time) })
}
