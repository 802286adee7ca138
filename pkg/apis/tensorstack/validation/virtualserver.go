package validation

import (
	"fmt"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// ValidateVirtualServer checks a VirtualServer that is to be created.
func ValidateVirtualServer(vs *tensorstack.VirtualServer) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&vs.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	errs = append(errs, validateObjectSize(vs, nil)...)
	return append(errs, validateSpec(&vs.Spec, field.NewPath("spec"))...)
}

func validateSpec(spec *tensorstack.VirtualServerSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if err := validateSpecSize(spec, path); err != nil {
		// The other checks could take long on an object that is refused anyway.
		return append(errs, err)
	}
	errs = append(errs, validateRunStrategy(spec.RunStrategy, path.Child("runStrategy"))...)
	errs = append(errs, validateResources(&spec.Resources, path.Child("resources"))...)
	errs = append(errs, validateStorage(&spec.Storage, path.Child("storage"))...)
	errs = append(errs, validateNetwork(&spec.Network, path.Child("network"))...)
	errs = append(errs, validateFirmware(spec, path.Child("firmware"))...)
	errs = append(errs, validatePlacement(&spec.Placement, path)...)
	errs = append(errs, validateScheduler(spec, path)...)
	errs = append(errs, validateCloudInit(spec, path)...)
	errs = append(errs, validateSSHKeys(spec, path.Child("sshKeys"))...)
	return errs
}

var runStrategies = []tensorstack.RunStrategy{
	tensorstack.RunStrategyAlways,
	tensorstack.RunStrategyRerunOnFailure,
	tensorstack.RunStrategyManual,
	tensorstack.RunStrategyHalted,
}

func validateRunStrategy(strategy tensorstack.RunStrategy, path *field.Path) field.ErrorList {
	return validateEnum(strategy, runStrategies, path)
}

func validateEnum[T ~string](value T, supported []T, path *field.Path) field.ErrorList {
	for _, candidate := range supported {
		if value == candidate {
			return nil
		}
	}
	if value == "" {
		return field.ErrorList{field.Required(path, fmt.Sprintf("use one of %v", supported))}
	}
	return field.ErrorList{field.NotSupported(path, value, supported)}
}
