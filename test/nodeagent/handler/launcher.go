package handler

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/test/nodeagent/cluster"
	"tensorstack.dev/virtualserver/test/nodeagent/guest"
	"tensorstack.dev/virtualserver/test/nodeagent/node"
)

const (
	computeContainer = "compute"
	oomReason        = "OOMKilled"
	oomExitCode      = 137
	// launcherPoll is how soon a launcher pod looks again at a guest that it
	// waits for; changes of the machine come in sooner.
	launcherPoll = 100 * time.Millisecond
)

var _ node.Runtime = &Handler{}

func isLauncher(pod *corev1.Pod) bool {
	// A pod that only makes volumes bind has no guest.
	_, temporary := pod.Annotations[kubevirtv1.EphemeralProvisioningObject]
	return pod.Labels[kubevirtv1.AppLabel] == "virt-launcher" && !temporary
}

// Owns tells whether the pod is a machine's launcher.
func (h *Handler) Owns(pod *corev1.Pod) bool { return isLauncher(pod) }

// Address is the pod's own; a machine's servers listen on another, because
// Services cannot have loopback addresses as endpoints.
func (h *Handler) Address(pod *corev1.Pod) string { return cluster.PodAddress(pod.UID) }

// Observe ends the containers once the guest has, or has moved away.
func (h *Handler) Observe(_ context.Context, pod *corev1.Pod, status *corev1.PodStatus, now metav1.Time) time.Duration {
	vmi := h.cluster.VMIOf(pod)
	if vmi == nil {
		return 0
	}
	killed := false
	if g, found := h.guest(vmi.UID); found {
		killed = g.Status().Exit == guest.OutOfMemory
	}
	if !killed && !vmi.IsFinal() && !leftBehind(vmi, pod.Name, pod.Spec.NodeName) {
		return 0
	}
	for _, statuses := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses} {
		for i := range statuses {
			if statuses[i].State.Running == nil {
				continue
			}
			ended := corev1.ContainerStateTerminated{}
			if killed && statuses[i].Name == computeContainer {
				ended = corev1.ContainerStateTerminated{Reason: oomReason, ExitCode: oomExitCode}
			}
			node.Terminate(&statuses[i], ended, now)
		}
	}
	return 0
}

// Stop waits for the guest, whose shutdown the machine's own turn begins.
func (h *Handler) Stop(_ context.Context, pod *corev1.Pod) (bool, time.Duration) {
	vmi := h.cluster.VMIOf(pod)
	if vmi == nil || vmi.IsFinal() || vmi.Status.NodeName != pod.Spec.NodeName ||
		!vmi.IsRunning() && !vmi.IsScheduled() {
		return true, 0
	}
	h.loop.Add(machineKey(vmi))
	return false, launcherPoll
}

func showsOOM(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool {
		return s.Name == computeContainer && s.State.Terminated != nil && s.State.Terminated.Reason == oomReason
	})
}
