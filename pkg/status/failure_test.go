package status

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func TestFailureCauses(t *testing.T) {
	for what, test := range map[string]struct {
		set     func(s *scene)
		reason  string
		message string
	}{
		"crash": {func(s *scene) { s.instance(firstUID, kubevirtv1.Failed) }, "GuestCrashed",
			"The guest crashed, or its process was killed."},
		"crash, and KubeVirt deletes at once": {func(s *scene) {
			s.instance(firstUID, kubevirtv1.Failed).DeletionTimestamp = ptr.To(at(60))
		}, "GuestCrashed", ""},
		"oom": {func(s *scene) { s.instance(firstUID, kubevirtv1.Failed); s.terminated("OOMKilled") }, "OOMKilled",
			"Pod virt-launcher-x used more memory than it may and was killed."},
		"oom before KubeVirt notices": {func(s *scene) { s.instance(firstUID, kubevirtv1.Running); s.terminated("OOMKilled") },
			"OOMKilled", ""},
		"node unresponsive": {func(s *scene) { s.instance(firstUID, kubevirtv1.Failed).Status.Reason = "NodeUnresponsive" },
			"NodeLost", "Node node-a: not heard from."},
		"node gone": {func(s *scene) { s.instance(firstUID, kubevirtv1.Failed); s.Node, s.NodeMissing = nil, true },
			"NodeLost", "Node node-a: the node does not exist."},
		"evicted": {func(s *scene) {
			s.instance(firstUID, kubevirtv1.Failed)
			s.LauncherPod.Status.Reason, s.LauncherPod.Status.Message = "Evicted", "The node was low on memory."
		}, "Evicted", "Pod virt-launcher-x: evicted: The node was low on memory."},
		"preempted": {func(s *scene) {
			s.instance(firstUID, kubevirtv1.Failed)
			s.LauncherPod.Status.Conditions = []corev1.PodCondition{
				{Type: corev1.DisruptionTarget, Status: "True", Reason: "PreemptionByScheduler", Message: "preempted"}}
		}, "Evicted", "Pod virt-launcher-x: PreemptionByScheduler: preempted."},
		"boot": {func(s *scene) {
			vmi := s.instance(firstUID, kubevirtv1.Failed)
			vmi.Status.PhaseTransitionTimestamps = vmi.Status.PhaseTransitionTimestamps[:2]
		}, "BootFailed", "The machine ended before it ran."},
		"boot, instance missed": {func(s *scene) {
			s.VirtualMachine.Status.StartFailure = &kubevirtv1.VirtualMachineStartFailure{
				ConsecutiveFailCount: 2, LastFailedVMIUID: firstUID}
		}, "BootFailed", ""},
		"restart pending for another instance": {func(s *scene) {
			s.instance(firstUID, kubevirtv1.Failed)
			s.pending("Restart", nextUID)
		}, "GuestCrashed", ""},
		"another pod's oom": {func(s *scene) {
			s.instance(firstUID, kubevirtv1.Failed)
			s.terminated("OOMKilled")
			s.LauncherPod.Labels[kubevirtv1.CreatedByLabel] = string(nextUID)
		}, "GuestCrashed", ""},
		"another container's oom": {func(s *scene) {
			s.instance(firstUID, kubevirtv1.Failed)
			s.terminated("OOMKilled")
			s.LauncherPod.Status.ContainerStatuses[0].Name = "virtiofs-share"
		}, "GuestCrashed", ""},
	} {
		t.Run(what, func(t *testing.T) {
			s := newScene(t, "Always")
			test.set(s)
			got := s.derive()
			failure := condition(t, got, v1beta1.ConditionFailure)
			assert.Equal(t, metav1.ConditionTrue, failure.Status)
			assert.Equal(t, test.reason, failure.Reason)
			require.NotNil(t, got.LastFailure)
			assert.Equal(t, test.reason, got.LastFailure.Reason)
			assert.Equal(t, firstUID, got.LastFailure.InstanceUID)
			assert.Equal(t, int32(1), got.LastFailure.Count)
			if test.message != "" {
				assert.Equal(t, test.message, failure.Message)
			}
		})
	}
}

func TestWhatIsNoFailure(t *testing.T) {
	for what, set := range map[string]func(s *scene){
		"never ran":        func(*scene) {},
		"running":          func(s *scene) { s.instance(firstUID, kubevirtv1.Running) },
		"shut down inside": func(s *scene) { s.instance(firstUID, kubevirtv1.Succeeded) },
		"graceful stop that timed out": func(s *scene) {
			s.instance(firstUID, kubevirtv1.Failed).DeletionTimestamp = ptr.To(at(30))
		},
		"killed under Halted": func(s *scene) {
			s.instance(firstUID, kubevirtv1.Failed).DeletionTimestamp = ptr.To(at(60))
			s.strategy("Halted")
		},
		"killed by restart": func(s *scene) {
			s.instance(firstUID, kubevirtv1.Failed).DeletionTimestamp = ptr.To(at(60))
			s.pending("Restart", firstUID)
		},
		"killed by KubeVirt's restart": func(s *scene) {
			s.instance(firstUID, kubevirtv1.Failed).DeletionTimestamp = ptr.To(at(60))
			s.VirtualMachine.Status.StateChangeRequests = []kubevirtv1.VirtualMachineStateChangeRequest{
				{Action: kubevirtv1.StopRequest, UID: ptr.To(firstUID)}, {Action: kubevirtv1.StartRequest}}
		},
		"deleted": func(s *scene) {
			s.instance(firstUID, kubevirtv1.Failed)
			s.VirtualServer.DeletionTimestamp = ptr.To(at(1))
		},
		"machine deleted by hand": func(s *scene) {
			s.instance(firstUID, kubevirtv1.Failed)
			s.VirtualMachine.DeletionTimestamp = ptr.To(at(1))
		},
		"import failed": func(s *scene) {
			s.instance(firstUID, kubevirtv1.Failed).Status.PhaseTransitionTimestamps = nil
			s.importing(cdiv1.Failed, "N/A", 0)
		},
		"first failed start alone": func(s *scene) {
			s.VirtualMachine.Status.StartFailure = &kubevirtv1.VirtualMachineStartFailure{
				ConsecutiveFailCount: 1, LastFailedVMIUID: firstUID}
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := newScene(t, "Always")
			set(s)
			got := s.derive()
			assert.Equal(t, metav1.ConditionFalse, condition(t, got, v1beta1.ConditionFailure).Status)
			assert.Equal(t, "NoFailure", condition(t, got, v1beta1.ConditionFailure).Reason)
			assert.Nil(t, got.LastFailure)
		})
	}
}

// TestFailureKeepsTheLastCause follows a machine through crash, recovery, stop and a second crash.
func TestFailureKeepsTheLastCause(t *testing.T) {
	s := newScene(t, "Always")
	s.instance(firstUID, kubevirtv1.Running)
	s.derive()

	s.instance(firstUID, kubevirtv1.Failed)
	crashed := condition(t, s.derive(), "Failure")
	assert.Equal(t, "GuestCrashed", crashed.Reason)
	s.terminated("OOMKilled")
	oom := s.derive()
	assert.Equal(t, "OOMKilled", condition(t, oom, "Failure").Reason, "the pod tells the cause a moment later")
	assert.Equal(t, int32(1), oom.LastFailure.Count, "it is the same failure")
	assert.Equal(t, crashed.LastTransitionTime, condition(t, oom, "Failure").LastTransitionTime)

	s.gone()
	gone := s.derive()
	assert.Equal(t, v1beta1.StatusStarting, gone.PrintableStatus)
	assert.Equal(t, "OOMKilled", condition(t, gone, "Failure").Reason, "the cause outlives instance and pod")
	s.instance(nextUID, kubevirtv1.Scheduled)
	assert.Equal(t, metav1.ConditionTrue, condition(t, s.derive(), "Failure").Status, "not running yet")

	s.instance(nextUID, kubevirtv1.Running)
	back := condition(t, s.derive(), "Failure")
	assert.Equal(t, metav1.ConditionFalse, back.Status)
	assert.Equal(t, "Recovered", back.Reason)
	assert.Equal(t, "The machine has run again since it failed at 2024-03-21T08:27:59Z: OOMKilled: "+
		"Pod virt-launcher-x used more memory than it may and was killed.", back.Message)

	s.strategy("Halted")
	s.Instance.DeletionTimestamp = ptr.To(at(100))
	s.derive()
	s.gone()
	stopped := s.derive()
	assert.Equal(t, "Recovered", condition(t, stopped, "Failure").Reason, "a stop does not bring the failure back")
	assert.Equal(t, "OOMKilled", stopped.LastFailure.Reason)

	s.strategy("Always")
	third := s.instance("third", kubevirtv1.Failed)
	again := s.derive()
	assert.Equal(t, "GuestCrashed", condition(t, again, "Failure").Reason)
	assert.Equal(t, int32(2), again.LastFailure.Count)

	s.VirtualServer.Status.Operations = []v1beta1.OperationRecord{{Type: "Start", Result: "Succeeded",
		CompletedAt: metav1.NewMicroTime(again.LastFailure.Time.Add(1))}}
	third.UID, s.LauncherPod = "fourth", nil
	assert.Equal(t, int32(1), s.derive().LastFailure.Count, "a start by a person starts the count anew")
}

// TestForcedStopIsNoFailure follows a stop without grace, where everything happens within one second.
func TestForcedStopIsNoFailure(t *testing.T) {
	s := newScene(t, "Manual")
	s.instance(firstUID, kubevirtv1.Running)
	s.pending("Stop", firstUID)
	assert.Equal(t, v1beta1.StatusStopping, s.derive().PrintableStatus)
	s.Instance.DeletionTimestamp = ptr.To(at(60))
	s.Instance.Spec.TerminationGracePeriodSeconds = ptr.To[int64](0)
	stopping := s.derive()
	assert.Equal(t, at(60), *stopping.StopDeadline)

	// The operation is done and cleared while the instance is still there.
	s.VirtualServer.Status.PendingOperation = nil
	reach(s.Instance, kubevirtv1.Failed, 60)
	ended := s.derive()
	assert.Equal(t, v1beta1.StatusStopping, ended.PrintableStatus)
	assert.Equal(t, "VMI "+name+": ended, being removed", ended.Message)
	assert.Equal(t, firstUID, ended.VM.InstanceUID)
	assert.Nil(t, ended.LastFailure)
	assert.Nil(t, ended.StopDeadline)

	s.gone()
	stopped := s.derive()
	assert.Equal(t, v1beta1.StatusStopped, stopped.PrintableStatus)
	assert.Nil(t, stopped.LastFailure)
	assert.Empty(t, stopped.VM.InstanceUID)
}

// TestNodeLossAndReturn shows that nobody claims to know what nobody knows.
func TestNodeLossAndReturn(t *testing.T) {
	s := newScene(t, "Always")
	s.instance(firstUID, kubevirtv1.Running)
	s.vmiCondition("Ready", "True", "", "")
	assert.Equal(t, metav1.ConditionTrue, condition(t, s.derive(), "Ready").Status)

	s.node("Unknown")
	lost := s.derive()
	assert.Equal(t, v1beta1.StatusUnknown, lost.PrintableStatus)
	assert.Equal(t, metav1.ConditionUnknown, condition(t, lost, "Ready").Status)
	assert.Equal(t, "NodeLost", condition(t, lost, "Failure").Reason)
	assert.Equal(t, "node-a", lost.Node)

	s.node("True")
	back := s.derive()
	assert.Equal(t, v1beta1.StatusRunning, back.PrintableStatus)
	assert.Equal(t, "NoFailure", condition(t, back, "Failure").Reason, "the machine never ended")

	s.node("Unknown")
	s.derive()
	reach(s.Instance, kubevirtv1.Failed, 400)
	failed := condition(t, s.derive(), "Failure")
	assert.Equal(t, metav1.ConditionTrue, failed.Status)
	assert.Equal(t, "NodeLost", failed.Reason)
}

func TestCrashUnderManualSaysSo(t *testing.T) {
	s := newScene(t, "Manual")
	s.instance(firstUID, kubevirtv1.Failed)
	s.terminated("OOMKilled")
	got := s.derive()
	assert.Equal(t, v1beta1.StatusStopped, got.PrintableStatus)
	assert.Equal(t, "OOMKilled: Pod virt-launcher-x used more memory than it may and was killed. "+
		"Run strategy Manual does not start it again; use start.", got.Message)
}

// Only the pod's own end tells more of a failure. What happens to the node later has nothing to do with it.
func TestCauseOfAFailureIsKept(t *testing.T) {
	s := newScene(t, "Manual")
	s.instance(firstUID, kubevirtv1.Failed)
	assert.Equal(t, "GuestCrashed", s.derive().LastFailure.Reason)
	s.Node, s.NodeMissing = nil, true
	assert.Equal(t, "GuestCrashed", s.derive().LastFailure.Reason)
	s.terminated("OOMKilled")
	assert.Equal(t, "OOMKilled", s.derive().LastFailure.Reason)

	s = newScene(t, "Manual")
	vmi := s.instance(firstUID, kubevirtv1.Failed)
	vmi.Status.PhaseTransitionTimestamps = vmi.Status.PhaseTransitionTimestamps[:2]
	assert.Equal(t, "BootFailed", s.derive().LastFailure.Reason)
	s.terminated("OOMKilled")
	assert.Equal(t, "OOMKilled", s.derive().LastFailure.Reason)
}
