// Command cdi-controller runs CDI's controllers, which turn a DataVolume into a
// claim and a pod that fills it. The controllers are CDI's own packages; this
// command only takes from flags and from the API what CDI's own command takes
// from fixed files and ports, so that it needs neither root nor a container.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager/signals"
)

// options is the command line.
type options struct {
	kubeconfig       string
	probeAddress     string // "0" for none
	certsDir         string
	importerImage    string
	clonerImage      string
	uploadImage      string
	ovirtImage       string
	uploadProxy      string
	pullPolicy       string
	importerLogLevel string
}

func main() {
	defer klog.Flush()
	log.SetLogger(klog.Background())
	opts, err := parse(os.Args[1:])
	if err == nil {
		err = run(signals.SetupSignalHandler(), opts)
	}
	if err != nil {
		klog.Flush()
		fmt.Fprintln(os.Stderr, "cdi-controller:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	opts := options{}
	flags := flag.NewFlagSet("cdi-controller", flag.ContinueOnError)
	klog.InitFlags(flags)
	flags.StringVar(&opts.kubeconfig, "kubeconfig", "", "kubeconfig of the ServiceAccount cdi/cdi-sa (required)")
	flags.StringVar(&opts.probeAddress, "health-probe-bind-address", "0", "HOST:PORT of /healthz and /readyz in plain HTTP; 0 for none")
	flags.StringVar(&opts.certsDir, "certs-dir", "/var/run/certs", "directory of the upload certificates; needed for uploads and clones only")
	flags.StringVar(&opts.importerImage, "importer-image", "cdi-importer:v1.65.0", "image of the pods that import")
	flags.StringVar(&opts.clonerImage, "cloner-image", "cdi-cloner:v1.65.0", "image of the pods that clone")
	flags.StringVar(&opts.uploadImage, "uploadserver-image", "cdi-uploadserver:v1.65.0", "image of the pods that take uploads")
	flags.StringVar(&opts.ovirtImage, "ovirt-populator-image", "ovirt-populator:v1.65.0", "image of the pods that copy from oVirt")
	flags.StringVar(&opts.uploadProxy, "uploadproxy-service", "cdi-uploadproxy", "Service of the upload proxy")
	flags.StringVar(&opts.pullPolicy, "pull-policy", "IfNotPresent", "pull policy of the images")
	flags.StringVar(&opts.importerLogLevel, "importer-log-level", "1", "log verbosity of the pods")
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	if flags.NArg() > 0 {
		return opts, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if opts.kubeconfig == "" {
		return opts, fmt.Errorf("--kubeconfig is required")
	}
	return opts, nil
}

// run reconciles until ctx ends, or until another process takes the lease.
func run(ctx context.Context, opts options) error {
	config, err := clientcmd.BuildConfigFromFlags("", opts.kubeconfig)
	if err != nil {
		return fmt.Errorf("load the kubeconfig: %w", err)
	}
	config = rest.AddUserAgent(config, "cdi-controller")
	manager, err := newManager(config, opts)
	if err != nil {
		return err
	}
	if err := addControllers(ctx, manager, config, opts); err != nil {
		return err
	}
	if err := manager.Start(ctx); err != nil {
		return fmt.Errorf("run the controllers: %w", err)
	}
	return nil
}
