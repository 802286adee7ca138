package node

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var (
	then = metav1.NewTime(time.Unix(1000, 0))
	now  = metav1.NewTime(time.Unix(2000, 0))
)

const gate corev1.PodConditionType = "example.com/gate"

func twoContainers() *corev1.Pod {
	return &corev1.Pod{Spec: corev1.PodSpec{
		RestartPolicy:  corev1.RestartPolicyNever,
		InitContainers: []corev1.Container{{Name: "prepare"}},
		Containers:     []corev1.Container{{Name: "compute"}, {Name: "helper"}},
	}}
}

// run is the status of a pod that was started at then.
func run(pod *corev1.Pod) {
	status := runContainers(pod, Addresses{Host: "127.0.0.1", Pod: "10.1.2.3"}, then)
	settle(pod, &status, then)
	pod.Status = status
}

func readiness(status corev1.PodStatus, kind corev1.PodConditionType) corev1.PodCondition {
	for _, condition := range status.Conditions {
		if condition.Type == kind {
			return condition
		}
	}
	return corev1.PodCondition{}
}

func TestRunningPod(t *testing.T) {
	pod := twoContainers()
	run(pod)
	assert.Equal(t, corev1.PodRunning, pod.Status.Phase)
	assert.Equal(t, "10.1.2.3", pod.Status.PodIP)
	assert.NotNil(t, pod.Status.InitContainerStatuses[0].State.Terminated)
	assert.NotNil(t, pod.Status.ContainerStatuses[0].State.Running)
	assert.Equal(t, corev1.ConditionTrue, readiness(pod.Status, corev1.PodReady).Status)

	again := runContainers(pod, Addresses{Host: "127.0.0.1", Pod: "10.1.2.3"}, now)
	settle(pod, &again, now)
	assert.Equal(t, pod.Status, again, "a second look must change nothing")
}

func TestReadinessGate(t *testing.T) {
	pod := twoContainers()
	pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: gate}}
	run(pod)
	ready := readiness(pod.Status, corev1.PodReady)
	assert.Equal(t, corev1.ConditionFalse, ready.Status)
	assert.Equal(t, "ReadinessGatesNotReady", ready.Reason)

	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: gate, Status: corev1.ConditionTrue})
	settle(pod, &pod.Status, now)
	ready = readiness(pod.Status, corev1.PodReady)
	assert.Equal(t, corev1.ConditionTrue, ready.Status)
	assert.Equal(t, now, ready.LastTransitionTime)
	assert.Equal(t, corev1.ConditionTrue, readiness(pod.Status, gate).Status, "foreign conditions stay")
}

func TestWaitingPod(t *testing.T) {
	pod := twoContainers()
	status := waitContainers(pod, Addresses{Host: "127.0.0.1"}, now)
	settle(pod, &status, now)
	assert.Equal(t, corev1.PodPending, status.Phase)
	assert.Equal(t, "PodInitializing", status.ContainerStatuses[0].State.Waiting.Reason)
	assert.Equal(t, corev1.ConditionTrue, readiness(status, corev1.PodScheduled).Status)
	assert.Equal(t, corev1.ConditionFalse, readiness(status, corev1.PodInitialized).Status)
}

func TestConditionsOfAPodThatIsOver(t *testing.T) {
	for reason, code := range map[string]int32{"PodCompleted": 0, "PodFailed": 1} {
		pod := twoContainers()
		run(pod)
		for i := range pod.Status.ContainerStatuses {
			Terminate(&pod.Status.ContainerStatuses[i], corev1.ContainerStateTerminated{ExitCode: code}, now)
		}
		settle(pod, &pod.Status, now)
		assert.Equal(t, reason, readiness(pod.Status, corev1.PodReady).Reason)
		assert.Equal(t, reason, readiness(pod.Status, corev1.ContainersReady).Reason)
		assert.Equal(t, corev1.ConditionFalse, readiness(pod.Status, corev1.PodReadyToStartContainers).Status)
		assert.Equal(t, corev1.ConditionTrue, readiness(pod.Status, corev1.PodInitialized).Status)
	}
}

func TestPhases(t *testing.T) {
	tests := map[string]struct {
		policy   corev1.RestartPolicy
		codes    []int32 // of the containers that have ended
		deleting bool
		want     corev1.PodPhase
	}{
		"one still runs":       {corev1.RestartPolicyNever, []int32{1}, false, corev1.PodRunning},
		"all well":             {corev1.RestartPolicyNever, []int32{0, 0}, false, corev1.PodSucceeded},
		"one badly":            {corev1.RestartPolicyNever, []int32{137, 0}, false, corev1.PodFailed},
		"to be restarted":      {corev1.RestartPolicyOnFailure, []int32{1, 0}, false, corev1.PodRunning},
		"deleted, no restarts": {corev1.RestartPolicyOnFailure, []int32{1, 0}, true, corev1.PodFailed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pod := twoContainers()
			run(pod)
			pod.Spec.RestartPolicy = test.policy
			if test.deleting {
				pod.DeletionTimestamp = &now
			}
			for i, code := range test.codes {
				Terminate(&pod.Status.ContainerStatuses[i], corev1.ContainerStateTerminated{ExitCode: code}, now)
			}
			settle(pod, &pod.Status, now)
			assert.Equal(t, test.want, pod.Status.Phase)
		})
	}
}

func TestCrashLoopIsNotPending(t *testing.T) {
	pod := twoContainers()
	pod.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
	run(pod)
	pod.Status.ContainerStatuses[0].RestartCount = 1
	pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
	status := runContainers(pod, Addresses{Host: "127.0.0.1"}, now)
	settle(pod, &status, now)
	assert.Equal(t, corev1.PodRunning, status.Phase)
	assert.Equal(t, pod.Status.ContainerStatuses, status.ContainerStatuses, "only the runtime restarts a container")
}

func TestEndContainers(t *testing.T) {
	pod := twoContainers()
	run(pod)
	Terminate(&pod.Status.ContainerStatuses[0], corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}, then)
	waiting := pod.DeepCopy()
	waiting.Status.ContainerStatuses[0] = corev1.ContainerStatus{Name: "compute",
		State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
		LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error"}}}
	assert.Equal(t, int32(1), endContainers(waiting, now).ContainerStatuses[0].State.Terminated.ExitCode, "what it waited after counts")
	status := endContainers(pod, now)
	require.NotNil(t, status.ContainerStatuses[1].State.Terminated)
	assert.Equal(t, "OOMKilled", status.ContainerStatuses[0].State.Terminated.Reason, "the first cause stays")
	assert.Equal(t, then, status.ContainerStatuses[1].State.Terminated.StartedAt)
	assert.Equal(t, now, status.ContainerStatuses[1].State.Terminated.FinishedAt)
}
