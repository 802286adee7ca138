package scratch

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// SnapshotClass is a VolumeSnapshotClass.
type SnapshotClass struct {
	Name, Driver string
	// Default says that it is the default of its driver.
	Default bool
}

// noProvisioner is the provisioner of classes whose volumes are made by hand.
const noProvisioner = "kubernetes.io/no-provisioner"

// MethodFor returns how a copy of the claim can be made, the VolumeSnapshotClass for a snapshot, and why it is Impossible.
// class is the StorageClass of the claim, nil if there is none of that name.
func MethodFor(claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass, snapshots []SnapshotClass) (method Method, snapshotClass, why string) {
	mode, name := claim.Spec.VolumeMode, claim.Spec.StorageClassName
	switch {
	case mode != nil && *mode == corev1.PersistentVolumeBlock:
		return Impossible, "", fmt.Sprintf("PersistentVolumeClaim %s is a Block volume and has no filesystem", claim.Name)
	case name == nil || *name == "":
		return Impossible, "", fmt.Sprintf("PersistentVolumeClaim %s has no StorageClass that could make a volume for the copy", claim.Name)
	case class == nil:
		return Impossible, "", fmt.Sprintf("StorageClass %s of PersistentVolumeClaim %s does not exist and cannot make a volume for the copy", *name, claim.Name)
	case class.Provisioner == noProvisioner:
		return Impossible, "", fmt.Sprintf("the volumes of StorageClass %s are made by hand, so there is none for the copy of PersistentVolumeClaim %s",
			class.Name, claim.Name)
	}
	if name := snapshotClassFor(class.Provisioner, snapshots); name != "" {
		return BySnapshot, name, ""
	}
	return Directly, "", ""
}

// snapshotClassFor returns the class for snapshots of a driver: its default, or else the first by name.
func snapshotClassFor(driver string, classes []SnapshotClass) string {
	var fit []SnapshotClass
	for _, class := range classes {
		if class.Driver == driver {
			fit = append(fit, class)
		}
	}
	if len(fit) == 0 {
		return ""
	}
	return slices.MinFunc(fit, func(a, b SnapshotClass) int {
		if a.Default != b.Default {
			if a.Default {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	}).Name
}

// SizeFor returns the size of a copy: large enough for the snapshot, and as large as the source is or asks to be, so that the
// guest finds the same room. restore may be nil.
func SizeFor(claim *corev1.PersistentVolumeClaim, restore *resource.Quantity) resource.Quantity {
	size := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	if capacity, found := claim.Status.Capacity[corev1.ResourceStorage]; found && capacity.Cmp(size) > 0 {
		size = capacity
	}
	if restore != nil && restore.Cmp(size) > 0 {
		size = *restore
	}
	return size
}

// AccessModesFor returns the access modes of a copy. One that is only read would be of no use.
func AccessModesFor(claim *corev1.PersistentVolumeClaim) []corev1.PersistentVolumeAccessMode {
	modes := slices.DeleteFunc(slices.Clone(claim.Spec.AccessModes), func(mode corev1.PersistentVolumeAccessMode) bool {
		return mode == corev1.ReadOnlyMany
	})
	if len(modes) == 0 {
		return []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	}
	return modes
}

// WritersOf returns the names of the pods that may write to the claim. A pod that has ended does not.
func WritersOf(claim string, pods []corev1.Pod) []string {
	var writers []string
	for i := range pods {
		pod := &pods[i]
		if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		for _, volume := range pod.Spec.Volumes {
			source := volume.PersistentVolumeClaim
			if source != nil && source.ClaimName == claim && !source.ReadOnly && !mountedReadOnly(pod, volume.Name) {
				writers = append(writers, pod.Name)
				break
			}
		}
	}
	slices.Sort(writers)
	return writers
}

// mountedReadOnly says whether every container that has the volume mounts it for reading only.
func mountedReadOnly(pod *corev1.Pod, volume string) bool {
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, container := range containers {
			for _, mount := range container.VolumeMounts {
				if mount.Name == volume && !mount.ReadOnly {
					return false
				}
			}
		}
	}
	return true
}
