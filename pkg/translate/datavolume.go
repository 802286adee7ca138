package translate

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// DataVolume returns the DataVolume that imports the root disk. It stands on its own, not in the VirtualMachine, so that
// it outlives the VirtualMachine and works for an ephemeral root too. spec.pvc takes the user's claim literally: a 4Gi
// root is a 4Gi claim. It is nil for a root disk that is not made for the machine.
func DataVolume(vs *v1beta1.VirtualServer) *cdiv1.DataVolume {
	if !MakesRootDisk(vs) {
		return nil
	}
	root := vs.Spec.Storage.Root.DeepCopy()
	dataVolume := &cdiv1.DataVolume{
		TypeMeta: metav1.TypeMeta{
			APIVersion: cdiv1.SchemeGroupVersion.String(),
			Kind:       "DataVolume",
		},
		ObjectMeta: objectMeta(vs),
		Spec: cdiv1.DataVolumeSpec{
			Source: &root.Source,
			PVC: &corev1.PersistentVolumeClaimSpec{
				AccessModes:      root.PVC.AccessModes,
				StorageClassName: root.PVC.StorageClassName,
				Resources: corev1.VolumeResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceStorage: root.PVC.Size},
				},
			},
		},
	}
	if root.PVC.VolumeMode != "" {
		dataVolume.Spec.PVC.VolumeMode = ptr.To(root.PVC.VolumeMode)
	}
	dataVolume.Annotations[annotationImmediateBinding] = "true"
	return dataVolume
}

// MergeDataVolume writes our labels and annotations over a copy of the live DataVolume, and says whether that changed
// anything. The spec of a DataVolume never changes; see SourceChanged.
func MergeDataVolume(live, desired *cdiv1.DataVolume) (*cdiv1.DataVolume, bool) {
	merged := live.DeepCopy()
	mergeMeta(&merged.ObjectMeta, &desired.ObjectMeta)
	return merged, !equality.Semantic.DeepEqual(live, merged)
}

// SourceChanged says whether the live DataVolume imports from another source than the desired one, or into another kind
// of claim. CDI refuses to change a DataVolume's spec, so that such a DataVolume must be deleted and made again. That is
// safe only as long as it was never imported. The size is left out: the claim grows without the DataVolume.
func SourceChanged(live, desired *cdiv1.DataVolume) bool {
	if !equality.Semantic.DeepEqual(live.Spec.Source, desired.Spec.Source) {
		return true
	}
	was, want := live.Spec.PVC, desired.Spec.PVC
	if was == nil || want == nil {
		return was != want
	}
	return !equality.Semantic.DeepEqual(was.AccessModes, want.AccessModes) ||
		volumeMode(was) != volumeMode(want) ||
		!equality.Semantic.DeepEqual(was.StorageClassName, want.StorageClassName)
}

func volumeMode(claim *corev1.PersistentVolumeClaimSpec) corev1.PersistentVolumeMode {
	return ptr.Deref(claim.VolumeMode, corev1.PersistentVolumeFilesystem)
}
