package status

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func TestAPodThatNoSchedulerLooksAt(t *testing.T) {
	condition := func(status corev1.ConditionStatus, reason string) []corev1.PodCondition {
		return []corev1.PodCondition{{Type: corev1.PodScheduled, Status: status, Reason: reason, Message: "0/2 nodes are available"}}
	}
	for what, test := range map[string]struct {
		scheduler  string
		age        int
		node       string
		conditions []corev1.PodCondition
		want       v1beta1.PrintableStatus
		timer      bool
	}{
		"a scheduler that is not there": {scheduler: "t9k-scheduler", age: 20, want: v1beta1.StatusFailedUnschedulable, timer: true},
		"for a while":                   {scheduler: "t9k-scheduler", age: 19, want: v1beta1.StatusStarting, timer: true},
		"for hours":                     {scheduler: "my-scheduler", age: 7200, want: v1beta1.StatusFailedUnschedulable, timer: true},
		"the cluster's own":             {scheduler: "default-scheduler", age: 7200, want: v1beta1.StatusStarting},
		"none named":                    {age: 7200, want: v1beta1.StatusStarting},
		"one that chose a node":         {scheduler: "t9k-scheduler", age: 60, node: "node-a", want: v1beta1.StatusStarting},
		"one that has said so":          {scheduler: "t9k-scheduler", age: 60, conditions: condition(corev1.ConditionTrue, ""), want: v1beta1.StatusStarting},
		"one that finds no node":        {scheduler: "t9k-scheduler", age: 60, conditions: condition(corev1.ConditionFalse, "Unschedulable"), want: v1beta1.StatusFailedUnschedulable},
		"one that is held back":         {scheduler: "t9k-scheduler", age: 60, conditions: condition(corev1.ConditionFalse, "SchedulingGated"), want: v1beta1.StatusStarting},
		"other conditions": {scheduler: "t9k-scheduler", age: 60, want: v1beta1.StatusFailedUnschedulable, timer: true,
			conditions: []corev1.PodCondition{{Type: "kubevirt.io/virtual-machine-unpaused", Status: corev1.ConditionTrue}}},
	} {
		t.Run(what, func(t *testing.T) {
			s := newScene(t, v1beta1.RunStrategyAlways)
			s.VirtualServer.Spec.Scheduler = &v1beta1.Scheduler{T9kScheduler: &v1beta1.T9kScheduler{Queue: "q"}}
			s.instance(firstUID, kubevirtv1.Scheduling)
			s.LauncherPod.CreationTimestamp = at(0)
			s.LauncherPod.Spec.SchedulerName, s.LauncherPod.Spec.NodeName = test.scheduler, test.node
			s.LauncherPod.Status.Conditions = test.conditions
			s.Now = at(test.age).Time
			got := Derive(s.Observed)
			assert.Equal(t, test.want, got.PrintableStatus)
			silent := SchedulerSilentAt(s.Observed)
			assert.Equal(t, test.timer, !silent.IsZero())
			if test.timer {
				assert.Equal(t, at(20).Time, silent)
			}
			if test.timer && test.want == v1beta1.StatusFailedUnschedulable {
				assert.Contains(t, got.Message, "no scheduler of that name")
				assert.Contains(t, got.Message, test.scheduler)
			}
		})
	}
	// A pod of the instance before says nothing about this one.
	former := newScene(t, v1beta1.RunStrategyAlways)
	former.instance(firstUID, kubevirtv1.Scheduling)
	former.LauncherPod.CreationTimestamp, former.LauncherPod.Spec.SchedulerName = at(0), "late"
	former.Instance.UID = nextUID
	former.Now = at(60).Time
	assert.Equal(t, v1beta1.StatusStarting, Derive(former.Observed).PrintableStatus)
	// A scheduler that is installed later is believed at once.
	s := newScene(t, v1beta1.RunStrategyAlways)
	s.instance(firstUID, kubevirtv1.Scheduling)
	s.LauncherPod.CreationTimestamp, s.LauncherPod.Spec.SchedulerName = at(0), "late"
	s.Now = at(30).Time
	s.VirtualServer.Status = Derive(s.Observed)
	assert.Equal(t, v1beta1.StatusFailedUnschedulable, s.VirtualServer.Status.PrintableStatus)
	s.LauncherPod.Spec.NodeName, s.LauncherPod.Status.Conditions = "node-a", condition(corev1.ConditionTrue, "")
	assert.Equal(t, v1beta1.StatusStarting, Derive(s.Observed).PrintableStatus)
}

func TestARootDiskThatIsNotImported(t *testing.T) {
	s := newScene(t, v1beta1.RunStrategyAlways)
	s.DataVolume = nil
	s.VirtualServer.Spec.Storage.Root = v1beta1.RootDisk{ContainerDisk: &v1beta1.ContainerDiskSource{Image: "registry.example.com/fedora:43"}}
	s.desire()
	image := Derive(s.Observed)
	imported := condition(t, image, v1beta1.ConditionDataImported)
	assert.Equal(t, "True NotNeeded", string(imported.Status)+" "+imported.Reason)
	assert.Contains(t, imported.Message, "registry.example.com/fedora:43")
	assert.Nil(t, image.Import)
	assert.Equal(t, v1beta1.StatusStarting, image.PrintableStatus)

	s.VirtualServer.Spec.Storage.Root = v1beta1.RootDisk{PersistentVolumeClaim: &v1beta1.RootDiskVolume{ClaimName: "boot"}}
	s.desire()
	imported = condition(t, Derive(s.Observed), v1beta1.ConditionDataImported)
	assert.Equal(t, "True NotNeeded", string(imported.Status)+" "+imported.Reason)
	assert.Contains(t, imported.Message, "boot")
	assert.Equal(t, []Reference{{Kind: KindClaim, Name: "boot", Field: "spec.storage.root.persistentVolumeClaim"}}, References(&s.VirtualServer.Spec))

	// A claim that does not exist is named.
	s.instance(firstUID, kubevirtv1.Pending)
	s.LookedUp, s.Absences = true, []Absence{{Reference: References(&s.VirtualServer.Spec)[0]}}
	missing := Derive(s.Observed)
	assert.Equal(t, v1beta1.StatusProvisioning, missing.PrintableStatus)
	assert.Contains(t, missing.Message, "PersistentVolumeClaim boot does not exist, which spec.storage.root.persistentVolumeClaim names")
	// One that is there is believed over KubeVirt's old word.
	s.Absences = nil
	s.vmiCondition("Synchronized", corev1.ConditionFalse, kubeVirtPVCNotFound, "PVC boot not found")
	assert.NotContains(t, Derive(s.Observed).Message, "not found")
}
