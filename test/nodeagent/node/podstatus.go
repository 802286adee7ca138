package node

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Addresses are the addresses that a pod's status shows.
type Addresses struct{ Host, Pod string }

// runContainers returns the status of a pod whose containers all run. Containers
// that run already keep their start time, and those that ended stay ended,
// unless the pod restarts them, which is the runtime's business.
func runContainers(pod *corev1.Pod, addresses Addresses, now metav1.Time) corev1.PodStatus {
	status := *pod.Status.DeepCopy()
	status.HostIP = addresses.Host
	status.HostIPs = []corev1.HostIP{{IP: addresses.Host}}
	status.PodIP, status.PodIPs = addresses.Pod, nil
	if addresses.Pod != "" {
		status.PodIPs = []corev1.PodIP{{IP: addresses.Pod}}
	}
	if status.StartTime == nil {
		status.StartTime = &now
	}
	status.InitContainerStatuses = nil
	for i := range pod.Spec.InitContainers {
		container := &pod.Spec.InitContainers[i]
		old := find(pod.Status.InitContainerStatuses, container.Name)
		if staysOn(container) {
			status.InitContainerStatuses = append(status.InitContainerStatuses, running(container, old, now))
		} else {
			status.InitContainerStatuses = append(status.InitContainerStatuses, completed(container, old, now))
		}
	}
	status.ContainerStatuses = nil
	for i := range pod.Spec.Containers {
		container := &pod.Spec.Containers[i]
		status.ContainerStatuses = append(status.ContainerStatuses, running(container, find(pod.Status.ContainerStatuses, container.Name), now))
	}
	return status
}

// waitContainers returns the status of a pod whose containers cannot start yet.
func waitContainers(pod *corev1.Pod, addresses Addresses, now metav1.Time) corev1.PodStatus {
	status := *pod.Status.DeepCopy()
	status.HostIP = addresses.Host
	status.HostIPs = []corev1.HostIP{{IP: addresses.Host}}
	if status.StartTime == nil {
		status.StartTime = &now
	}
	wait := func(containers []corev1.Container, reason string) (statuses []corev1.ContainerStatus) {
		for i := range containers {
			statuses = append(statuses, corev1.ContainerStatus{
				Name: containers[i].Name, Image: containers[i].Image, Started: new(bool),
				State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}},
			})
		}
		return statuses
	}
	reason := "ContainerCreating"
	if len(pod.Spec.InitContainers) > 0 {
		reason = "PodInitializing"
	}
	status.InitContainerStatuses = wait(pod.Spec.InitContainers, reason)
	status.ContainerStatuses = wait(pod.Spec.Containers, reason)
	return status
}

// endContainers returns the status of a pod whose containers were all ended by
// their orderly shutdown. One that waited for its next try ended at the last.
func endContainers(pod *corev1.Pod, now metav1.Time) corev1.PodStatus {
	status := *pod.Status.DeepCopy()
	for _, statuses := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses} {
		for i := range statuses {
			last := statuses[i].LastTerminationState.Terminated
			switch {
			case statuses[i].State.Terminated != nil:
			case statuses[i].State.Waiting != nil && last != nil:
				statuses[i].State = corev1.ContainerState{Terminated: last}
			default:
				Terminate(&statuses[i], corev1.ContainerStateTerminated{Reason: "Completed"}, now)
			}
		}
	}
	return status
}

// Terminate marks a container as ended; ended fills in the cause. The reason
// defaults to what the exit code means to a kubelet.
func Terminate(status *corev1.ContainerStatus, ended corev1.ContainerStateTerminated, now metav1.Time) {
	ended.StartedAt, ended.FinishedAt = now, now
	if status.State.Running != nil {
		ended.StartedAt = status.State.Running.StartedAt
	}
	ended.ContainerID = status.ContainerID
	if ended.Reason == "" {
		ended.Reason = "Completed"
		if ended.ExitCode != 0 {
			ended.Reason = "Error"
		}
	}
	status.State = corev1.ContainerState{Terminated: &ended}
	status.Ready, status.Started = false, new(bool)
}

func running(container *corev1.Container, old *corev1.ContainerStatus, now metav1.Time) corev1.ContainerStatus {
	if old != nil && hasRun(*old) {
		return *old.DeepCopy()
	}
	started := true
	return corev1.ContainerStatus{
		Name: container.Name, Image: container.Image, ImageID: container.Image,
		ContainerID: "simulated://" + container.Name, Ready: true, Started: &started,
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
	}
}

func completed(container *corev1.Container, old *corev1.ContainerStatus, now metav1.Time) corev1.ContainerStatus {
	if old != nil && old.State.Terminated != nil {
		return *old.DeepCopy()
	}
	status := running(container, nil, now)
	Terminate(&status, corev1.ContainerStateTerminated{}, now)
	status.Ready = true // a finished init container counts as ready
	return status
}

func find(statuses []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	at := slices.IndexFunc(statuses, func(s corev1.ContainerStatus) bool { return s.Name == name })
	if at < 0 {
		return nil
	}
	return &statuses[at]
}

// settle derives the phase and the conditions of a pod from its containers, as a kubelet does (pkg/kubelet/status/generate.go of
// Kubernetes). Conditions of other writers stay.
func settle(pod *corev1.Pod, status *corev1.PodStatus, now metav1.Time) {
	status.Phase = phase(pod, status)
	set := func(kind corev1.PodConditionType, value corev1.ConditionStatus, reason, message string) {
		setCondition(status, corev1.PodCondition{Type: kind, Status: value, Reason: reason, Message: message}, now)
	}
	over := status.Phase == corev1.PodSucceeded || status.Phase == corev1.PodFailed
	set(corev1.PodScheduled, corev1.ConditionTrue, "", "")
	switch {
	case over:
		set(corev1.PodReadyToStartContainers, corev1.ConditionFalse, "PodSandboxNotReady", "pod sandbox is not ready")
	case len(status.ContainerStatuses) == 0:
		set(corev1.PodReadyToStartContainers, corev1.ConditionFalse, "PodSandboxNotReady", "no pod sandbox exists")
	default:
		set(corev1.PodReadyToStartContainers, corev1.ConditionTrue, "", "")
	}
	switch waiting := incomplete(status); {
	case len(waiting) > 0:
		set(corev1.PodInitialized, corev1.ConditionFalse, "ContainersNotInitialized", "containers with incomplete status: "+listed(waiting))
	case status.Phase == corev1.PodSucceeded:
		set(corev1.PodInitialized, corev1.ConditionTrue, "PodCompleted", "")
	default:
		set(corev1.PodInitialized, corev1.ConditionTrue, "", "")
	}
	ready, reason, message := containersReady(pod, status)
	set(corev1.ContainersReady, ready, reason, message)
	if ready == corev1.ConditionTrue {
		for _, gate := range pod.Spec.ReadinessGates {
			if text := gateText(status, gate.ConditionType); text != "" {
				ready, reason, message = corev1.ConditionFalse, "ReadinessGatesNotReady", text
				break
			}
		}
	}
	set(corev1.PodReady, ready, reason, message)
}

// incomplete are the init containers that have neither ended well nor, if they stay, started.
func incomplete(status *corev1.PodStatus) (names []string) {
	for _, container := range status.InitContainerStatuses {
		ended := container.State.Terminated
		if container.State.Running == nil && (ended == nil || ended.ExitCode != 0) {
			names = append(names, container.Name)
		}
	}
	return names
}

func listed(names []string) string { return "[" + strings.Join(names, " ") + "]" }

// gateText says what a readiness gate lacks, or nothing.
func gateText(status *corev1.PodStatus, gate corev1.PodConditionType) string {
	for _, condition := range status.Conditions {
		switch {
		case condition.Type != gate:
		case condition.Status == corev1.ConditionTrue:
			return ""
		default:
			return fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %v", gate, condition.Status)
		}
	}
	return fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", gate)
}

func phase(pod *corev1.Pod, status *corev1.PodStatus) corev1.PodPhase {
	if waitingToStart(status) {
		return corev1.PodPending
	}
	failed := false
	for _, container := range status.ContainerStatuses {
		ended := container.State.Terminated
		if ended == nil {
			return corev1.PodRunning
		}
		failed = failed || ended.ExitCode != 0
	}
	switch {
	case !failed:
		return corev1.PodSucceeded
	case pod.Spec.RestartPolicy == corev1.RestartPolicyNever || pod.DeletionTimestamp != nil:
		return corev1.PodFailed
	}
	return corev1.PodRunning
}

// waitingToStart tells whether a container never ran.
func waitingToStart(status *corev1.PodStatus) bool {
	return slices.ContainsFunc(status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return !hasRun(s) })
}

// hasRun tells whether a container was ever started. One that waits after a
// crash was.
func hasRun(s corev1.ContainerStatus) bool {
	return s.State.Running != nil || s.State.Terminated != nil || s.RestartCount > 0 || s.LastTerminationState.Terminated != nil
}

func containersReady(pod *corev1.Pod, status *corev1.PodStatus) (corev1.ConditionStatus, string, string) {
	switch status.Phase {
	case corev1.PodSucceeded:
		return corev1.ConditionFalse, "PodCompleted", ""
	case corev1.PodFailed:
		return corev1.ConditionFalse, "PodFailed", ""
	}
	var unready []string
	for i, container := range status.InitContainerStatuses {
		if staysOn(&pod.Spec.InitContainers[i]) && !container.Ready {
			unready = append(unready, container.Name)
		}
	}
	for _, container := range status.ContainerStatuses {
		if !container.Ready {
			unready = append(unready, container.Name)
		}
	}
	if len(unready) > 0 {
		return corev1.ConditionFalse, "ContainersNotReady", "containers with unready status: " + listed(unready)
	}
	return corev1.ConditionTrue, "", ""
}

// staysOn tells whether an init container runs beside the others.
func staysOn(container *corev1.Container) bool {
	return container.RestartPolicy != nil && *container.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// setCondition keeps the transition time of a condition whose status stays.
func setCondition(status *corev1.PodStatus, condition corev1.PodCondition, now metav1.Time) {
	condition.LastTransitionTime = now
	for i := range status.Conditions {
		old := &status.Conditions[i]
		if old.Type != condition.Type {
			continue
		}
		if old.Status == condition.Status {
			condition.LastTransitionTime = old.LastTransitionTime
		}
		condition.LastProbeTime, condition.ObservedGeneration = old.LastProbeTime, old.ObservedGeneration
		*old = condition
		return
	}
	status.Conditions = append(status.Conditions, condition)
}
