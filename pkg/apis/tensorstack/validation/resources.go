package validation

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/quantity"
)

const (
	// MaxCores is the largest number of CPU cores.
	MaxCores = quantity.MaxCores
	// MaxGPUs is the largest number of GPUs: each takes a PCI slot of the machine.
	MaxGPUs = 64
	// MinMemoryBytes is the least memory that a machine can have.
	MinMemoryBytes = 16 << 20
	// MaxMemoryBytes is the most memory that a machine can have. KubeVirt reserves up to four times as much address
	// space for live updates.
	MaxMemoryBytes = 16 << 40
	// cpuModelLabel is the prefix of the node label by which KubeVirt finds a node for a CPU model.
	cpuModelLabel = "cpu-model.node.kubevirt.io/"
)

func validateResources(resources *tensorstack.Resources, path *field.Path) field.ErrorList {
	errs := validateCores(resources.CPU.Cores, path.Child("cpu", "cores"))
	errs = append(errs, validateCPUModel(resources.CPU.Model, path.Child("cpu", "model"))...)
	errs = append(errs, validateBytes(resources.Memory, MinMemoryBytes, MaxMemoryBytes, "8Gi", path.Child("memory"))...)
	if resources.GPU != nil {
		errs = append(errs, validateGPU(resources.GPU, path.Child("gpu"))...)
	}
	return errs
}

func validateCores(cores intstr.IntOrString, path *field.Path) field.ErrorList {
	// A number that was left out is 0 here.
	if cores == (intstr.IntOrString{}) || cores.Type == intstr.String && cores.StrVal == "" {
		return field.ErrorList{field.Required(path, fmt.Sprintf("set the number of CPU cores, from 1 to %d, such as 2", MaxCores))}
	}
	if _, err := quantity.Cores(cores); err != nil {
		return field.ErrorList{field.Invalid(path, cores.String(), err.Error())}
	}
	return nil
}

func validateCPUModel(model string, path *field.Path) field.ErrorList {
	if model == "" {
		return nil
	}
	// KubeVirt selects nodes by a label that ends in the model; a slash would move the prefix.
	if strings.Contains(model, "/") || len(validation.IsQualifiedName(cpuModelLabel+model)) > 0 {
		return field.ErrorList{field.Invalid(path, model, "must be the name of a CPU model, such as Conroe, host-model or "+
			"host-passthrough: at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit")}
	}
	return nil
}

func validateGPU(gpu *tensorstack.GPU, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if gpu.Type == "" {
		errs = append(errs, field.Required(path.Child("type"), "name the extended resource that the device plugin offers, "+
			"such as nvidia.com/GA100_A100_PCIE_40GB"))
	} else if !isExtendedResourceName(gpu.Type) {
		errs = append(errs, field.Invalid(path.Child("type"), gpu.Type, "must be the name of an extended resource with its "+
			"domain, such as nvidia.com/GA100_A100_PCIE_40GB, and not of kubernetes.io"))
	}
	if gpu.Count < 1 || gpu.Count > MaxGPUs {
		errs = append(errs, field.Invalid(path.Child("count"), gpu.Count, fmt.Sprintf("must be from 1 to %d; leave gpu out "+
			"for a machine without GPUs", MaxGPUs)))
	}
	return errs
}

// isExtendedResourceName follows the rule of the Kubernetes pod validation.
func isExtendedResourceName(name string) bool {
	if !strings.Contains(name, "/") || strings.Contains(name, corev1.ResourceDefaultNamespacePrefix) ||
		strings.HasPrefix(name, corev1.DefaultResourceRequestsPrefix) {
		return false
	}
	// A quota counts the resource by a name with this prefix, which must be valid too.
	return len(validation.IsQualifiedName(corev1.DefaultResourceRequestsPrefix+name)) == 0
}

// validateBytes checks a whole number of bytes.
func validateBytes(quantity resource.Quantity, minimum, maximum int64, example string, path *field.Path) field.ErrorList {
	if quantity.IsZero() {
		return field.ErrorList{field.Required(path, "set a size, such as "+example)}
	}
	switch {
	case quantity.CmpInt64(minimum) < 0:
		return field.ErrorList{field.Invalid(path, quantity.String(), "must be at least "+
			resource.NewQuantity(minimum, resource.BinarySI).String()+", such as "+example+hintAboutUnits(quantity))}
	case quantity.CmpInt64(maximum) > 0:
		return field.ErrorList{field.Invalid(path, quantity.String(), "must be at most "+
			resource.NewQuantity(maximum, resource.BinarySI).String())}
	case quantity.CmpInt64(quantity.Value()) != 0:
		return field.ErrorList{field.Invalid(path, quantity.String(), "must be a whole number of bytes, such as "+example)}
	}
	return nil
}

// hintAboutUnits explains the most common mistake: a number without its unit, or "m", which means a thousandth.
func hintAboutUnits(quantity resource.Quantity) string {
	text := quantity.String()
	if strings.HasSuffix(text, "m") {
		return " (m means a thousandth; use Mi)"
	}
	if _, err := strconv.ParseInt(text, 10, 64); err == nil {
		return " (a number without a unit is in bytes)"
	}
	return ""
}
