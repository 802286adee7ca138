package handler

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/test/nodeagent/guest"
)

func TestPlugged(t *testing.T) {
	block := corev1.PersistentVolumeBlock
	volume := func(name string, phase kubevirtv1.VolumePhase, mode *corev1.PersistentVolumeMode) kubevirtv1.VolumeStatus {
		return kubevirtv1.VolumeStatus{Name: name, Phase: phase, HotplugVolume: &kubevirtv1.HotplugVolumeStatus{},
			PersistentVolumeClaimInfo: &kubevirtv1.PersistentVolumeClaimInfo{ClaimName: name, VolumeMode: mode}}
	}
	vmi := &kubevirtv1.VirtualMachineInstance{}
	vmi.Status.VolumeStatus = []kubevirtv1.VolumeStatus{
		{Name: "root"},
		volume("filled", kubevirtv1.HotplugVolumeAttachedToNode, nil),
		volume("empty", kubevirtv1.HotplugVolumeAttachedToNode, nil),
		volume("coming", kubevirtv1.VolumeBound, nil),
		volume("device", kubevirtv1.HotplugVolumeAttachedToNode, &block),
		volume("started-with", kubevirtv1.VolumeReady, nil),
	}
	var disks []guest.Disk
	for _, volume := range vmi.Status.VolumeStatus {
		disks = append(disks, guest.Disk{Name: volume.Name, Serial: "Serial-1"})
	}
	present, missing := plugged(vmi, sets.New("root", "started-with"), disks, func(_, claim string) bool { return claim == "filled" })
	assert.Equal(t, []guest.Disk{
		{Name: "root", Serial: "Serial-1"}, {Name: "filled", Serial: "serial-1"}, {Name: "device", Serial: "serial-1"},
		{Name: "started-with", Serial: "Serial-1"},
	}, present)
	assert.Equal(t, []string{"empty"}, missing, "and the one that is still on its way is not there yet")
	present, missing = plugged(vmi, nil, disks, func(string, string) bool { return true })
	assert.Equal(t, "serial-1", present[5].Serial, "what a guest started with is not known of one that was taken up again")
	assert.Empty(t, missing)
}
