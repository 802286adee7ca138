package status

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// Events by which KubeVirt tells of the end of an instance. virt-handler writes the first when it presses the power button of
// a guest (shutdownVMI in pkg/virt-handler/vm.go). virt-controller writes the second on the VirtualMachine when it deletes the
// instance (stopVMI in pkg/virt-controller/watch/vm/vm.go), and on the instance when it deletes the pod for that
// (deleteAllMatchingPods in pkg/virt-controller/watch/vmi/lifecycle.go).
const (
	eventShuttingDown = "ShuttingDown"
	eventDeleted      = "SuccessfulDelete"
)

// MissedEnd returns the UID of the instance that seems to have shut down by itself, and did not before, if it matters whether
// that is so: under RerunOnFailure such a machine stays down, and one that was evicted does not. What was observed may be
// old, or the instance gone before anybody saw it end.
func MissedEnd(o Observed) types.UID {
	if o.VirtualServer == nil {
		return ""
	}
	f := factsOf(o)
	gone := f.before.VM.InstanceUID
	switch {
	case f.Instance != nil && (f.Instance.UID != gone || f.Instance.Status.Phase != kubevirtv1.Succeeded):
		return ""
	case gone == "", f.strategy != v1beta1.RunStrategyRerunOnFailure, f.wasAskedToEnd(gone):
		return ""
	case f.failure != nil && f.failure.InstanceUID == gone:
		return ""
	}
	alive := sets.New(v1beta1.StatusStarting, v1beta1.StatusRunning, v1beta1.StatusPaused, v1beta1.StatusMigrating, v1beta1.StatusUnknown)
	if !alive.Has(f.before.PrintableStatus) {
		return ""
	}
	return gone
}

// EndOf tells from what is left how an instance ended that nobody saw end: nil if it shut itself down for all that is known.
// The events are those of the machine and its instance, and node is the one that it ran on, or nil if that is gone.
func EndOf(instance types.UID, nodeName string, node *corev1.Node, events []corev1.Event, now metav1.Time) *v1beta1.MachineFailure {
	failure := &v1beta1.MachineFailure{InstanceUID: instance, Reason: ReasonEvicted, Time: now}
	var pressed, deleted metav1.Time
	for i := range events {
		switch event := &events[i]; {
		case event.Reason == eventShuttingDown && event.InvolvedObject.UID == instance:
			pressed = firstSeen(event)
		case event.Reason != eventDeleted:
		case event.InvolvedObject.UID == instance || strings.Contains(event.Message, string(instance)):
			if at := firstSeen(event); deleted.IsZero() || at.Before(&deleted) {
				deleted = at
			}
		}
	}
	switch {
	case !pressed.IsZero() && (deleted.IsZero() || pressed.Before(&deleted)):
		failure.Message = "KubeVirt shut the guest down at " + timeText(pressed.Time) + ", which nobody asked of the machine: " +
			"its pod was evicted or deleted. Nobody saw it."
	case !pressed.IsZero():
		return nil
	case nodeName != "" && node == nil:
		failure.Message = of("Node", nodeName, "gone.") + " The machine ended meanwhile, likely by eviction. Nobody saw it."
	case node != nil && node.Name == nodeName && node.Spec.Unschedulable:
		failure.Message = of("Node", nodeName, "takes no pods any more.") + " The machine ended meanwhile, likely by eviction. Nobody saw it."
	default:
		return nil
	}
	return failure
}

func firstSeen(event *corev1.Event) metav1.Time {
	if !event.FirstTimestamp.IsZero() {
		return event.FirstTimestamp
	}
	return metav1.NewTime(event.EventTime.Time)
}
