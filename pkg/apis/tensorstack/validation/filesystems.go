package validation

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// ephemeralFilesystemReason says why an ephemeral filesystem is refused. KubeVirt's admission takes it, but its virtiofs
// container mounts the claim for writing, so that nothing about it is ephemeral.
const ephemeralFilesystemReason = "an ephemeral filesystem is not possible yet: KubeVirt would write the guest's changes to the " +
	"PersistentVolumeClaim itself. Use it as an additional disk (ephemeral works there), or without ephemeral and with readOnly: " +
	"true as a filesystem"

func (c *volumeChecker) validateFilesystem(filesystem *tensorstack.Filesystem, path *field.Path) field.ErrorList {
	errs := c.validateName(filesystem.Name, maxFilesystemName, path.Child("name"))
	if filesystem.Ephemeral != nil {
		errs = append(errs, field.Forbidden(path.Child("ephemeral"), ephemeralFilesystemReason))
	}
	return append(errs, validateOneSource(c.volumeSources(&filesystem.VolumeSource, path), path,
		"persistentVolumeClaim, configMap, secret, serviceAccount or downwardAPI")...)
}
