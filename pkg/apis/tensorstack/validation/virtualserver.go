package validation

import (
	"encoding/json"
	"fmt"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// MaxSpecBytes is how large a spec may be in JSON. etcd refuses requests above 1.5 MiB; the rest is for metadata and
// status.
const MaxSpecBytes = 1200 << 10

// ValidateVirtualServer checks a VirtualServer that is to be created.
func ValidateVirtualServer(vs *tensorstack.VirtualServer) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&vs.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
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
	errs = append(errs, validateCloudInit(spec, path)...)
	return errs
}

func validateSpecSize(spec *tensorstack.VirtualServerSpec, path *field.Path) *field.Error {
	// The internal types marshal with longer names than the external ones, so this errs on the safe side.
	encoded, err := json.Marshal(spec)
	if err != nil {
		return field.InternalError(path, fmt.Errorf("measure its size: %w", err))
	}
	if len(encoded) > MaxSpecBytes {
		return field.Forbidden(path, fmt.Sprintf("is %d bytes long in JSON and may have at most %d: move cloud-init data "+
			"into a Secret and name it in spec.cloudInitSecretRef", len(encoded), MaxSpecBytes))
	}
	return nil
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
