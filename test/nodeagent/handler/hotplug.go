package handler

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/test/nodeagent/guest"
)

const (
	// noDisk is what virt-handler says of a claim with a file system that holds no disk.
	noDisk = "openat disk.img: no such file or directory"
	// hotplugRetry is how soon it tries again.
	hotplugRetry = 5 * time.Second
	// annotationDisk on a claim says that somebody else has made a disk in it, such as a pod that a real node would have run.
	annotationDisk = "node-agent.tensorstack.dev/disk"
	// annotationFilled and annotationSource are on claims that CDI has filled (pkg/controller/common/util.go there).
	annotationFilled = "cdi.kubevirt.io/storage.pod.phase"
	annotationSource = "cdi.kubevirt.io/storage.populatedFor"
)

func namesOf(disks []guest.Disk) sets.Set[string] {
	names := sets.New[string]()
	for _, disk := range disks {
		names.Insert(disk.Name)
	}
	return names
}

// plugged returns the disks that the guest has, and the names of those that were added to it and have no disk in their claim:
// these never reach it. virt-launcher lowers the whole description of a disk that is added to a running guest, its serial
// included (hotplugging in pkg/virt-launcher/virtwrap/manager.go of KubeVirt 1.7).
func plugged(vmi *kubevirtv1.VirtualMachineInstance, atBoot sets.Set[string], disks []guest.Disk,
	hasDisk func(namespace, claim string) bool) (present []guest.Disk, missing []string) {
	for _, disk := range disks {
		volume := volumeStatus(vmi, disk.Name)
		if volume == nil || volume.HotplugVolume == nil || volume.MemoryDumpVolume != nil || atBoot.Has(disk.Name) {
			present = append(present, disk)
			continue
		}
		if info := volume.PersistentVolumeClaimInfo; info != nil && isFilesystem(info.VolumeMode) && !hasDisk(vmi.Namespace, info.ClaimName) {
			if volume.Phase == kubevirtv1.HotplugVolumeAttachedToNode {
				missing = append(missing, disk.Name)
			}
			continue
		}
		disk.Serial = strings.ToLower(disk.Serial)
		present = append(present, disk)
	}
	return present, missing
}

func volumeStatus(vmi *kubevirtv1.VirtualMachineInstance, name string) *kubevirtv1.VolumeStatus {
	for i := range vmi.Status.VolumeStatus {
		if vmi.Status.VolumeStatus[i].Name == name {
			return &vmi.Status.VolumeStatus[i]
		}
	}
	return nil
}

func isFilesystem(mode *corev1.PersistentVolumeMode) bool {
	return mode == nil || *mode == corev1.PersistentVolumeFilesystem
}

// hasDisk tells whether a claim with a file system holds a disk. Nothing is stored here, so it goes by who would have made one.
func (h *Handler) hasDisk(namespace, name string) bool {
	claim, err := h.cluster.Factory.Core().V1().PersistentVolumeClaims().Lister().PersistentVolumeClaims(namespace).Get(name)
	if err != nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.made.Has(claim.UID) || claim.Annotations[annotationDisk] == "true" || claim.Annotations[annotationSource] != "" ||
		claim.Annotations[annotationFilled] == string(corev1.PodSucceeded) || claim.Spec.DataSourceRef != nil
}

// makeDisks remembers the claims with which a machine starts: its launcher makes disks in those that have none.
func (h *Handler) makeDisks(vmi *kubevirtv1.VirtualMachineInstance) {
	lister := h.cluster.Factory.Core().V1().PersistentVolumeClaims().Lister().PersistentVolumeClaims(vmi.Namespace)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, volume := range vmi.Spec.Volumes {
		if volume.PersistentVolumeClaim == nil {
			continue
		}
		if claim, err := lister.Get(volume.PersistentVolumeClaim.ClaimName); err == nil {
			h.made.Insert(claim.UID)
		}
	}
}
