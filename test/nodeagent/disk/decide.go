package disk

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Provisioner is the name that a StorageClass uses for the agent's disks.
const Provisioner = "node-agent.tensorstack.dev/disk"

// Annotations of the volume binder and its provisioners.
const (
	annotationProvisioner   = "volume.kubernetes.io/storage-provisioner"
	annotationSelectedNode  = "volume.kubernetes.io/selected-node"
	annotationProvisionedBy = "pv.kubernetes.io/provisioned-by"
)

// action is what a claim needs next.
type action int

const (
	nothing action = iota
	provision
	expand
)

// decide says what to do for a claim of the given class.
func decide(claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass) action {
	if class == nil || class.Provisioner != Provisioner || claim.DeletionTimestamp != nil {
		return nothing
	}
	if claim.Spec.VolumeName == "" {
		if claim.Spec.Selector != nil || !isDriverSource(claim.Spec.DataSourceRef) {
			return nothing
		}
		// The binder names the provisioner once it is our turn.
		if claim.Annotations[annotationProvisioner] != Provisioner {
			return nothing
		}
		if waits(class) && claim.Annotations[annotationSelectedNode] == "" {
			return nothing
		}
		return provision
	}
	wanted := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	have := claim.Status.Capacity[corev1.ResourceStorage]
	allowed := class.AllowVolumeExpansion != nil && *class.AllowVolumeExpansion
	if claim.Status.Phase == corev1.ClaimBound && allowed && wanted.Cmp(have) > 0 {
		return expand
	}
	return nothing
}

// isDriverSource tells whether a storage driver fills the volume: from nothing, a snapshot
// or another claim. A claim with any other source waits for its populator, which makes
// and binds a volume through a claim of its own.
func isDriverSource(source *corev1.TypedObjectReference) bool {
	if source == nil {
		return true
	}
	group := ""
	if source.APIGroup != nil {
		group = *source.APIGroup
	}
	return group == "snapshot.storage.k8s.io" && source.Kind == "VolumeSnapshot" ||
		group == "" && source.Kind == "PersistentVolumeClaim"
}

func waits(class *storagev1.StorageClass) bool {
	return class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
}

// newVolume is the volume for a claim. It is reserved for the claim, so that
// the binder gives it to nobody else, and usable on every node, as network
// storage is.
func newVolume(claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass) (*corev1.PersistentVolume, error) {
	size, found := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	if !found || size.Sign() <= 0 {
		return nil, fmt.Errorf("claim %s/%s asks for no storage", claim.Namespace, claim.Name)
	}
	mode := corev1.PersistentVolumeFilesystem
	if claim.Spec.VolumeMode != nil {
		mode = *claim.Spec.VolumeMode
	}
	reclaim := corev1.PersistentVolumeReclaimDelete
	if class.ReclaimPolicy != nil {
		reclaim = *class.ReclaimPolicy
	}
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{
			Name:        "pvc-" + string(claim.UID),
			Annotations: map[string]string{annotationProvisionedBy: Provisioner},
		},
		Spec: corev1.PersistentVolumeSpec{
			StorageClassName:              class.Name,
			AccessModes:                   claim.Spec.AccessModes,
			VolumeMode:                    &mode,
			MountOptions:                  class.MountOptions,
			PersistentVolumeReclaimPolicy: reclaim,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: size},
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				HostPath: &corev1.HostPathVolumeSource{Path: "/var/lib/node-agent/disks/" + string(claim.UID)},
			},
			ClaimRef: &corev1.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim",
				Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
			},
		},
	}, nil
}

// removable tells whether a volume is ours and its claim has gone for good.
func removable(volume *corev1.PersistentVolume) bool {
	return volume.Annotations[annotationProvisionedBy] == Provisioner &&
		volume.Status.Phase == corev1.VolumeReleased &&
		volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete &&
		volume.DeletionTimestamp == nil
}

// expandedClaim is the claim with the size that it asks for.
func expandedClaim(claim *corev1.PersistentVolumeClaim, size resource.Quantity) *corev1.PersistentVolumeClaim {
	updated := claim.DeepCopy()
	updated.Status.Capacity[corev1.ResourceStorage] = size
	// Whatever stands there speaks of a resize that is over now.
	updated.Status.Conditions = nil
	updated.Status.AllocatedResources = nil
	updated.Status.AllocatedResourceStatuses = nil
	return updated
}
