package quantity

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// MaxCores is the largest number of CPU cores of a machine.
const MaxCores = 1024

// Cores returns the number of CPU cores that is written as a number or as a quantity, such as 2, "2.0", 2000m or 1k. It is
// from 1 to MaxCores. The errors say what is wrong with the text, without the text.
func Cores(written intstr.IntOrString) (uint32, error) {
	// A quantity in JSON may have blanks around it.
	parsed, err := resource.ParseQuantity(strings.TrimSpace(written.String()))
	switch {
	case err != nil:
		return 0, fmt.Errorf("must be a whole number, such as 2 or \"2\"")
	case parsed.Sign() <= 0 || parsed.CmpInt64(MaxCores) > 0:
		return 0, fmt.Errorf("must be from 1 to %d, such as 2", MaxCores)
	case parsed.CmpInt64(parsed.Value()) != 0:
		return 0, fmt.Errorf("must be a number of whole cores, such as 2 or 2000m: a machine has no part of a core")
	}
	return uint32(parsed.Value()), nil
}
