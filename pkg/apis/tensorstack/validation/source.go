package validation

import (
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/net/http/httpguts"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

const sourceChoices = "http, s3, gcs, registry, pvc, snapshot, upload, blank, imageio or vddk"

// checksumLengths are the algorithms that CDI knows and how many hexadecimal digits their sums have.
var checksumLengths = map[string]int{"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}

var pullMethods = []cdiv1.RegistryPullMethod{cdiv1.RegistryPullPod, cdiv1.RegistryPullNode}

// validateSource follows CDI's admission of DataVolumes (pkg/apiserver/webhooks).
func validateSource(from *cdiv1.DataVolumeSource, path *field.Path) field.ErrorList {
	var sources []source
	add := func(name string, validate func(*field.Path) field.ErrorList) {
		child := path.Child(name)
		sources = append(sources, source{child, func() field.ErrorList { return validate(child) }})
	}
	if from.HTTP != nil {
		add("http", func(path *field.Path) field.ErrorList { return validateHTTP(from.HTTP, path) })
	}
	if from.S3 != nil {
		add("s3", func(path *field.Path) field.ErrorList { return validateS3(from.S3, path) })
	}
	if from.GCS != nil {
		add("gcs", func(path *field.Path) field.ErrorList { return validateGCS(from.GCS, path) })
	}
	if from.Registry != nil {
		add("registry", func(path *field.Path) field.ErrorList { return validateRegistry(from.Registry, path) })
	}
	if from.PVC != nil {
		add("pvc", func(path *field.Path) field.ErrorList {
			return validateClone(from.PVC.Namespace, from.PVC.Name, "PersistentVolumeClaim", path)
		})
	}
	if from.Snapshot != nil {
		add("snapshot", func(path *field.Path) field.ErrorList {
			return validateClone(from.Snapshot.Namespace, from.Snapshot.Name, "VolumeSnapshot", path)
		})
	}
	nothing := func(*field.Path) field.ErrorList { return nil }
	if from.Upload != nil {
		add("upload", nothing)
	}
	if from.Blank != nil {
		add("blank", nothing)
	}
	if from.Imageio != nil {
		add("imageio", func(path *field.Path) field.ErrorList { return validateImageIO(from.Imageio, path) })
	}
	if from.VDDK != nil {
		add("vddk", func(path *field.Path) field.ErrorList { return validateVDDK(from.VDDK, path) })
	}
	return validateOneSource(sources, path, sourceChoices)
}

func validateHTTP(http *cdiv1.DataVolumeSourceHTTP, path *field.Path) field.ErrorList {
	errs := validateURL(http.URL, path.Child("url"), "https", "http")
	errs = append(errs, validateOptionalName(http.SecretRef, "Secret", path.Child("secretRef"))...)
	errs = append(errs, validateOptionalName(http.CertConfigMap, "ConfigMap", path.Child("certConfigMap"))...)
	for i, header := range http.ExtraHeaders {
		errs = append(errs, validateHeader(header, path.Child("extraHeaders").Index(i))...)
	}
	for i, name := range http.SecretExtraHeaders {
		errs = append(errs, validateObjectName(name, "Secret", path.Child("secretExtraHeaders").Index(i))...)
	}
	return append(errs, validateChecksum(http.Checksum, path.Child("checksum"))...)
}

// validateHeader keeps a header from smuggling in another one.
func validateHeader(header string, path *field.Path) field.ErrorList {
	name, value, found := strings.Cut(header, ":")
	if !found || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(strings.TrimSpace(value)) {
		// A header may be a credential: do not repeat it.
		return field.ErrorList{field.Invalid(path, "", "must be an HTTP header on one line, such as \"X-Team: compute\"")}
	}
	return nil
}

func validateChecksum(checksum string, path *field.Path) field.ErrorList {
	if checksum == "" {
		return nil
	}
	algorithm, sum, _ := strings.Cut(checksum, ":")
	digits, known := checksumLengths[strings.ToLower(strings.TrimSpace(algorithm))]
	if !known {
		return field.ErrorList{field.Invalid(path, checksum, "must begin with md5:, sha1:, sha256: or sha512:")}
	}
	sum = strings.TrimSpace(sum)
	if _, err := hex.DecodeString(sum); err != nil || len(sum) != digits {
		return field.ErrorList{field.Invalid(path, checksum, fmt.Sprintf("must have %d hexadecimal digits after %q", digits, algorithm+":"))}
	}
	return nil
}

func validateS3(s3 *cdiv1.DataVolumeSourceS3, path *field.Path) field.ErrorList {
	errs := validateObjectURL(s3.URL, path.Child("url"), "https", "http")
	errs = append(errs, validateOptionalName(s3.SecretRef, "Secret", path.Child("secretRef"))...)
	return append(errs, validateOptionalName(s3.CertConfigMap, "ConfigMap", path.Child("certConfigMap"))...)
}

func validateGCS(gcs *cdiv1.DataVolumeSourceGCS, path *field.Path) field.ErrorList {
	errs := validateObjectURL(gcs.URL, path.Child("url"), "gs", "https", "http")
	return append(errs, validateOptionalName(gcs.SecretRef, "Secret", path.Child("secretRef"))...)
}

func validateRegistry(registry *cdiv1.DataVolumeSourceRegistry, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	fromNode := registry.PullMethod != nil && *registry.PullMethod == cdiv1.RegistryPullNode
	switch {
	case registry.URL == nil && registry.ImageStream == nil:
		errs = append(errs, field.Required(path.Child("url"), "set the address of the image, such as "+
			"docker://registry.example.com/images/fedora:40, or imageStream"))
	case registry.URL != nil && registry.ImageStream != nil:
		errs = append(errs, field.Forbidden(path.Child("imageStream"), "url is set too: keep one of the two"))
	case registry.URL != nil:
		errs = append(errs, validateRegistryURL(*registry.URL, fromNode, path.Child("url"))...)
	default:
		errs = append(errs, validateObjectName(*registry.ImageStream, "ImageStream", path.Child("imageStream"))...)
		if !fromNode {
			errs = append(errs, field.Forbidden(path.Child("imageStream"), "works only with pullMethod: node"))
		}
	}
	if registry.PullMethod != nil {
		errs = append(errs, validateEnum(*registry.PullMethod, pullMethods, path.Child("pullMethod"))...)
	}
	if registry.SecretRef != nil {
		errs = append(errs, validateOptionalName(*registry.SecretRef, "Secret", path.Child("secretRef"))...)
	}
	if registry.CertConfigMap != nil {
		errs = append(errs, validateOptionalName(*registry.CertConfigMap, "ConfigMap", path.Child("certConfigMap"))...)
	}
	if registry.Platform != nil {
		// CDI selects a node by a label with this value.
		for _, message := range validation.IsValidLabelValue(registry.Platform.Architecture) {
			errs = append(errs, field.Invalid(path.Child("platform", "architecture"), registry.Platform.Architecture, message))
		}
	}
	return errs
}

func validateClone(namespace, name, kind string, path *field.Path) field.ErrorList {
	errs := validateNamespaceName(namespace, path.Child("namespace"))
	return append(errs, validateObjectName(name, kind, path.Child("name"))...)
}

func validateImageIO(imageio *cdiv1.DataVolumeSourceImageIO, path *field.Path) field.ErrorList {
	errs := validateURL(imageio.URL, path.Child("url"), "https", "http")
	if imageio.DiskID == "" {
		errs = append(errs, field.Required(path.Child("diskId"), "name the disk in the oVirt engine"))
	}
	errs = append(errs, validateObjectName(imageio.SecretRef, "Secret", path.Child("secretRef"))...)
	if insecure := imageio.InsecureSkipVerify; insecure != nil && *insecure {
		return append(errs, validateOptionalName(imageio.CertConfigMap, "ConfigMap", path.Child("certConfigMap"))...)
	}
	return append(errs, validateObjectName(imageio.CertConfigMap, "ConfigMap", path.Child("certConfigMap"))...)
}

func validateVDDK(vddk *cdiv1.DataVolumeSourceVDDK, path *field.Path) field.ErrorList {
	errs := validateURL(vddk.URL, path.Child("url"), "https", "http")
	for _, required := range []struct{ name, value string }{
		{"uuid", vddk.UUID}, {"backingFile", vddk.BackingFile}, {"thumbprint", vddk.Thumbprint},
	} {
		if required.value == "" {
			errs = append(errs, field.Required(path.Child(required.name), "copy it from the VMware machine"))
		}
	}
	errs = append(errs, validateObjectName(vddk.SecretRef, "Secret", path.Child("secretRef"))...)
	errs = append(errs, validateOptionalName(vddk.ExtraArgs, "ConfigMap", path.Child("extraArgs"))...)
	if vddk.InitImageURL != "" {
		errs = append(errs, validateImage(vddk.InitImageURL, path.Child("initImageURL"))...)
	}
	return errs
}
