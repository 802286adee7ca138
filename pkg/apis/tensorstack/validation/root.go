package validation

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// validateRoot checks that the root disk is one of three: a claim that is made for the machine and filled from a source, a
// container image, or a claim that exists.
func validateRoot(root *tensorstack.RootDisk, path *field.Path) field.ErrorList {
	errs := validateBus(root.Bus, false, path.Child("bus"))
	if root.ContainerDisk == nil && root.PersistentVolumeClaim == nil {
		errs = append(errs, validateRootClaim(&root.PVC, path.Child("pvc"))...)
		errs = append(errs, validateSource(&root.Source, path.Child("source"))...)
		return append(errs, validateEnum(root.DeletionPolicy, deletionPolicies, path.Child("deletionPolicy"))...)
	}
	kind := path.Child("persistentVolumeClaim")
	if disk := root.ContainerDisk; disk != nil {
		kind = path.Child("containerDisk")
		if root.PersistentVolumeClaim != nil {
			errs = append(errs, field.Forbidden(path.Child("persistentVolumeClaim"), fmt.Sprintf("%s is set too: keep one of the two", kind)))
		}
		errs = append(errs, validateContainerDisk(disk, kind)...)
	} else {
		errs = append(errs, validateObjectName(root.PersistentVolumeClaim.ClaimName, "PersistentVolumeClaim", kind.Child("claimName"))...)
	}
	if !equality.Semantic.DeepEqual(root.PVC, tensorstack.RootDiskClaim{}) {
		errs = append(errs, field.Forbidden(path.Child("pvc"), fmt.Sprintf("describes a disk that is made for the machine, and %s is set: keep one of the two", kind)))
	}
	if !equality.Semantic.DeepEqual(root.Source, cdiv1.DataVolumeSource{}) {
		errs = append(errs, field.Forbidden(path.Child("source"), fmt.Sprintf("fills a disk that is made for the machine, and %s is set: keep one of the two", kind)))
	}
	if root.DeletionPolicy != "" {
		errs = append(errs, field.Forbidden(path.Child("deletionPolicy"), fmt.Sprintf("is for a disk that is made for the machine: with %s nothing is deleted, "+
			"so leave it out", kind)))
	}
	return errs
}

var diskBuses = []tensorstack.DiskBus{tensorstack.DiskBusVirtio, tensorstack.DiskBusSATA, tensorstack.DiskBusSCSI}

// validateBus also keeps KubeVirt's rule that no SATA disk is read-only, which QEMU cannot do.
func validateBus(bus tensorstack.DiskBus, readOnly bool, path *field.Path) field.ErrorList {
	switch {
	case bus == "":
		return nil
	case bus == tensorstack.DiskBusSATA && readOnly:
		return field.ErrorList{field.Invalid(path, bus, "cannot be read-only: use virtio or scsi, or an ephemeral volume")}
	default:
		return validateEnum(bus, diskBuses, path)
	}
}

// validateRootKind refuses to make another kind of root disk of one: what is on the disk that was made for the machine would be
// lost to it, and a disk of somebody else's become its own.
func validateRootKind(updated, old *tensorstack.RootDisk, path *field.Path) field.ErrorList {
	if MakesRootDisk(updated) == MakesRootDisk(old) {
		return nil
	}
	what := "the disk that was made for the machine"
	if !MakesRootDisk(old) {
		what = "a disk that was not made for the machine"
	}
	return field.ErrorList{field.Forbidden(path, "cannot change from "+what+" to another kind: make another VirtualServer, or restore the former value")}
}

// MakesRootDisk says whether the root disk is made for the machine, and is not an image or a claim that exists.
func MakesRootDisk(root *tensorstack.RootDisk) bool {
	return root.ContainerDisk == nil && root.PersistentVolumeClaim == nil
}
