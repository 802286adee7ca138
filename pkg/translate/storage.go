package translate

import (
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/naming"
	"tensorstack.dev/virtualserver/pkg/scratch"
)

const (
	// RootDiskName is the name of the root disk and its volume, also in status.disks.
	RootDiskName = "root"
	// CloudInitDiskName is the name of the disk that carries the cloud-init user data.
	CloudInitDiskName = "cloudinit"
	// MaxSerialLength is how much of a serial a guest sees: virtio-blk has 20 bytes for it.
	MaxSerialLength = 20
)

// ReservedNames returns the names that no additional disk and no filesystem may have: those of our own disks, and those
// that KubeVirt gives to volumes of its pod (pkg/virt-controller/services/rendervolumes.go of KubeVirt).
func ReservedNames() sets.Set[string] {
	return sets.New(RootDiskName, CloudInitDiskName,
		"private", "public", "sockets", "ephemeral-disks", "container-disks", "hotplug-disks", "libvirt-runtime",
		"virt-bin-share-dir", "virtiofs-containers")
}

// attached is everything that the machine has attached: disks, filesystems and the volumes behind both.
type attached struct {
	disks       []kubevirtv1.Disk
	filesystems []kubevirtv1.Filesystem
	volumes     []kubevirtv1.Volume
}

// attachments puts the root disk first and cloud-init last, so that the user's disks are vdb, vdc and so on in the order
// of the spec.
func attachments(vs *v1beta1.VirtualServer, copies map[string]string) (attached, field.ErrorList) {
	var (
		all    attached
		errs   field.ErrorList
		path   = field.NewPath("spec", "storage")
		taken  = ReservedNames()
		serial = serials(vs)
	)
	bus := busOf(vs.Spec.Storage.Root.Bus)
	all.addDisk(RootDiskName, serial[RootDiskName], bus, rootVolume(vs))
	all.disks[0].BootOrder = ptr.To(uint(1))

	for i, disk := range vs.Spec.Storage.AdditionalDisks {
		at := path.Child("additionalDisks").Index(i)
		errs = append(errs, takeName(taken, disk.Name, at)...)
		source, err := diskVolume(disk, at)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all.addDisk(disk.Name, serial[disk.Name], busOf(disk.Bus), source)
	}
	for i, filesystem := range vs.Spec.Storage.Filesystems {
		at := path.Child("filesystems").Index(i)
		errs = append(errs, takeName(taken, filesystem.Name, at)...)
		source, err := filesystemVolume(vs, filesystem, copies, at)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all.filesystems = append(all.filesystems, kubevirtv1.Filesystem{
			Name:     filesystem.Name,
			Virtiofs: &kubevirtv1.FilesystemVirtiofs{},
		})
		all.addVolume(filesystem.Name, source)
	}
	if source := cloudInitVolume(vs); source != nil {
		// A guest that boots from another bus may have no driver for virtio.
		all.addDisk(CloudInitDiskName, "", bus, *source)
	}
	return all, errs
}

func takeName(taken sets.Set[string], name string, at *field.Path) field.ErrorList {
	switch {
	case ReservedNames().Has(name):
		return field.ErrorList{field.Invalid(at.Child("name"), name, "the name is reserved; choose another one")}
	case taken.Has(name):
		return field.ErrorList{field.Duplicate(at.Child("name"), name)}
	default:
		taken.Insert(name)
		return nil
	}
}

// busOf returns the bus of a disk: virtio unless the user says otherwise, because the guide promises /dev/vda, /dev/vdb and so
// on. KubeVirt would choose sata.
func busOf(bus v1beta1.DiskBus) kubevirtv1.DiskBus {
	return kubevirtv1.DiskBus(cmp.Or(bus, v1beta1.DiskBusVirtio))
}

// addDisk adds a disk and its volume.
func (a *attached) addDisk(name, serial string, bus kubevirtv1.DiskBus, source kubevirtv1.VolumeSource) {
	claim := source.PersistentVolumeClaim
	a.disks = append(a.disks, kubevirtv1.Disk{
		Name: name,
		DiskDevice: kubevirtv1.DiskDevice{Disk: &kubevirtv1.DiskTarget{
			Bus:      bus,
			ReadOnly: claim != nil && claim.ReadOnly,
		}},
		Serial: serial,
	})
	a.addVolume(name, source)
}

func (a *attached) addVolume(name string, source kubevirtv1.VolumeSource) {
	a.volumes = append(a.volumes, kubevirtv1.Volume{Name: name, VolumeSource: source})
}

// rootVolume is the DataVolume itself, so that KubeVirt waits for its import. An ephemeral root is an overlay over its
// claim; KubeVirt does not wait for that, so the controller holds the machine. A root that is not made for the machine is what
// the user names.
func rootVolume(vs *v1beta1.VirtualServer) kubevirtv1.VolumeSource {
	root, claim := &vs.Spec.Storage.Root, RootClaimName(vs)
	switch {
	case root.ContainerDisk != nil:
		return containerDiskVolume(root.ContainerDisk)
	case root.Ephemeral:
		return kubevirtv1.VolumeSource{Ephemeral: &kubevirtv1.EphemeralVolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
		}}
	case root.PersistentVolumeClaim != nil:
		return kubevirtv1.VolumeSource{PersistentVolumeClaim: &kubevirtv1.PersistentVolumeClaimVolumeSource{
			PersistentVolumeClaimVolumeSource: corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
		}}
	default:
		return kubevirtv1.VolumeSource{DataVolume: &kubevirtv1.DataVolumeSource{Name: claim}}
	}
}

// MakesRootDisk says whether the root disk is made for the machine and goes with it, and is not an image or a claim that exists.
func MakesRootDisk(vs *v1beta1.VirtualServer) bool {
	root := &vs.Spec.Storage.Root
	return root.ContainerDisk == nil && root.PersistentVolumeClaim == nil
}

// RootClaimName returns the claim that holds the root disk, or nothing for a container image.
func RootClaimName(vs *v1beta1.VirtualServer) string {
	switch root := &vs.Spec.Storage.Root; {
	case root.ContainerDisk != nil:
		return ""
	case root.PersistentVolumeClaim != nil:
		return root.PersistentVolumeClaim.ClaimName
	default:
		return vs.Status.VM.Name
	}
}

func containerDiskVolume(disk *v1beta1.ContainerDiskSource) kubevirtv1.VolumeSource {
	return kubevirtv1.VolumeSource{ContainerDisk: &kubevirtv1.ContainerDiskSource{
		Image:           disk.Image,
		ImagePullSecret: disk.ImagePullSecret,
		Path:            disk.Path,
		ImagePullPolicy: disk.ImagePullPolicy,
	}}
}

func diskVolume(disk v1beta1.AdditionalDisk, at *field.Path) (kubevirtv1.VolumeSource, *field.Error) {
	switch {
	case disk.EmptyDisk != nil:
		return kubevirtv1.VolumeSource{EmptyDisk: &kubevirtv1.EmptyDiskSource{
			Capacity: disk.EmptyDisk.Capacity.DeepCopy(),
		}}, nil
	case disk.ContainerDisk != nil:
		return containerDiskVolume(disk.ContainerDisk), nil
	default:
		return sharedVolume(disk.VolumeSource, at)
	}
}

// filesystemVolume gives an ephemeral claim a copy in its place, for each run another. KubeVirt shares the claim itself with
// the guest and makes no overlay, so that writes would reach it.
func filesystemVolume(vs *v1beta1.VirtualServer, filesystem v1beta1.Filesystem, copies map[string]string, at *field.Path) (kubevirtv1.VolumeSource, *field.Error) {
	ephemeral := filesystem.Ephemeral
	if ephemeral == nil || ephemeral.PersistentVolumeClaim == nil {
		return sharedVolume(filesystem.VolumeSource, at)
	}
	name := copies[filesystem.Name]
	if name == "" {
		name = scratch.Name(vs.Status.VM.Name, filesystem.Name, string(vs.UID))
	}
	return kubevirtv1.VolumeSource{PersistentVolumeClaim: &kubevirtv1.PersistentVolumeClaimVolumeSource{
		PersistentVolumeClaimVolumeSource: corev1.PersistentVolumeClaimVolumeSource{
			ClaimName: name, ReadOnly: ephemeral.PersistentVolumeClaim.ReadOnly,
		},
	}}, nil
}

// sharedVolume translates the sources that disks and filesystems have in common.
func sharedVolume(source v1beta1.VolumeSource, at *field.Path) (kubevirtv1.VolumeSource, *field.Error) {
	switch {
	case source.PersistentVolumeClaim != nil:
		return kubevirtv1.VolumeSource{PersistentVolumeClaim: &kubevirtv1.PersistentVolumeClaimVolumeSource{
			PersistentVolumeClaimVolumeSource: *claimVolume(source.PersistentVolumeClaim),
		}}, nil
	case source.Ephemeral != nil && source.Ephemeral.PersistentVolumeClaim != nil:
		return kubevirtv1.VolumeSource{Ephemeral: &kubevirtv1.EphemeralVolumeSource{
			PersistentVolumeClaim: claimVolume(source.Ephemeral.PersistentVolumeClaim),
		}}, nil
	case source.ConfigMap != nil:
		return kubevirtv1.VolumeSource{ConfigMap: &kubevirtv1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: source.ConfigMap.Name},
			Optional:             copyOf(source.ConfigMap.Optional),
			VolumeLabel:          source.ConfigMap.VolumeLabel,
		}}, nil
	case source.Secret != nil:
		return kubevirtv1.VolumeSource{Secret: &kubevirtv1.SecretVolumeSource{
			SecretName:  source.Secret.SecretName,
			Optional:    copyOf(source.Secret.Optional),
			VolumeLabel: source.Secret.VolumeLabel,
		}}, nil
	case source.ServiceAccount != nil:
		return kubevirtv1.VolumeSource{ServiceAccount: &kubevirtv1.ServiceAccountVolumeSource{
			ServiceAccountName: source.ServiceAccount.ServiceAccountName,
		}}, nil
	case source.DownwardAPI != nil:
		return kubevirtv1.VolumeSource{DownwardAPI: &kubevirtv1.DownwardAPIVolumeSource{
			Fields:      source.DeepCopy().DownwardAPI.Fields,
			VolumeLabel: source.DownwardAPI.VolumeLabel,
		}}, nil
	default:
		return kubevirtv1.VolumeSource{}, field.Required(at, "one volume source must be set")
	}
}

func claimVolume(claim *v1beta1.PersistentVolumeClaimSource) *corev1.PersistentVolumeClaimVolumeSource {
	return &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim.ClaimName, ReadOnly: claim.ReadOnly}
}

func copyOf[T any](value *T) *T {
	if value == nil {
		return nil
	}
	return ptr.To(*value)
}

// serials returns the serial of each disk by the disk's name. Where the spec gives none, the name of the disk is the
// serial, as far as it fits: it is unique within the machine, known before the machine exists, and stays the same when
// another VirtualServer takes the disk over.
func serials(vs *v1beta1.VirtualServer) map[string]string {
	disks := vs.Spec.Storage.AdditionalDisks
	byName := make(map[string]string, len(disks)+1)
	taken := sets.New[string]()
	for _, disk := range disks {
		if disk.Serial != "" {
			byName[disk.Name] = disk.Serial
			taken.Insert(disk.Serial)
		}
	}
	derive := func(name string) {
		serial := naming.Shorten(name, MaxSerialLength)
		for attempt := 1; taken.Has(serial); attempt++ {
			const head, digits = 11, 8
			serial = name[:min(len(name), head)] + "-" + naming.Hash(fmt.Sprintf("%s/%d", name, attempt), digits)
		}
		byName[name] = serial
		taken.Insert(serial)
	}
	derive(RootDiskName)
	for _, disk := range disks {
		if disk.Serial == "" {
			derive(disk.Name)
		}
	}
	return byName
}
