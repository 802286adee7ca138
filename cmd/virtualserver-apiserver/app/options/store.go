package options

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"
)

// minHeldRetention leaves an administrator the time to notice.
const minHeldRetention = time.Hour

// StoreOptions say where objects are kept if not in an etcd cluster, and what to do with a store that is not the one
// that this cluster knows.
type StoreOptions struct {
	// DataDir is the directory of the embedded etcd.
	DataDir string
	// Adopt takes a store that is not the one that the cluster knows.
	Adopt bool
	// Namespace is where the server keeps its own ConfigMap and Lease.
	Namespace string
	// HeldRetention is how long VirtualServers are held whose namespace is gone.
	HeldRetention time.Duration
}

// NewStoreOptions returns the defaults.
func NewStoreOptions() *StoreOptions {
	return &StoreOptions{Namespace: "virtualserver-system", HeldRetention: 7 * 24 * time.Hour}
}

// AddFlags adds the flags.
func (o *StoreOptions) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.DataDir, "data-dir", o.DataDir, "Directory of the embedded etcd, which is used if --etcd-servers is "+
		"not set. It must be on a disk that lasts, and only one server can use it: for several replicas use --etcd-servers.")
	fs.BoolVar(&o.Adopt, "adopt-store", o.Adopt, "Run the controllers although the store is not the one that the cluster "+
		"knows from before, or is older than that was. Set it once, after an empty or restored store was put in place on purpose.")
	fs.DurationVar(&o.HeldRetention, "held-retention", o.HeldRetention, "How long VirtualServers are held whose namespace is "+
		"gone, before they are deleted for good. Until then \"kubectl vs held\" lists them and gives them back.")
	fs.StringVar(&o.Namespace, "namespace", o.Namespace, "Namespace of this server's own ConfigMap and Lease.")
}

// Validate returns what is wrong with the options.
func (o *StoreOptions) Validate(etcdServers []string) []error {
	var errs []error
	switch {
	case o.DataDir == "" && len(etcdServers) == 0:
		errs = append(errs, errors.New("set --data-dir for an embedded etcd, or --etcd-servers for an etcd cluster"))
	case o.DataDir != "" && len(etcdServers) > 0:
		errs = append(errs, errors.New("--data-dir and --etcd-servers exclude each other"))
	}
	if o.HeldRetention < minHeldRetention {
		errs = append(errs, fmt.Errorf("--held-retention must be at least %s, not %s", minHeldRetention, o.HeldRetention))
	}
	if o.Namespace == "" {
		errs = append(errs, errors.New("--namespace must not be empty"))
	}
	return errs
}
