package validation

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// MaxSerialLength is how much of a serial number the guest sees of a virtio disk.
const MaxSerialLength = 20

var (
	serialPattern = regexp.MustCompile(`^[A-Za-z0-9_.+-]+$`)
	pullPolicies  = []corev1.PullPolicy{corev1.PullAlways, corev1.PullNever, corev1.PullIfNotPresent}
)

func (c *volumeChecker) validateDisk(disk *tensorstack.AdditionalDisk, path *field.Path) field.ErrorList {
	maximum := validation.DNS1123LabelMaxLength
	if disk.ContainerDisk != nil {
		maximum = maxContainerDiskName
	}
	errs := c.validateName(disk.Name, maximum, path.Child("name"))
	errs = append(errs, c.validateSerial(disk.Serial, path.Child("serial"))...)
	readOnly := disk.PersistentVolumeClaim != nil && disk.PersistentVolumeClaim.ReadOnly
	errs = append(errs, validateBus(disk.Bus, readOnly, path.Child("bus"))...)

	sources := c.volumeSources(&disk.VolumeSource, path)
	if disk.EmptyDisk != nil {
		empty := path.Child("emptyDisk")
		sources = append(sources, source{empty, func() field.ErrorList {
			return validateBytes(disk.EmptyDisk.Capacity, MinDiskBytes, MaxDiskBytes, "10Gi", empty.Child("capacity"))
		}})
	}
	if disk.ContainerDisk != nil {
		container := path.Child("containerDisk")
		sources = append(sources, source{container, func() field.ErrorList {
			return validateContainerDisk(disk.ContainerDisk, container)
		}})
	}
	return append(errs, validateOneSource(sources, path, "persistentVolumeClaim, ephemeral, configMap, secret, serviceAccount, "+
		"downwardAPI, emptyDisk or containerDisk")...)
}

func (c *volumeChecker) validateSerial(serial string, path *field.Path) field.ErrorList {
	if serial == "" {
		return nil
	}
	switch {
	case len(serial) > MaxSerialLength:
		return field.ErrorList{field.Invalid(path, serial, fmt.Sprintf("must have at most %d characters: the guest does not see "+
			"more of it", MaxSerialLength))}
	case !serialPattern.MatchString(serial):
		return field.ErrorList{field.Invalid(path, serial, "must consist of letters, digits, '_', '.', '+' and '-'")}
	case c.serials.Has(serial):
		return field.ErrorList{field.Duplicate(path, serial)}
	}
	c.serials.Insert(serial)
	return nil
}

func validateContainerDisk(disk *tensorstack.ContainerDiskSource, fields *field.Path) field.ErrorList {
	errs := validateImage(disk.Image, fields.Child("image"))
	errs = append(errs, validateOptionalName(disk.ImagePullSecret, "Secret", fields.Child("imagePullSecret"))...)
	if disk.ImagePullPolicy != "" {
		errs = append(errs, validateEnum(disk.ImagePullPolicy, pullPolicies, fields.Child("imagePullPolicy"))...)
	}
	if disk.Path != "" && !isFilePath(disk.Path) {
		errs = append(errs, field.Invalid(fields.Child("path"), disk.Path, "must be the absolute path of a file in the image "+
			"without . and .., such as /disk/disk.img"))
	}
	return errs
}

// isFilePath follows KubeVirt's rule for paths in container disks.
func isFilePath(name string) bool {
	clean := path.Join("/", name)
	return clean != "/" && clean == strings.TrimSuffix(name, "/") && !strings.ContainsAny(name, "\x00\n\r")
}
