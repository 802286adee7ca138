package validation

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

func (c *volumeChecker) validateFilesystem(filesystem *tensorstack.Filesystem, path *field.Path) field.ErrorList {
	errs := c.validateName(filesystem.Name, maxFilesystemName, path.Child("name"))
	return append(errs, validateOneSource(c.volumeSources(&filesystem.VolumeSource, path), path,
		"persistentVolumeClaim, ephemeral, configMap, secret, serviceAccount or downwardAPI")...)
}
