package status

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// eventHotplugFailed is the reason of the event by which virt-handler says that there is no file for a volume that was added to
// a guest that runs (handleRunningVMI in KubeVirt's pkg/virt-handler/vm.go). Nothing in the instance says so.
const eventHotplugFailed = "HotplugFailed"

// hotplugAge is how old such an event may be. virt-handler tells it at every try, and tries again every few minutes at least.
const hotplugAge = 10 * time.Minute

// NeedsHotplugEvents says whether events may tell why a volume that was added to the guest does not reach it.
func NeedsHotplugEvents(vmi *kubevirtv1.VirtualMachineInstance) bool {
	return len(waitingVolumes(vmi)) > 0
}

// HotplugFails says whether virt-handler told lately that it finds no file for a volume of the instance.
func HotplugFails(events []corev1.Event, vmi *kubevirtv1.VirtualMachineInstance, now time.Time) bool {
	return slices.ContainsFunc(events, func(event corev1.Event) bool {
		return event.Reason == eventHotplugFailed && isAbout(&event, vmi) && now.Sub(lastSeen(&event).Time) <= hotplugAge
	})
}

// waitingVolumes are those that were added to the running guest, are on its node and have not reached it.
func waitingVolumes(vmi *kubevirtv1.VirtualMachineInstance) []*kubevirtv1.VolumeStatus {
	var waiting []*kubevirtv1.VolumeStatus
	if vmi == nil || vmi.Status.Phase != kubevirtv1.Running || vmi.DeletionTimestamp != nil {
		return nil
	}
	for i := range vmi.Status.VolumeStatus {
		volume := &vmi.Status.VolumeStatus[i]
		if volume.HotplugVolume != nil && volume.MemoryDumpVolume == nil && volume.Phase == kubevirtv1.HotplugVolumeAttachedToNode {
			waiting = append(waiting, volume)
		}
	}
	return waiting
}

// setVolumesReady keeps the condition VolumesReady, which is there only while it is False.
func (f *facts) setVolumesReady(status *v1beta1.VirtualServerStatus) {
	var texts []string
	if f.HotplugFails {
		for _, volume := range waitingVolumes(f.live) {
			texts = append(texts, emptyText(volume))
		}
	}
	if len(texts) == 0 {
		meta.RemoveStatusCondition(&status.Conditions, v1beta1.ConditionVolumesReady)
		return
	}
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type:               v1beta1.ConditionVolumesReady,
		Status:             metav1.ConditionFalse,
		ObservedGeneration: f.vs.Generation,
		Reason:             ReasonNoDiskInClaim,
		Message:            Bounded(strings.Join(texts, " ") + adviceOnEmpty),
		LastTransitionTime: metav1.NewTime(f.Now),
	})
}

const adviceOnEmpty = " KubeVirt makes a disk only in claims with which a machine starts. Remove the volume, and add a DataVolume " +
	"(with the source blank for an empty disk) or a claim with volumeMode Block in its place; or name the claim in " +
	"spec.storage.additionalDisks and restart."

// emptyText names a volume and its claim, which may have another name.
func emptyText(volume *kubevirtv1.VolumeStatus) string {
	claim := volume.Name
	if info := volume.PersistentVolumeClaimInfo; info != nil && info.ClaimName != "" {
		claim = info.ClaimName
	}
	return fmt.Sprintf("Volume %s does not reach the guest: its claim %s holds no disk.", volume.Name, claim)
}
