package validation

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// volumeLabelPattern is what the label of an ISO 9660 volume can hold. It must not look like an option of the tool that
// makes the volume.
var volumeLabelPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}$`)

// source is one of several sources of which exactly one must be set.
type source struct {
	path     *field.Path
	validate func() field.ErrorList
}

// validateOneSource checks that exactly one source is set, and that one.
func validateOneSource(sources []source, path *field.Path, choices string) field.ErrorList {
	if len(sources) == 0 {
		return field.ErrorList{field.Required(path, "set one of "+choices)}
	}
	var errs field.ErrorList
	for _, other := range sources[1:] {
		errs = append(errs, field.Forbidden(other.path, fmt.Sprintf("%s is set too: keep one of the two", sources[0].path)))
	}
	for _, set := range sources {
		errs = append(errs, set.validate()...)
	}
	return errs
}

func (c *volumeChecker) volumeSources(volume *tensorstack.VolumeSource, path *field.Path) []source {
	var sources []source
	add := func(name string, validate func(*field.Path) field.ErrorList) {
		child := path.Child(name)
		sources = append(sources, source{child, func() field.ErrorList { return validate(child) }})
	}
	if claim := volume.PersistentVolumeClaim; claim != nil {
		add("persistentVolumeClaim", func(path *field.Path) field.ErrorList {
			return validateObjectName(claim.ClaimName, "PersistentVolumeClaim", path.Child("claimName"))
		})
	}
	if ephemeral := volume.Ephemeral; ephemeral != nil {
		add("ephemeral", func(path *field.Path) field.ErrorList { return validateEphemeral(ephemeral, path) })
	}
	if configMap := volume.ConfigMap; configMap != nil {
		add("configMap", func(path *field.Path) field.ErrorList {
			errs := validateObjectName(configMap.Name, "ConfigMap", path.Child("name"))
			return append(errs, validateVolumeLabel(configMap.VolumeLabel, path.Child("volumeLabel"))...)
		})
	}
	if secret := volume.Secret; secret != nil {
		add("secret", func(path *field.Path) field.ErrorList {
			errs := validateObjectName(secret.SecretName, "Secret", path.Child("secretName"))
			return append(errs, validateVolumeLabel(secret.VolumeLabel, path.Child("volumeLabel"))...)
		})
	}
	if account := volume.ServiceAccount; account != nil {
		add("serviceAccount", func(path *field.Path) field.ErrorList { return c.validateServiceAccount(account, path) })
	}
	if downward := volume.DownwardAPI; downward != nil {
		add("downwardAPI", func(path *field.Path) field.ErrorList { return validateDownwardAPI(downward, path) })
	}
	return sources
}

func validateEphemeral(ephemeral *tensorstack.EphemeralSource, path *field.Path) field.ErrorList {
	claim := path.Child("persistentVolumeClaim")
	if ephemeral.PersistentVolumeClaim == nil {
		return field.ErrorList{field.Required(claim, "name the PersistentVolumeClaim to read")}
	}
	return validateObjectName(ephemeral.PersistentVolumeClaim.ClaimName, "PersistentVolumeClaim", claim.Child("claimName"))
}

// validateServiceAccount also keeps KubeVirt's rule of one ServiceAccount volume per machine: the machine's pod runs as it.
func (c *volumeChecker) validateServiceAccount(account *tensorstack.ServiceAccountSource, path *field.Path) field.ErrorList {
	errs := validateObjectName(account.ServiceAccountName, "ServiceAccount", path.Child("serviceAccountName"))
	if c.serviceAccount != nil {
		return append(errs, field.Forbidden(path, fmt.Sprintf("a machine can have one ServiceAccount volume and %s is one "+
			"already: keep one of the two", c.serviceAccount)))
	}
	c.serviceAccount = path
	return errs
}

func validateVolumeLabel(label string, path *field.Path) field.ErrorList {
	if label == "" || volumeLabelPattern.MatchString(label) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, label, "must have at most 32 letters, digits, '_', '.' and '-', and not begin "+
		"with '.' or '-'")}
}

// downwardFields are the fields that a pod can show in a volume.
var downwardFields = []string{
	"metadata.name", "metadata.namespace", "metadata.uid", "metadata.labels", "metadata.annotations",
	"metadata.labels['KEY']", "metadata.annotations['KEY']",
}

var downwardKey = regexp.MustCompile(`^metadata\.(labels|annotations)\['([^'\[\]]+)'\]$`)

func validateDownwardAPI(downward *tensorstack.DownwardAPISource, path *field.Path) field.ErrorList {
	errs := validateVolumeLabel(downward.VolumeLabel, path.Child("volumeLabel"))
	fields := path.Child("fields")
	if len(downward.Fields) == 0 {
		return append(errs, field.Required(fields, "name at least one file and the field that it shows"))
	}
	seen := sets.New[string]()
	for i := range downward.Fields {
		file := &downward.Fields[i]
		name := fields.Index(i).Child("path")
		if seen.Has(file.Path) {
			errs = append(errs, field.Duplicate(name, file.Path))
		} else if !isRelativeFilePath(file.Path) {
			errs = append(errs, field.Invalid(name, file.Path, "must be a relative path without .., such as labels"))
		}
		seen.Insert(file.Path)
		errs = append(errs, validateDownwardFile(file, fields.Index(i))...)
	}
	return errs
}

func isRelativeFilePath(name string) bool {
	if name == "" || strings.HasPrefix(name, "/") || strings.HasPrefix(name, "..") || strings.ContainsAny(name, "\x00\n\r") {
		return false
	}
	for _, part := range strings.Split(name, "/") {
		if part == ".." {
			return false
		}
	}
	return true
}

func validateDownwardFile(file *corev1.DownwardAPIVolumeFile, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if file.ResourceFieldRef != nil {
		errs = append(errs, field.Forbidden(path.Child("resourceFieldRef"), "use fieldRef: the resources of the machine's pod are not "+
			"those of the machine"))
	}
	if file.Mode != nil && (*file.Mode < 0 || *file.Mode > 0o777) {
		errs = append(errs, field.Invalid(path.Child("mode"), *file.Mode, "must be a file mode from 0 to 0777"))
	}
	reference := path.Child("fieldRef")
	if file.FieldRef == nil {
		return append(errs, field.Required(reference, "name the field to show"))
	}
	if version := file.FieldRef.APIVersion; version != "" && version != "v1" {
		errs = append(errs, field.NotSupported(reference.Child("apiVersion"), version, []string{"v1"}))
	}
	if !isDownwardField(file.FieldRef.FieldPath) {
		errs = append(errs, field.NotSupported(reference.Child("fieldPath"), file.FieldRef.FieldPath, downwardFields))
	}
	return errs
}

func isDownwardField(name string) bool {
	for _, supported := range downwardFields[:5] {
		if name == supported {
			return true
		}
	}
	match := downwardKey.FindStringSubmatch(name)
	return match != nil && len(validation.IsQualifiedName(strings.ToLower(match[2]))) == 0 &&
		len(validation.IsQualifiedName(match[2])) == 0
}
