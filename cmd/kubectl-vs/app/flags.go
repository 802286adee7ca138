package app

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/resource"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/validation"
	"tensorstack.dev/virtualserver/pkg/quantity"
)

// parseQuantity reads the value of a flag.
func parseQuantity(flag, value string) (resource.Quantity, error) {
	parsed, err := resource.ParseQuantity(value)
	if err != nil {
		return parsed, fmt.Errorf("--%s: %s", flag, quantity.Problem(value))
	}
	return parsed, nil
}

// checkGrace refuses a grace period that the server would refuse too, and a negative one, which would otherwise be taken for
// none.
func checkGrace(seconds int64) error {
	if seconds < -1 || seconds > validation.MaxGracePeriodSeconds {
		return fmt.Errorf("--grace-period: %d is no grace period: write a number of seconds from 0 to %d, such as 30, or leave it out for the "+
			"machine's own", seconds, validation.MaxGracePeriodSeconds)
	}
	return nil
}

// flagExamples are what a flag of each type can be.
var flagExamples = map[string]string{
	"int32": "a whole number, such as 2", "int64": "a whole number, such as 30", "int": "a whole number, such as 2",
	"int32Slice": "a list of numbers, such as 22,80",
	"duration":   "a time with a unit, such as 30s or 5m",
	"bool":       "true or false",
}

// flagError says what a flag wants, where the flags' library shows what its parser failed at.
func flagError(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	flag := invalid.GetFlag()
	example, known := flagExamples[flag.Value.Type()]
	if !known {
		return err
	}
	if strings.Contains(invalid.Unwrap().Error(), "value out of range") {
		return fmt.Errorf("--%s: %s is too large", flag.Name, invalid.GetValue())
	}
	return fmt.Errorf("--%s: %q is not %s", flag.Name, invalid.GetValue(), example)
}
