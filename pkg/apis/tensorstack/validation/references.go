package validation

import (
	"strings"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateObjectName checks a required name of another object.
func validateObjectName(name, kind string, path *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "name the "+kind)}
	}
	return validateOptionalName(name, kind, path)
}

// validateOptionalName checks a name of another object that may be left out.
func validateOptionalName(name, kind string, path *field.Path) field.ErrorList {
	if name == "" {
		return nil
	}
	if messages := apivalidation.NameIsDNSSubdomain(name, false); len(messages) > 0 {
		return field.ErrorList{field.Invalid(path, name, "cannot be the name of a "+kind+": "+strings.Join(messages, "; "))}
	}
	return nil
}

func validateNamespaceName(name string, path *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "name the namespace of the source")}
	}
	if messages := validation.IsDNS1123Label(name); len(messages) > 0 {
		return field.ErrorList{field.Invalid(path, name, "cannot be the name of a namespace: "+strings.Join(messages, "; "))}
	}
	return nil
}
