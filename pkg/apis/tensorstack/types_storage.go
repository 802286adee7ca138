package tensorstack

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

// Storage is the root disk, the additional disks and the shared filesystems of a machine.
type Storage struct {
	// root is the disk that the machine boots from, /dev/vda in the guest unless its bus is another than virtio.
	Root RootDisk
	// additionalDisks are further disks, in order: /dev/vdb, /dev/vdc and so on. The names in the guest are not
	// guaranteed; find a disk by its serial.
	AdditionalDisks []AdditionalDisk
	// filesystems are directories shared with the guest by virtiofs. Mount one in the guest with
	// "mount -t virtiofs NAME DIRECTORY".
	Filesystems []Filesystem
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
	PVC RootDiskClaim
	// source is where the disk's content comes from: exactly one of http, s3, gcs, registry, pvc, snapshot, upload,
	// blank, imageio and vddk. It may change only as long as the disk has never been imported. See
	// https://pkg.go.dev/kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1#DataVolumeSource.
	Source cdiv1.DataVolumeSource
	// containerDisk takes the disk from a container image, in place of pvc and source. Changes to it are lost when the
	// machine stops.
	ContainerDisk *ContainerDiskSource
	// persistentVolumeClaim names a PersistentVolumeClaim of the same namespace that holds the disk already, in place of pvc
	// and source. Nothing is imported into it, and it is never deleted.
	PersistentVolumeClaim *RootDiskVolume
	// bus is how the disk is attached: virtio, sata or scsi. Defaults to virtio.
	Bus DiskBus
	// ephemeral keeps all changes to the disk in a throw-away overlay, which is lost when the machine stops or
	// restarts. The imported disk itself never changes.
	Ephemeral bool
	// deletionPolicy says what happens to the disk of pvc when the VirtualServer is deleted: Delete or Retain.
	// Defaults to Delete.
	DeletionPolicy DeletionPolicy
}

// RootDiskClaim describes the PersistentVolumeClaim of a root disk.
type RootDiskClaim struct {
	// size is the size of the volume, such as 4Gi. It may grow after creation if the StorageClass allows that, and
	// never shrink.
	Size resource.Quantity
	// volumeMode is Filesystem or Block. Defaults to Filesystem.
	VolumeMode corev1.PersistentVolumeMode
	// accessModes is the access mode of the volume, exactly one. Defaults to ReadWriteOnce.
	AccessModes []corev1.PersistentVolumeAccessMode
	// storageClassName names the StorageClass. Leave it out to get the default class of the cluster.
	StorageClassName *string
}

// RootDiskVolume names the PersistentVolumeClaim of a root disk.
type RootDiskVolume struct {
	// claimName is the name of the PersistentVolumeClaim.
	ClaimName string
}

// AdditionalDisk is a disk beside the root disk. Exactly one source must be set.
type AdditionalDisk struct {
	// name identifies the disk within the machine: lower-case letters, digits and '-', at most 63 characters.
	Name string
	// serial is the serial number that the guest sees, 1 to 20 of A-Z, a-z, 0-9, '_', '.', '+' and '-'. If it is
	// empty, a stable one is derived and shown in status.disks.
	Serial string
	// bus is how the disk is attached: virtio, sata or scsi. Defaults to virtio.
	Bus DiskBus
	// The volume behind the disk.
	VolumeSource
	// emptyDisk is a blank disk that lives as long as the machine runs.
	EmptyDisk *EmptyDiskSource
	// containerDisk is a disk from a container image; changes to it are lost when the machine stops.
	ContainerDisk *ContainerDiskSource
}

// Filesystem is a directory shared with the guest by virtiofs. Exactly one source must be set.
type Filesystem struct {
	// name is the tag by which the guest mounts the filesystem: lower-case letters, digits and '-', at most 54
	// characters.
	Name string
	// The volume behind the filesystem.
	VolumeSource
}

// VolumeSource is the volume behind a disk or a filesystem.
type VolumeSource struct {
	// persistentVolumeClaim uses a PersistentVolumeClaim of the same namespace.
	PersistentVolumeClaim *PersistentVolumeClaimSource
	// ephemeral reads a volume and keeps all writes in a throw-away overlay, which is lost when the machine stops or
	// restarts. A filesystem gets a copy of the volume for each run instead of an overlay.
	Ephemeral *EphemeralSource
	// configMap shows the entries of a ConfigMap as files, read-only.
	ConfigMap *ConfigMapSource
	// secret shows the entries of a Secret as files, read-only.
	Secret *SecretSource
	// serviceAccount shows the files ca.crt, namespace and token of a ServiceAccount. At most one ServiceAccount may be
	// used by one machine.
	ServiceAccount *ServiceAccountSource
	// downwardAPI shows fields of the machine's object as files, read-only.
	DownwardAPI *DownwardAPISource
}

// PersistentVolumeClaimSource names a PersistentVolumeClaim of the same namespace.
type PersistentVolumeClaimSource struct {
	// claimName is the name of the PersistentVolumeClaim.
	ClaimName string
	// readOnly mounts the volume read-only.
	ReadOnly bool
}

// EphemeralSource is a volume that is read, and written to only in a throw-away overlay.
type EphemeralSource struct {
	// persistentVolumeClaim names the PersistentVolumeClaim that is read.
	PersistentVolumeClaim *PersistentVolumeClaimSource
}

// ConfigMapSource names a ConfigMap of the same namespace.
type ConfigMapSource struct {
	// name is the name of the ConfigMap.
	Name string
	// optional lets the machine start without the ConfigMap.
	Optional *bool
	// volumeLabel is the label of the disk that the guest sees. It has no effect on a filesystem.
	VolumeLabel string
}

// SecretSource names a Secret of the same namespace.
type SecretSource struct {
	// secretName is the name of the Secret.
	SecretName string
	// optional lets the machine start without the Secret.
	Optional *bool
	// volumeLabel is the label of the disk that the guest sees. It has no effect on a filesystem.
	VolumeLabel string
}

// ServiceAccountSource names a ServiceAccount of the same namespace.
type ServiceAccountSource struct {
	// serviceAccountName is the name of the ServiceAccount.
	ServiceAccountName string
}

// DownwardAPISource lists fields of the machine's object that appear as files.
type DownwardAPISource struct {
	// fields lists the files and the fields that they show.
	Fields []corev1.DownwardAPIVolumeFile
	// volumeLabel is the label of the disk that the guest sees. It has no effect on a filesystem.
	VolumeLabel string
}

// EmptyDiskSource is a blank disk that lives as long as the machine runs.
type EmptyDiskSource struct {
	// capacity is the size of the disk, such as 10Gi.
	Capacity resource.Quantity
}

// ContainerDiskSource is a disk from a container image.
type ContainerDiskSource struct {
	// image is the container image that holds the disk under /disk.
	Image string
	// imagePullSecret names a Secret of the same namespace with the registry's credentials.
	ImagePullSecret string
	// path is the path of the disk in the image. Defaults to the only file under /disk.
	Path string
	// imagePullPolicy is Always, Never or IfNotPresent.
	ImagePullPolicy corev1.PullPolicy
}
