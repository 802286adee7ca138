package status

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// podDeleted marks the pod as being deleted since a second, with a grace period.
func (s *scene) podDeleted(second int, grace int64) {
	s.LauncherPod.DeletionTimestamp = ptr.To(at(second + int(grace)))
	s.LauncherPod.DeletionGracePeriodSeconds = &grace
}

func (s *scene) target(second int, reason, message string) {
	s.LauncherPod.Status.Conditions = append(s.LauncherPod.Status.Conditions, corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: reason, Message: message, LastTransitionTime: at(second)})
}

// shutdowns are ends that KubeVirt calls Succeeded, at second 60, and what they were.
func shutdowns() map[string]struct {
	set     func(s *scene)
	evicted string
} {
	return map[string]struct {
		set     func(s *scene)
		evicted string
	}{
		"drain": {func(s *scene) {
			s.podDeleted(55, 45)
			s.target(55, "EvictionByEvictionAPI", "Eviction API: evicting")
		}, "Pod virt-launcher-x: EvictionByEvictionAPI: Eviction API: evicting."},
		"preemption": {func(s *scene) {
			s.podDeleted(58, 45)
			s.target(58, "PreemptionByScheduler", "preempted by a pod of more importance")
		}, "Pod virt-launcher-x: PreemptionByScheduler: preempted by a pod of more importance."},
		"taint": {func(s *scene) {
			s.podDeleted(50, 45)
			s.target(50, "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint")
		}, "Pod virt-launcher-x: DeletionByTaintManager: Taint manager: deleting due to NoExecute taint."},
		"shutdown of the node": {func(s *scene) {
			s.LauncherPod.Status.Phase = corev1.PodFailed
			s.target(56, "TerminationByKubelet", "Pod was terminated in response to imminent node shutdown.")
		}, "Pod virt-launcher-x: TerminationByKubelet: Pod was terminated in response to imminent node shutdown."},
		"pressure on the node": {func(s *scene) {
			s.LauncherPod.Status.Phase, s.LauncherPod.Status.Reason = corev1.PodFailed, "Evicted"
			s.LauncherPod.Status.Message = "The node was low on resource: ephemeral-storage."
		}, "Pod virt-launcher-x: evicted: The node was low on resource: ephemeral-storage."},
		"pod deleted by hand": {func(s *scene) { s.podDeleted(57, 45) },
			"Pod virt-launcher-x: deleted at 2024-03-21T08:27:56Z."},
		"pod deleted by hand, and KubeVirt deletes the instance": {func(s *scene) {
			s.podDeleted(57, 45)
			s.Instance.DeletionTimestamp = ptr.To(at(60))
		}, "Pod virt-launcher-x: deleted at 2024-03-21T08:27:56Z."},
		"pod deleted by hand just before the end": {func(s *scene) { s.podDeleted(59, 45) },
			"Pod virt-launcher-x: deleted at 2024-03-21T08:27:58Z. " + likelyText},

		"shut down inside": {func(*scene) {}, ""},
		"shut down inside, and KubeVirt cleans up": {func(s *scene) {
			s.Instance.DeletionTimestamp = ptr.To(at(60))
			s.podDeleted(60, 45)
		}, ""},
		"shut down inside, on a node whose clock is late": {func(s *scene) {
			s.Instance.DeletionTimestamp = ptr.To(at(58))
			s.podDeleted(58, 45)
		}, ""},
		"shut down inside, and only the pod's end is seen": {func(s *scene) { s.podDeleted(60, 45) }, ""},
		"completed pod deleted much later":                 {func(s *scene) { s.podDeleted(600, 45) }, ""},
		"completed pod evicted much later": {func(s *scene) {
			s.podDeleted(600, 45)
			s.target(600, "EvictionByEvictionAPI", "Eviction API: evicting")
		}, ""},
		"completed pod gone": {func(s *scene) { s.LauncherPodGone = true }, ""},
		"source of a migration": {func(s *scene) {
			s.podDeleted(30, 45)
			s.LauncherPod.Spec.NodeName = "node-b"
		}, ""},
		"another run's pod": {func(s *scene) {
			s.podDeleted(30, 45)
			s.LauncherPod.Labels[kubevirtv1.CreatedByLabel] = string(nextUID)
		}, ""},
	}
}

func TestShutdownAndEvictionAreToldApart(t *testing.T) {
	for what, test := range shutdowns() {
		for _, strategy := range []v1beta1.RunStrategy{"Always", "RerunOnFailure", "Manual"} {
			t.Run(what+" under "+string(strategy), func(t *testing.T) {
				s := newScene(t, strategy)
				s.instance(firstUID, kubevirtv1.Succeeded)
				s.Now = at(61).Time
				test.set(s)
				got := s.derive()
				if test.evicted == "" {
					assert.Equal(t, ReasonNoFailure, condition(t, got, "Failure").Reason)
					assert.Nil(t, got.LastFailure)
					assert.Empty(t, got.Operations)
					assert.Nil(t, got.PendingOperation)
					return
				}
				assert.Equal(t, ReasonEvicted, condition(t, got, "Failure").Reason)
				assert.Equal(t, metav1.ConditionTrue, condition(t, got, "Failure").Status)
				require.NotNil(t, got.LastFailure)
				assert.Equal(t, test.evicted, got.LastFailure.Message)
				assert.Equal(t, firstUID, got.LastFailure.InstanceUID)
				require.Len(t, got.Operations, 1)
				assert.Equal(t, v1beta1.OperationEvict, got.Operations[0].Type)
				assert.Equal(t, RequestedByEviction, got.Operations[0].RequestedBy)
				assert.Equal(t, "Evicted: "+test.evicted, got.Operations[0].Message)
				if strategy != "RerunOnFailure" {
					assert.Nil(t, got.PendingOperation, "KubeVirt starts it, or nobody is to")
					return
				}
				require.NotNil(t, got.PendingOperation)
				assert.Equal(t, v1beta1.OperationStart, got.PendingOperation.Type)
				assert.Equal(t, firstUID, got.PendingOperation.InstanceUID)
				assert.Equal(t, v1beta1.StatusStarting, got.PrintableStatus)
			})
		}
	}
}

// TestEvictionThatWasAskedFor is about ends that somebody wants of the machine itself, whatever becomes of its pod.
func TestEvictionThatWasAskedFor(t *testing.T) {
	for what, set := range map[string]func(s *scene){
		"stopped":                func(s *scene) { s.strategy("Halted") },
		"restart pending":        func(s *scene) { s.pending("Restart", firstUID) },
		"stop pending":           func(s *scene) { s.pending("Stop", firstUID) },
		"deleted":                func(s *scene) { s.VirtualServer.DeletionTimestamp = ptr.To(at(1)) },
		"VirtualMachine deleted": func(s *scene) { s.VirtualMachine.DeletionTimestamp = ptr.To(at(1)) },
		"virtctl restart --force": func(s *scene) {
			s.VirtualMachine.Status.StateChangeRequests = []kubevirtv1.VirtualMachineStateChangeRequest{
				{Action: kubevirtv1.StopRequest, UID: ptr.To(firstUID)}, {Action: kubevirtv1.StartRequest}}
		},
	} {
		for _, phase := range []kubevirtv1.VirtualMachineInstancePhase{kubevirtv1.Running, kubevirtv1.Succeeded, kubevirtv1.Failed} {
			t.Run(what+" "+string(phase), func(t *testing.T) {
				s := newScene(t, "RerunOnFailure")
				s.instance(firstUID, phase)
				s.podDeleted(50, 45)
				set(s)
				got := s.derive()
				assert.Nil(t, got.LastFailure)
				assert.NotContains(t, condition(t, got, "Failure").Reason, "Evict")
				assert.Empty(t, got.Operations)
			})
		}
	}
}

// TestEvictionIsNotedBeforeItEnds follows evictions whose pods, or instances too, are gone before anybody looks again.
func TestEvictionIsNotedBeforeItEnds(t *testing.T) {
	for what, end := range map[string]func(s *scene){
		"pod gone, shut down": func(s *scene) { s.LauncherPod = nil; reach(s.Instance, kubevirtv1.Succeeded, 60) },
		"pod gone, killed":    func(s *scene) { s.LauncherPod = nil; reach(s.Instance, kubevirtv1.Failed, 60) },
		"KubeVirt deletes in the same second": func(s *scene) {
			reach(s.Instance, kubevirtv1.Succeeded, 50)
			s.Instance.DeletionTimestamp = ptr.To(at(50))
		},
		"node's clock is early": func(s *scene) {
			reach(s.Instance, kubevirtv1.Succeeded, 90)
			s.Instance.DeletionTimestamp = ptr.To(at(60))
			s.LauncherPod = nil
		},
		"everything gone":        func(s *scene) { s.gone() },
		"next instance is there": func(s *scene) { s.instance(nextUID, kubevirtv1.Scheduling) },
	} {
		t.Run(what, func(t *testing.T) {
			s := newScene(t, "RerunOnFailure")
			s.instance(firstUID, kubevirtv1.Running)
			s.derive()
			s.podDeleted(50, 45)
			noted := s.derive()
			assert.Equal(t, metav1.ConditionFalse, condition(t, noted, "Failure").Status)
			assert.Equal(t, ReasonEvicting, condition(t, noted, "Failure").Reason)
			assert.Equal(t, v1beta1.StatusStopping, noted.PrintableStatus)
			assert.Equal(t, "Pod virt-launcher-x: deleted at 2024-03-21T08:27:49Z. The guest is shutting down and starts again "+
				"where there is room.", noted.Message)
			assert.Equal(t, at(80), *noted.StopDeadline)
			end(s)
			got := s.derive()
			require.NotNil(t, got.LastFailure)
			assert.Equal(t, ReasonEvicted, got.LastFailure.Reason)
			assert.Equal(t, firstUID, got.LastFailure.InstanceUID)
			require.NotNil(t, got.PendingOperation)
			assert.Equal(t, v1beta1.StatusStarting, got.PrintableStatus)
		})
	}
}

// TestMachineRunsAgainAfterAnEviction is the whole way, twice.
func TestMachineRunsAgainAfterAnEviction(t *testing.T) {
	s := newScene(t, "RerunOnFailure")
	s.instance(firstUID, kubevirtv1.Running)
	s.derive()
	s.instance(firstUID, kubevirtv1.Succeeded)
	s.podDeleted(55, 45)
	first := s.derive()
	start := *first.PendingOperation

	// The controller has carried it out.
	record := v1beta1.OperationRecord{ID: start.ID, Type: start.Type, RequestedBy: start.RequestedBy, Result: "Succeeded",
		CompletedAt: metav1.NewMicroTime(s.Now)}
	s.VirtualServer.Status.PendingOperation = nil
	s.VirtualServer.Status.Operations = Prepend(s.VirtualServer.Status.Operations, record)
	s.instance(nextUID, kubevirtv1.Running)
	back := s.derive()
	assert.Equal(t, v1beta1.StatusRunning, back.PrintableStatus)
	assert.Equal(t, ReasonRecovered, condition(t, back, "Failure").Reason)
	assert.Nil(t, back.PendingOperation)

	s.instance(nextUID, kubevirtv1.Failed)
	s.target(40, "EvictionByEvictionAPI", "Eviction API: evicting")
	again := s.derive()
	assert.Equal(t, int32(2), again.LastFailure.Count, "a start that nobody asked for does not begin the count anew")
	require.NotNil(t, again.PendingOperation)
	assert.NotEqual(t, start.ID, again.PendingOperation.ID)
	assert.Len(t, again.Operations, 3)
}

func TestEndThatNobodySaw(t *testing.T) {
	event := func(reason, message string, uid string, second int) corev1.Event {
		e := corev1.Event{Reason: reason, Message: message, FirstTimestamp: at(second), LastTimestamp: at(second)}
		e.InvolvedObject.UID = firstUID
		if uid != "" {
			e.InvolvedObject.UID = nextUID
		}
		return e
	}
	pressed := event("ShuttingDown", "Signaled Graceful Shutdown", "", 50)
	deleted := "Stopped the virtual machine by deleting the virtual machine instance " + string(firstUID)
	node := func(cordoned bool) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-a"}, Spec: corev1.NodeSpec{Unschedulable: cordoned}}
	}
	for what, test := range map[string]struct {
		node    *corev1.Node
		events  []corev1.Event
		evicted bool
	}{
		"shut down inside":          {node(false), []corev1.Event{event("SuccessfulDelete", deleted, "vm", 60)}, false},
		"nothing known":             {node(false), nil, false},
		"evicted":                   {node(false), []corev1.Event{pressed, event("SuccessfulDelete", deleted, "vm", 60)}, true},
		"evicted, end not told":     {node(false), []corev1.Event{pressed}, true},
		"stopped by virtctl":        {node(false), []corev1.Event{event("SuccessfulDelete", deleted, "vm", 50), pressed}, false},
		"instance deleted by hand":  {node(false), []corev1.Event{event("SuccessfulDelete", "Deleted virtual machine pod x", "", 49), pressed}, false},
		"evicted, pod cleaned up":   {node(false), []corev1.Event{pressed, event("SuccessfulDelete", "Deleted virtual machine pod x", "", 58)}, true},
		"an instance before":        {node(false), []corev1.Event{event("ShuttingDown", "Signaled Graceful Shutdown", "other", 10)}, false},
		"node drained, no events":   {node(true), nil, true},
		"node gone, no events":      {nil, nil, true},
		"stopped on a cordoned one": {node(true), []corev1.Event{event("SuccessfulDelete", deleted, "vm", 50), pressed}, false},
	} {
		t.Run(what, func(t *testing.T) {
			failure := EndOf(firstUID, "node-a", test.node, test.events, at(100))
			if !test.evicted {
				assert.Nil(t, failure)
				return
			}
			require.NotNil(t, failure)
			assert.Equal(t, ReasonEvicted, failure.Reason)
			assert.Contains(t, failure.Message, "Nobody saw it.", "it says how sure it is")
		})
	}
}

func TestWhichEndsAreLookedUp(t *testing.T) {
	run := func(strategy v1beta1.RunStrategy) *scene {
		s := newScene(t, strategy)
		s.instance(firstUID, kubevirtv1.Running)
		s.derive()
		s.gone()
		return s
	}
	assert.Equal(t, firstUID, MissedEnd(run("RerunOnFailure").Observed))
	assert.Empty(t, MissedEnd(run("Always").Observed))
	assert.Empty(t, MissedEnd(run("Manual").Observed))
	seen := run("RerunOnFailure")
	seen.derive()
	assert.Empty(t, MissedEnd(seen.Observed), "once is enough")
	stopped := run("RerunOnFailure")
	stopped.pending("Stop", firstUID)
	assert.Empty(t, MissedEnd(stopped.Observed))
	found := run("RerunOnFailure")
	found.Failure = EndOf(firstUID, "node-a", nil, nil, metav1.NewTime(found.Now))
	got := found.derive()
	assert.Equal(t, ReasonEvicted, got.LastFailure.Reason)
	require.NotNil(t, got.PendingOperation)
	assert.WithinDuration(t, got.LastFailure.Time.Time, got.Operations[0].CompletedAt.Time, time.Second)
}
