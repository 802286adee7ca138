package status

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func added(name string, phase kubevirtv1.VolumePhase) kubevirtv1.VolumeStatus {
	return kubevirtv1.VolumeStatus{Name: name, Phase: phase, HotplugVolume: &kubevirtv1.HotplugVolumeStatus{},
		PersistentVolumeClaimInfo: &kubevirtv1.PersistentVolumeClaimInfo{ClaimName: "claim-" + name}}
}

func TestVolumeWithoutADiskIsTold(t *testing.T) {
	s := newScene(t, "Always")
	s.instance(firstUID, kubevirtv1.Running)
	s.Instance.Status.VolumeStatus = []kubevirtv1.VolumeStatus{
		{Name: "root"}, added("good", kubevirtv1.VolumeReady), added("extra", kubevirtv1.HotplugVolumeAttachedToNode)}
	assert.Nil(t, meta.FindStatusCondition(s.derive().Conditions, v1beta1.ConditionVolumesReady), "it may be a matter of a moment")
	assert.True(t, NeedsHotplugEvents(s.Instance))
	s.HotplugFails = true
	told := condition(t, s.derive(), v1beta1.ConditionVolumesReady)
	assert.Equal(t, metav1.ConditionFalse, told.Status)
	assert.Equal(t, ReasonNoDiskInClaim, told.Reason)
	assert.Equal(t, "Volume extra does not reach the guest: its claim claim-extra holds no disk."+adviceOnEmpty, told.Message)
	assert.Equal(t, v1beta1.StatusRunning, s.VirtualServer.Status.PrintableStatus)
	s.Instance.Status.VolumeStatus[2].Phase = kubevirtv1.VolumeReady
	assert.Nil(t, meta.FindStatusCondition(s.derive().Conditions, v1beta1.ConditionVolumesReady), "it is over")
}

func TestVolumesThatNothingIsWrongWith(t *testing.T) {
	dump := added("dump", kubevirtv1.HotplugVolumeAttachedToNode)
	dump.MemoryDumpVolume = &kubevirtv1.DomainMemoryDumpInfo{}
	for what, volume := range map[string]kubevirtv1.VolumeStatus{
		"reaches the guest": added("a", kubevirtv1.VolumeReady),
		"waits for its pod": added("a", kubevirtv1.VolumeBound),
		"is being removed":  added("a", kubevirtv1.HotplugVolumeUnMounted),
		"is in the pod":     added("a", kubevirtv1.HotplugVolumeMounted),
		"is a memory dump":  dump,
		"was never added":   {Name: "a", Phase: kubevirtv1.HotplugVolumeAttachedToNode},
	} {
		s := newScene(t, "Always")
		s.instance(firstUID, kubevirtv1.Running)
		s.Instance.Status.VolumeStatus = []kubevirtv1.VolumeStatus{volume}
		s.HotplugFails = true
		assert.False(t, NeedsHotplugEvents(s.Instance), what)
		assert.Nil(t, meta.FindStatusCondition(s.derive().Conditions, v1beta1.ConditionVolumesReady), what)
	}
	assert.False(t, NeedsHotplugEvents(nil))
}

func TestHotplugFails(t *testing.T) {
	vmi := &kubevirtv1.VirtualMachineInstance{ObjectMeta: metav1.ObjectMeta{Name: name, UID: firstUID}}
	event := func(edit func(*corev1.Event)) []corev1.Event {
		told := corev1.Event{Type: corev1.EventTypeWarning, Reason: "HotplugFailed", LastTimestamp: at(0),
			InvolvedObject: corev1.ObjectReference{Name: name, UID: firstUID}}
		edit(&told)
		return []corev1.Event{told}
	}
	assert.True(t, HotplugFails(event(func(*corev1.Event) {}), vmi, epoch.Add(time.Minute)))
	assert.False(t, HotplugFails(event(func(e *corev1.Event) { e.InvolvedObject.UID = nextUID }), vmi, epoch), "of another run")
	assert.False(t, HotplugFails(event(func(e *corev1.Event) { e.Reason = "Started" }), vmi, epoch))
	assert.False(t, HotplugFails(event(func(*corev1.Event) {}), vmi, epoch.Add(time.Hour)), "long ago")
	assert.False(t, HotplugFails(nil, vmi, epoch))
}
