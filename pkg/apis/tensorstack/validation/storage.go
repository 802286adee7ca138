package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

const (
	// MinDiskBytes is the smallest disk that CDI and KubeVirt take.
	MinDiskBytes = 1 << 20
	// MaxDiskBytes is the largest disk.
	MaxDiskBytes = 8 << 50
	// MaxVolumes is the largest number of additional disks and filesystems together. Every one of them makes the
	// VirtualMachine and its pod longer, and those have to fit into etcd too.
	MaxVolumes = 256
)

var (
	volumeModes = []corev1.PersistentVolumeMode{corev1.PersistentVolumeFilesystem, corev1.PersistentVolumeBlock}
	accessModes = []corev1.PersistentVolumeAccessMode{
		corev1.ReadWriteOnce, corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOncePod,
	}
	deletionPolicies = []tensorstack.DeletionPolicy{tensorstack.DeletionPolicyDelete, tensorstack.DeletionPolicyRetain}
)

func validateStorage(storage *tensorstack.Storage, path *field.Path) field.ErrorList {
	errs := validateRoot(&storage.Root, path.Child("root"))
	if count := len(storage.AdditionalDisks) + len(storage.Filesystems); count > MaxVolumes {
		return append(errs, field.Forbidden(path, fmt.Sprintf("has %d additional disks and filesystems and may have at most %d "+
			"together", count, MaxVolumes)))
	}
	volumes := newVolumeChecker()
	for i := range storage.AdditionalDisks {
		errs = append(errs, volumes.validateDisk(&storage.AdditionalDisks[i], path.Child("additionalDisks").Index(i))...)
	}
	for i := range storage.Filesystems {
		errs = append(errs, volumes.validateFilesystem(&storage.Filesystems[i], path.Child("filesystems").Index(i))...)
	}
	return append(errs, validateClaimUses(storage, path)...)
}

func validateRootClaim(claim *tensorstack.RootDiskClaim, path *field.Path) field.ErrorList {
	errs := validateBytes(claim.Size, MinDiskBytes, MaxDiskBytes, "4Gi", path.Child("size"))
	errs = append(errs, validateEnum(claim.VolumeMode, volumeModes, path.Child("volumeMode"))...)
	modes := path.Child("accessModes")
	if len(claim.AccessModes) != 1 {
		// CDI refuses to choose among several.
		errs = append(errs, field.Invalid(modes, claim.AccessModes, "must name exactly one access mode, such as ReadWriteOnce"))
	} else {
		errs = append(errs, validateEnum(claim.AccessModes[0], accessModes, modes.Index(0))...)
	}
	if claim.StorageClassName != nil {
		errs = append(errs, validateOptionalName(*claim.StorageClassName, "StorageClass", path.Child("storageClassName"))...)
	}
	return errs
}

// volumeChecker remembers what must be unique among all disks and filesystems of a machine.
type volumeChecker struct {
	names          sets.Set[string]
	serials        sets.Set[string]
	serviceAccount *field.Path
}

func newVolumeChecker() *volumeChecker {
	return &volumeChecker{names: sets.New[string](), serials: sets.New[string]()}
}
