package options

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"
)

// ControllerOptions are the options of the controllers beside the API.
type ControllerOptions struct {
	// Enabled runs the controllers.
	Enabled bool
	// Workers is how many VirtualServers are worked on at the same time.
	Workers int
	// LeaseDuration, RenewDeadline and RetryPeriod are the times of the leader election, which makes one of several
	// replicas run the controllers.
	LeaseDuration time.Duration
	RenewDeadline time.Duration
	RetryPeriod   time.Duration
}

// NewControllerOptions returns the defaults.
func NewControllerOptions() *ControllerOptions {
	return &ControllerOptions{
		Enabled: true, Workers: 8,
		LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 2 * time.Second,
	}
}

// AddFlags adds the flags.
func (o *ControllerOptions) AddFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&o.Enabled, "controllers", o.Enabled, "Run the controllers. Without them the API is served and nothing happens.")
	fs.IntVar(&o.Workers, "controller-workers", o.Workers, "Number of VirtualServers that are worked on at the same time.")
	fs.DurationVar(&o.LeaseDuration, "leader-election-lease-duration", o.LeaseDuration,
		"How long the other replicas wait for a leader that is silent.")
	fs.DurationVar(&o.RenewDeadline, "leader-election-renew-deadline", o.RenewDeadline,
		"How long the leader tries to renew its lease before it stops its controllers.")
	fs.DurationVar(&o.RetryPeriod, "leader-election-retry-period", o.RetryPeriod, "How often a replica tries to get the lease.")
}

// Validate returns what is wrong with the options.
func (o *ControllerOptions) Validate() []error {
	var errs []error
	if o.Workers < 1 {
		errs = append(errs, fmt.Errorf("--controller-workers must be at least 1, not %d", o.Workers))
	}
	if o.LeaseDuration <= o.RenewDeadline {
		errs = append(errs, fmt.Errorf("--leader-election-lease-duration (%s) must be longer than "+
			"--leader-election-renew-deadline (%s)", o.LeaseDuration, o.RenewDeadline))
	}
	// client-go adds up to 20 % to the retry period and wants the deadline to be longer than that.
	if o.RetryPeriod <= 0 || float64(o.RenewDeadline) <= 1.2*float64(o.RetryPeriod) {
		errs = append(errs, fmt.Errorf("--leader-election-renew-deadline (%s) must be longer than 1.2 times "+
			"--leader-election-retry-period (%s), which must be more than 0", o.RenewDeadline, o.RetryPeriod))
	}
	return errs
}
