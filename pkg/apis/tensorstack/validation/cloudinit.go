package validation

import (
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// MaxCloudInitBytes is how long cloud-init user data may be: it is handed over in a Secret, and that is a Secret's limit.
// The limit on the whole spec may bite first.
const MaxCloudInitBytes = corev1.MaxSecretSize

func validateCloudInit(spec *tensorstack.VirtualServerSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case len(spec.CloudInit) > MaxCloudInitBytes:
		errs = append(errs, field.TooLong(path.Child("cloudInit"), "", MaxCloudInitBytes))
	case !utf8.ValidString(spec.CloudInit):
		errs = append(errs, field.Invalid(path.Child("cloudInit"), "", "must be text in UTF-8: put binary data into a Secret "+
			"and name it in cloudInitSecretRef"))
	case spec.CloudInit != "" && strings.TrimSpace(spec.CloudInit) == "":
		errs = append(errs, field.Invalid(path.Child("cloudInit"), spec.CloudInit, "is only white space: leave it out"))
	}
	if spec.CloudInitSecretRef == nil {
		return errs
	}
	reference := path.Child("cloudInitSecretRef")
	if spec.CloudInit != "" {
		errs = append(errs, field.Forbidden(reference, "cloudInit is set too: keep one of the two"))
	}
	return append(errs, validateObjectName(spec.CloudInitSecretRef.Name, "Secret", reference.Child("name"))...)
}
