package translate

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// AnnotationInstance stands on the copy of an ephemeral claim and holds the UID of the instance that it was made for. CDI
// passes it on to the claim.
const AnnotationInstance = "tensorstack.dev/instance-uid"

// EphemeralFilesystems returns the claims of which each run of the machine gets a copy, by the name of the filesystem. It is
// nil if there is none.
func EphemeralFilesystems(vs *v1beta1.VirtualServer) map[string]string {
	var claims map[string]string
	for _, filesystem := range vs.Spec.Storage.Filesystems {
		if ephemeral := filesystem.Ephemeral; ephemeral != nil && ephemeral.PersistentVolumeClaim != nil {
			if claims == nil {
				claims = map[string]string{}
			}
			claims[filesystem.Name] = ephemeral.PersistentVolumeClaim.ClaimName
		}
	}
	return claims
}

// CopiedClaims returns the same for a machine that was started, whatever the VirtualServer says now.
func CopiedClaims(vmi *kubevirtv1.VirtualMachineInstance) map[string]string {
	return readRecord(vmi.Annotations).Copied
}

// ClaimOf returns the claim behind a volume of a machine, or nothing.
func ClaimOf(spec *kubevirtv1.VirtualMachineInstanceSpec, volume string) string {
	if found := findVolume(spec.Volumes, volume); found != nil && found.PersistentVolumeClaim != nil {
		return found.PersistentVolumeClaim.ClaimName
	}
	return ""
}

// RunMeta returns the metadata of what is made for one run of the machine. It belongs to the instance, and goes after it. The
// name of the VirtualServer is not on it: nobody adopts it.
func RunMeta(vs *v1beta1.VirtualServer, vmi *kubevirtv1.VirtualMachineInstance, name string) metav1.ObjectMeta {
	labels := Labels(vs)
	labels[LabelMachine] = vmi.Name
	return metav1.ObjectMeta{
		Name: name, Namespace: vmi.Namespace, Labels: labels,
		Annotations: map[string]string{AnnotationInstance: string(vmi.UID)},
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: kubevirtv1.VirtualMachineInstanceGroupVersionKind.GroupVersion().String(),
			Kind:       kubevirtv1.VirtualMachineInstanceGroupVersionKind.Kind, Name: vmi.Name, UID: vmi.UID,
		}},
	}
}

// Copy returns the DataVolume that a run of the machine writes to in place of a claim.
func Copy(meta metav1.ObjectMeta, source *cdiv1.DataVolumeSource, class *string, modes []corev1.PersistentVolumeAccessMode,
	size resource.Quantity) *cdiv1.DataVolume {
	meta.Annotations[annotationImmediateBinding] = "true"
	return &cdiv1.DataVolume{
		TypeMeta:   metav1.TypeMeta{APIVersion: cdiv1.SchemeGroupVersion.String(), Kind: "DataVolume"},
		ObjectMeta: meta,
		Spec: cdiv1.DataVolumeSpec{
			Source: source,
			PVC: &corev1.PersistentVolumeClaimSpec{
				AccessModes: modes, StorageClassName: class, VolumeMode: ptr.To(corev1.PersistentVolumeFilesystem),
				Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: size}},
			},
		},
	}
}
