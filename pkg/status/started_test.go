package status

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// runs gives the machine an instance that runs since now and that KubeVirt calls ready.
func (s *scene) runs(uid types.UID, conditions ...string) {
	vmi := s.instance(uid, kubevirtv1.Running)
	for i := range vmi.Status.PhaseTransitionTimestamps {
		vmi.Status.PhaseTransitionTimestamps[i].PhaseTransitionTimestamp = metav1.NewTime(s.Now)
	}
	s.vmiCondition("Ready", "True", "", "")
	for _, kind := range conditions {
		s.vmiCondition(kind, "True", "", "")
	}
}

const agent = "AgentConnected"

func (s *scene) ready() metav1.Condition {
	s.t.Helper()
	return condition(s.t, s.derive(), v1beta1.ConditionReady)
}

func TestReadyOfAFirstRunWaitsForNothing(t *testing.T) {
	s := newScene(t, "Always")
	s.runs(firstUID)
	ready := s.ready()
	assert.Equal(t, metav1.ConditionTrue, ready.Status)
	assert.Equal(t, messageSilent, ready.Message)
	assert.True(t, ReadyBy(s.Observed).IsZero())
	s.runs(firstUID, agent)
	ready = s.ready()
	assert.Equal(t, metav1.ConditionTrue, ready.Status)
	assert.Equal(t, messageAnswered, ready.Message)
}

// KubeVirt's two controllers report one after the other: for a moment an instance is Running, and its condition is of before.
func TestReadyDoesNotDenyARunningGuest(t *testing.T) {
	for name, c := range map[string]struct {
		phase  kubevirtv1.VirtualMachineInstancePhase
		reason string
		want   string
	}{
		"runs, condition of before":     {kubevirtv1.Running, kubevirtv1.GuestNotRunningReason, ReasonGuestStarting},
		"does not run yet":              {kubevirtv1.Scheduled, kubevirtv1.GuestNotRunningReason, kubevirtv1.GuestNotRunningReason},
		"is being scheduled":            {kubevirtv1.Scheduling, kubevirtv1.GuestNotRunningReason, kubevirtv1.GuestNotRunningReason},
		"runs, pod is not ready":        {kubevirtv1.Running, kubevirtv1.PodConditionMissingReason, kubevirtv1.PodConditionMissingReason},
		"runs, pod is being taken down": {kubevirtv1.Running, kubevirtv1.PodTerminatingReason, kubevirtv1.PodTerminatingReason},
		"runs, its pod cannot be found": {kubevirtv1.Running, kubevirtv1.PodNotExistsReason, kubevirtv1.PodNotExistsReason},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, "Always")
			s.instance(firstUID, c.phase)
			s.vmiCondition("Ready", "False", c.reason, "Guest VM is not reported as running")
			ready := s.ready()
			assert.Equal(t, metav1.ConditionFalse, ready.Status)
			assert.Equal(t, c.want, ready.Reason)
		})
	}
}

// afterARunWithAnAgent is the beginning of a second run, whose first had a guest agent.
func afterARunWithAnAgent(t *testing.T) *scene {
	t.Helper()
	s := newScene(t, "Always")
	s.runs(firstUID, agent)
	s.ready()
	s.gone()
	s.ready()
	s.runs(nextUID)
	return s
}

func TestReadyWaitsForTheAgentOfTheLastRun(t *testing.T) {
	s := afterARunWithAnAgent(t)
	began := s.Now
	ready := s.ready()
	assert.Equal(t, metav1.ConditionFalse, ready.Status)
	assert.Equal(t, ReasonGuestStarting, ready.Reason)
	assert.Equal(t, messageStarting+timeText(began.Add(GuestStartTimeout))+".", ready.Message)
	assert.Equal(t, began.Add(GuestStartTimeout), ReadyBy(s.Observed), "somebody has to look again")
	assert.Equal(t, v1beta1.StatusRunning, s.VirtualServer.Status.PrintableStatus)
	s.vmiCondition(agent, "True", "", "")
	assert.Equal(t, metav1.ConditionTrue, s.ready().Status)
	assert.Equal(t, nextUID, s.VirtualServer.Status.GuestAgent.InstanceUID)
}

func TestReadyWaitsForNoAgentForEver(t *testing.T) {
	s := afterARunWithAnAgent(t)
	s.ready()
	s.Now = s.Now.Add(GuestStartTimeout)
	ready := s.ready()
	assert.Equal(t, metav1.ConditionTrue, ready.Status)
	assert.Equal(t, messageSilent, ready.Message)
	assert.Nil(t, s.VirtualServer.Status.GuestAgent, "and the next run waits for none")
	s.gone()
	s.ready()
	s.runs("33333333-0000-0000-0000-000000000000")
	assert.Equal(t, metav1.ConditionTrue, s.ready().Status)
}

// An agent that falls silent, as it does in a reboot or while it is upgraded, takes nothing back.
func TestAgentThatFallsSilentTakesNothingBack(t *testing.T) {
	s := newScene(t, "Always")
	s.runs(firstUID, agent)
	s.ready()
	s.runs(firstUID)
	ready := s.ready()
	assert.Equal(t, metav1.ConditionTrue, ready.Status)
	assert.Equal(t, messageAnswered, ready.Message)
	assert.NotNil(t, s.VirtualServer.Status.GuestAgent)
}

// A guest that is paused does not boot, and that is not its fault.
func TestPausedGuestKeepsItsTime(t *testing.T) {
	s := afterARunWithAnAgent(t)
	s.vmiCondition("Paused", "True", "PausedByUser", "")
	assert.Equal(t, ReasonPaused, s.ready().Reason)
	s.Now = s.Now.Add(time.Hour)
	assert.Equal(t, ReasonPaused, s.ready().Reason)
	conditions := s.Instance.Status.Conditions
	s.Instance.Status.Conditions = conditions[:len(conditions)-1]
	unpaused := s.Now
	assert.Equal(t, ReasonGuestStarting, s.ready().Reason)
	assert.Equal(t, unpaused.Add(GuestStartTimeout), ReadyBy(s.Observed))
	s.Now = unpaused.Add(GuestStartTimeout)
	assert.Equal(t, ReasonRunning, s.ready().Reason)
}

// What KubeVirt and others say goes before.
func TestAgentMakesNothingReadyThatIsNot(t *testing.T) {
	for what, test := range map[string]struct {
		set    func(*scene)
		status metav1.ConditionStatus
		reason string
	}{
		"a probe fails": {func(s *scene) {
			s.Instance.Status.Conditions = nil
			s.vmiCondition("Ready", "False", "ContainersNotReady", "")
		}, "False", "ContainersNotReady"},
		"node lost": {func(s *scene) { s.node("Unknown") }, "Unknown", ReasonNodeLost},
		"gone":      {func(s *scene) { s.gone() }, "False", ReasonVMINotExists},
	} {
		t.Run(what, func(t *testing.T) {
			s := afterARunWithAnAgent(t)
			s.vmiCondition(agent, "True", "", "")
			test.set(s)
			got := s.ready()
			assert.Equal(t, test.status, got.Status)
			assert.Equal(t, test.reason, got.Reason)
			assert.NotNil(t, s.VirtualServer.Status.GuestAgent)
		})
	}
}

// At the end of a migration KubeVirt has the new pod unready for a moment. The guest has run all the while.
func TestMigrationTakesNothingBack(t *testing.T) {
	const gate = `corresponding condition of pod readiness gate "kubevirt.io/virtual-machine-unpaused" does not exist.`
	unready := func(s *scene) {
		s.Instance.Status.Conditions = nil
		s.vmiCondition("Ready", "False", "ReadinessGatesNotReady", gate)
		s.vmiCondition(agent, "True", "", "")
	}
	s := newScene(t, "Always")
	s.runs(firstUID, agent)
	s.ready()
	unready(s)
	assert.Equal(t, metav1.ConditionTrue, s.ready().Status)

	s.vmiCondition("Paused", "True", "PausedByUser", "")
	assert.Equal(t, ReasonPaused, s.ready().Reason)
	unready(s)
	assert.Equal(t, "ReadinessGatesNotReady", s.ready().Reason, "a machine that was paused is ready when KubeVirt says so")

	s.gone()
	s.ready()
	s.runs(nextUID)
	unready(s)
	assert.Equal(t, "ReadinessGatesNotReady", s.ready().Reason, "and so is one that starts")
}

// KubeVirt calls an instance ready for a moment after its guest has ended.
func TestGuestThatHasEndedIsNotReady(t *testing.T) {
	s := newScene(t, "RerunOnFailure")
	s.runs(firstUID, agent)
	s.ready()
	reach(s.Instance, kubevirtv1.Succeeded, 60)
	ready := s.ready()
	assert.Equal(t, metav1.ConditionFalse, ready.Status)
	assert.Equal(t, ReasonGuestEnded, ready.Reason)
	assert.Equal(t, "The guest has ended.", ready.Message)
}
