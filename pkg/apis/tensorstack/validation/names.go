package validation

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	// RootDiskName is the name of the root disk among a machine's disks. Users cannot give it to another disk.
	RootDiskName = "root"
	// CloudInitDiskName is the name of the disk that carries cloud-init data. Users cannot give it to another disk.
	CloudInitDiskName = "cloudinit"
)

// The name of a volume becomes part of container names, which have at most 63 characters.
const (
	maxFilesystemName    = validation.DNS1123LabelMaxLength - len("virtiofs-")
	maxContainerDiskName = validation.DNS1123LabelMaxLength - len("volume") - len("-init")
)

// reservedVolumeNames are the names of the other volumes in the pod of a machine (KubeVirt, pkg/virt-controller/services)
// and of our own disks. A volume with such a name would give a pod that no cluster accepts.
var reservedVolumeNames = sets.New(
	RootDiskName,
	CloudInitDiskName,
	CloudInitDiskName+"-udata",
	CloudInitDiskName+"-ndata",
	"container-disks",
	"ephemeral-disks",
	"hotplug-disks",
	"hugepages",
	"hugetblfs-dir",
	"kernel-boot-volume",
	"libvirt-runtime",
	"network-info-annotation",
	"private",
	"private-libvirt",
	"private-libvirt-qemu",
	"public",
	"sockets",
	"virt-bin-share-dir",
	"virtiofs-containers",
)

// IsReservedDiskName says whether a name of a disk or filesystem is taken by something else in every machine.
func IsReservedDiskName(name string) bool {
	return reservedVolumeNames.Has(name)
}

// validateName checks the name of a disk or filesystem, of at most maximum characters.
func (c *volumeChecker) validateName(name string, maximum int, path *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "give it a name, such as data")}
	}
	var errs field.ErrorList
	switch {
	case len(name) > maximum:
		errs = append(errs, field.Invalid(path, name, fmt.Sprintf("must have at most %d characters, because KubeVirt makes a "+
			"container name of it", maximum)))
	case len(validation.IsDNS1123Label(name)) > 0:
		errs = append(errs, field.Invalid(path, name, strings.Join(validation.IsDNS1123Label(name), "; ")))
	case IsReservedDiskName(name):
		errs = append(errs, field.Invalid(path, name, "is reserved: choose another name"))
	case c.names.Has(name):
		errs = append(errs, field.Duplicate(path, name))
	}
	c.names.Insert(name)
	return errs
}
