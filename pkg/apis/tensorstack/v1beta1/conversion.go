package v1beta1

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
)

// addFieldLabelConversions names the fields that a field selector may use.
func addFieldLabelConversions(scheme *runtime.Scheme) error {
	return scheme.AddFieldLabelConversionFunc(SchemeGroupVersion.WithKind("VirtualServer"),
		func(label, value string) (string, string, error) {
			switch label {
			case "metadata.name", "metadata.namespace", "spec.runStrategy",
				"status.runStrategy", "status.printableStatus", "status.vm.name":
				return label, value, nil
			default:
				return "", "", fmt.Errorf("field label %q is not supported: use metadata.name, metadata.namespace, "+
					"spec.runStrategy, status.runStrategy, status.printableStatus or status.vm.name", label)
			}
		})
}
