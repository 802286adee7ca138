package validation

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"

	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

const (
	// MaxGracePeriodSeconds is the longest grace period: a day.
	MaxGracePeriodSeconds = 24 * 60 * 60
	// MaxWaitSeconds is how long a stream waits for a machine that is starting.
	MaxWaitSeconds = 300
)

// ValidateStartOptions checks the options of the operation start.
func ValidateStartOptions(options *tensorstack.StartOptions) field.ErrorList {
	return metav1validation.ValidateDryRun(field.NewPath("dryRun"), options.DryRun)
}

// ValidateStopOptions checks the options of the operation stop.
func ValidateStopOptions(options *tensorstack.StopOptions) field.ErrorList {
	errs := metav1validation.ValidateDryRun(field.NewPath("dryRun"), options.DryRun)
	grace := field.NewPath("gracePeriodSeconds")
	errs = append(errs, validateGracePeriod(options.GracePeriodSeconds, grace)...)
	return append(errs, validateForce(options.Force, options.GracePeriodSeconds, grace)...)
}

// ValidateRestartOptions checks the options of the operation restart.
func ValidateRestartOptions(options *tensorstack.RestartOptions) field.ErrorList {
	errs := metav1validation.ValidateDryRun(field.NewPath("dryRun"), options.DryRun)
	if seconds := options.GracePeriodSeconds; seconds != nil && *seconds != 0 {
		// KubeVirt restarts with the machine's own grace period or with none.
		errs = append(errs, field.Invalid(field.NewPath("gracePeriodSeconds"), *seconds, "must be 0, which kills the guest at once: "+
			"leave it out for a graceful restart"))
	}
	return errs
}

func validateGracePeriod(seconds *int64, path *field.Path) field.ErrorList {
	if seconds != nil && (*seconds < 0 || *seconds > MaxGracePeriodSeconds) {
		return field.ErrorList{field.Invalid(path, *seconds, fmt.Sprintf("must be from 0 to %d seconds", MaxGracePeriodSeconds))}
	}
	return nil
}

func validateForce(force bool, seconds *int64, path *field.Path) field.ErrorList {
	if force && seconds != nil && *seconds != 0 {
		return field.ErrorList{field.Invalid(path, *seconds, "must be 0 or left out with force, which kills the guest at once")}
	}
	return nil
}

// ValidateConsoleOptions checks the options of the stream console.
func ValidateConsoleOptions(options *tensorstack.ConsoleOptions) field.ErrorList {
	return append(validateWait(options.Wait), validateSession(options.TakeOver, options.PreserveSession)...)
}

// ValidateVNCOptions checks the options of the stream vnc and of its screenshot. The path is the router's.
func ValidateVNCOptions(options *tensorstack.VNCOptions) field.ErrorList {
	return append(validateWait(options.Wait), validateSession(options.TakeOver, options.PreserveSession)...)
}

func validateSession(takeOver, preserve bool) field.ErrorList {
	if takeOver && preserve {
		return field.ErrorList{field.Forbidden(field.NewPath("preserveSession"), "takeOver is set too: keep one of the two")}
	}
	return nil
}

// ValidatePortForwardOptions checks the options of the stream portforward.
func ValidatePortForwardOptions(options *tensorstack.PortForwardOptions) field.ErrorList {
	errs := validateWait(options.Wait)
	if _, _, err := ForwardedPort(options.Path); err != nil {
		errs = append(errs, field.Invalid(field.NewPath("path"), options.Path, err.Error()))
	}
	return errs
}

var portPattern = regexp.MustCompile(`^/?([1-9][0-9]{0,4})(?:/(tcp|udp))?$`)

// ForwardedPort reads the path of the stream portforward: a port from 1 to 65535, and the protocol "tcp" (the default) or
// "udp" after a slash, with or without the slash before them that the path of a request has. Nothing but digits and the two
// protocols passes, because both become part of a URL.
func ForwardedPort(path string) (port int32, protocol string, err error) {
	parts := portPattern.FindStringSubmatch(path)
	if parts == nil {
		return 0, "", errors.New("must be a port from 1 to 65535, such as 22 or 53/udp")
	}
	number, err := strconv.ParseUint(parts[1], 10, 16)
	if err != nil {
		return 0, "", errors.New("must be a port from 1 to 65535, such as 22 or 53/udp")
	}
	if protocol = parts[2]; protocol == "" {
		protocol = "tcp"
	}
	return int32(number), protocol, nil
}

// ValidateUSBRedirOptions checks the options of the stream usbredir.
func ValidateUSBRedirOptions(options *tensorstack.USBRedirOptions) field.ErrorList {
	return validateWait(options.Wait)
}

func validateWait(seconds int64) field.ErrorList {
	if seconds < 0 || seconds > MaxWaitSeconds {
		return field.ErrorList{field.Invalid(field.NewPath("wait"), seconds, fmt.Sprintf("must be from 0 to %d seconds", MaxWaitSeconds))}
	}
	return nil
}
