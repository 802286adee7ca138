package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

// Storage is the root disk, the additional disks and the shared filesystems of a machine.
type Storage struct {
	// root is the disk that the machine boots from, /dev/vda in the guest unless its bus is another than virtio.
	Root RootDisk `json:"root"`
	// additionalDisks are further disks, in order: /dev/vdb, /dev/vdc and so on. The names in the guest are not
	// guaranteed; find a disk by its serial.
	// +optional
	// +listType=map
	// +listMapKey=name
	AdditionalDisks []AdditionalDisk `json:"additionalDisks,omitempty"`
	// filesystems are directories shared with the guest by virtiofs. Mount one in the guest with
	// "mount -t virtiofs NAME DIRECTORY".
	// +optional
	// +listType=map
	// +listMapKey=name
	Filesystems []Filesystem `json:"filesystems,omitempty"`
}

// DeletionPolicy says what happens to the root disk when its VirtualServer is deleted.
// +enum
type DeletionPolicy string

const (
	// DeletionPolicyDelete deletes the root disk with its VirtualServer.
	DeletionPolicyDelete DeletionPolicy = "Delete"
	// DeletionPolicyRetain keeps the root disk.
	DeletionPolicyRetain DeletionPolicy = "Retain"
)

// DiskBus is how a disk is attached to the guest.
// +enum
type DiskBus string

const (
	// DiskBusVirtio is the fastest bus. The guest needs a driver for it, which Linux has.
	DiskBusVirtio DiskBus = "virtio"
	// DiskBusSATA is a bus that every guest knows.
	DiskBusSATA DiskBus = "sata"
	// DiskBusSCSI is a SCSI bus behind a virtio controller.
	DiskBusSCSI DiskBus = "scsi"
)

// RootDisk is the disk that a machine boots from: a PersistentVolumeClaim that is made for the machine and the source that
// fills it, or a container image, or a PersistentVolumeClaim that exists.
type RootDisk struct {
	// pvc describes the PersistentVolumeClaim that holds the disk. It needs a source.
	// +optional
	PVC RootDiskClaim `json:"pvc,omitzero"`
	// source is where the disk's content comes from: exactly one of http, s3, gcs, registry, pvc, snapshot, upload,
	// blank, imageio and vddk. It may change only as long as the disk has never been imported. See
	// https://pkg.go.dev/kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1#DataVolumeSource.
	// +optional
	Source cdiv1.DataVolumeSource `json:"source,omitzero"`
	// containerDisk takes the disk from a container image, in place of pvc and source. Changes to it are lost when the
	// machine stops.
	// +optional
	ContainerDisk *ContainerDiskSource `json:"containerDisk,omitempty"`
	// persistentVolumeClaim names a PersistentVolumeClaim of the same namespace that holds the disk already, in place of pvc
	// and source. Nothing is imported into it, and it is never deleted.
	// +optional
	PersistentVolumeClaim *RootDiskVolume `json:"persistentVolumeClaim,omitempty"`
	// bus is how the disk is attached: virtio, sata or scsi. Defaults to virtio.
	// +optional
	Bus DiskBus `json:"bus,omitempty"`
	// ephemeral keeps all changes to the disk in a throw-away overlay, which is lost when the machine stops or
	// restarts. The imported disk itself never changes.
	// +optional
	Ephemeral bool `json:"ephemeral,omitempty"`
	// deletionPolicy says what happens to the disk of pvc when the VirtualServer is deleted: Delete or Retain.
	// Defaults to Delete.
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
}

// RootDiskClaim describes the PersistentVolumeClaim of a root disk.
type RootDiskClaim struct {
	// size is the size of the volume, such as 4Gi. It may grow after creation if the StorageClass allows that, and
	// never shrink.
	Size resource.Quantity `json:"size"`
	// volumeMode is Filesystem or Block. Defaults to Filesystem.
	// +optional
	VolumeMode corev1.PersistentVolumeMode `json:"volumeMode,omitempty"`
	// accessModes is the access mode of the volume, exactly one. Defaults to ReadWriteOnce.
	// +optional
	// +listType=atomic
	AccessModes []corev1.PersistentVolumeAccessMode `json:"accessModes,omitempty"`
	// storageClassName names the StorageClass. Leave it out to get the default class of the cluster.
	// +optional
	StorageClassName *string `json:"storageClassName,omitempty"`
}

// RootDiskVolume names the PersistentVolumeClaim of a root disk.
type RootDiskVolume struct {
	// claimName is the name of the PersistentVolumeClaim.
	ClaimName string `json:"claimName"`
}

// AdditionalDisk is a disk beside the root disk. Exactly one source must be set.
type AdditionalDisk struct {
	// name identifies the disk within the machine: lower-case letters, digits and '-', at most 63 characters.
	Name string `json:"name"`
	// serial is the serial number that the guest sees, 1 to 20 of A-Z, a-z, 0-9, '_', '.', '+' and '-'. If it is
	// empty, a stable one is derived and shown in status.disks.
	// +optional
	Serial string `json:"serial,omitempty"`
	// bus is how the disk is attached: virtio, sata or scsi. Defaults to virtio.
	// +optional
	Bus DiskBus `json:"bus,omitempty"`
	// The volume behind the disk.
	VolumeSource `json:",inline"`
	// emptyDisk is a blank disk that lives as long as the machine runs.
	// +optional
	EmptyDisk *EmptyDiskSource `json:"emptyDisk,omitempty"`
	// containerDisk is a disk from a container image; changes to it are lost when the machine stops.
	// +optional
	ContainerDisk *ContainerDiskSource `json:"containerDisk,omitempty"`
}

// Filesystem is a directory shared with the guest by virtiofs. Exactly one source must be set.
type Filesystem struct {
	// name is the tag by which the guest mounts the filesystem: lower-case letters, digits and '-', at most 54
	// characters.
	Name string `json:"name"`
	// The volume behind the filesystem.
	VolumeSource `json:",inline"`
}

// VolumeSource is the volume behind a disk or a filesystem.
type VolumeSource struct {
	// persistentVolumeClaim uses a PersistentVolumeClaim of the same namespace.
	// +optional
	PersistentVolumeClaim *PersistentVolumeClaimSource `json:"persistentVolumeClaim,omitempty"`
	// ephemeral reads a volume and keeps all writes in a throw-away overlay, which is lost when the machine stops or
	// restarts. A filesystem gets a copy of the volume for each run instead of an overlay.
	// +optional
	Ephemeral *EphemeralSource `json:"ephemeral,omitempty"`
	// configMap shows the entries of a ConfigMap as files, read-only.
	// +optional
	ConfigMap *ConfigMapSource `json:"configMap,omitempty"`
	// secret shows the entries of a Secret as files, read-only.
	// +optional
	Secret *SecretSource `json:"secret,omitempty"`
	// serviceAccount shows the files ca.crt, namespace and token of a ServiceAccount. At most one ServiceAccount may be
	// used by one machine.
	// +optional
	ServiceAccount *ServiceAccountSource `json:"serviceAccount,omitempty"`
	// downwardAPI shows fields of the machine's object as files, read-only.
	// +optional
	DownwardAPI *DownwardAPISource `json:"downwardAPI,omitempty"`
}

// PersistentVolumeClaimSource names a PersistentVolumeClaim of the same namespace.
type PersistentVolumeClaimSource struct {
	// claimName is the name of the PersistentVolumeClaim.
	ClaimName string `json:"claimName"`
	// readOnly mounts the volume read-only.
	// +optional
	ReadOnly bool `json:"readOnly,omitempty"`
}

// EphemeralSource is a volume that is read, and written to only in a throw-away overlay.
type EphemeralSource struct {
	// persistentVolumeClaim names the PersistentVolumeClaim that is read.
	PersistentVolumeClaim *PersistentVolumeClaimSource `json:"persistentVolumeClaim,omitempty"`
}

// ConfigMapSource names a ConfigMap of the same namespace.
type ConfigMapSource struct {
	// name is the name of the ConfigMap.
	Name string `json:"name"`
	// optional lets the machine start without the ConfigMap.
	// +optional
	Optional *bool `json:"optional,omitempty"`
	// volumeLabel is the label of the disk that the guest sees. It has no effect on a filesystem.
	// +optional
	VolumeLabel string `json:"volumeLabel,omitempty"`
}

// SecretSource names a Secret of the same namespace.
type SecretSource struct {
	// secretName is the name of the Secret.
	SecretName string `json:"secretName"`
	// optional lets the machine start without the Secret.
	// +optional
	Optional *bool `json:"optional,omitempty"`
	// volumeLabel is the label of the disk that the guest sees. It has no effect on a filesystem.
	// +optional
	VolumeLabel string `json:"volumeLabel,omitempty"`
}

// ServiceAccountSource names a ServiceAccount of the same namespace.
type ServiceAccountSource struct {
	// serviceAccountName is the name of the ServiceAccount.
	ServiceAccountName string `json:"serviceAccountName"`
}

// DownwardAPISource lists fields of the machine's object that appear as files.
type DownwardAPISource struct {
	// fields lists the files and the fields that they show.
	// +optional
	// +listType=map
	// +listMapKey=path
	Fields []corev1.DownwardAPIVolumeFile `json:"fields,omitempty"`
	// volumeLabel is the label of the disk that the guest sees. It has no effect on a filesystem.
	// +optional
	VolumeLabel string `json:"volumeLabel,omitempty"`
}

// EmptyDiskSource is a blank disk that lives as long as the machine runs.
type EmptyDiskSource struct {
	// capacity is the size of the disk, such as 10Gi.
	Capacity resource.Quantity `json:"capacity"`
}

// ContainerDiskSource is a disk from a container image.
type ContainerDiskSource struct {
	// image is the container image that holds the disk under /disk.
	Image string `json:"image"`
	// imagePullSecret names a Secret of the same namespace with the registry's credentials.
	// +optional
	ImagePullSecret string `json:"imagePullSecret,omitempty"`
	// path is the path of the disk in the image. Defaults to the only file under /disk.
	// +optional
	Path string `json:"path,omitempty"`
	// imagePullPolicy is Always, Never or IfNotPresent.
	// +optional
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`
}
