// Command cdi-apiserver runs CDI's API server: its admission webhooks and its
// upload token API. The server itself is CDI's own package; this command only
// gives it an address and a port to choose, which CDI's own command does not.
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
	kubeconfig  string
	bindAddress string
	securePort  uint // 1 to 65535
	certFile    string
	keyFile     string
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
		fmt.Fprintln(os.Stderr, "cdi-apiserver:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	opts := options{}
	flags := flag.NewFlagSet("cdi-apiserver", flag.ContinueOnError)
	klog.InitFlags(flags)
	flags.StringVar(&opts.kubeconfig, "kubeconfig", "", "kubeconfig of the ServiceAccount cdi/cdi-apiserver (required)")
	flags.StringVar(&opts.bindAddress, "bind-address", "127.0.0.1", "address to listen on")
	flags.UintVar(&opts.securePort, "secure-port", 8443, "port to listen on")
	flags.StringVar(&opts.certFile, "tls-cert-file", "", "serving certificate, valid for cdi-api.cdi.svc and for the webhooks' host (required)")
	flags.StringVar(&opts.keyFile, "tls-private-key-file", "", "key of the serving certificate (required)")
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	switch {
	case flags.NArg() > 0:
		return opts, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case opts.kubeconfig == "" || opts.certFile == "" || opts.keyFile == "":
		return opts, fmt.Errorf("--kubeconfig, --tls-cert-file and --tls-private-key-file are required")
	case opts.securePort < 1 || opts.securePort > 65535:
		return opts, fmt.Errorf("--secure-port %d is not between 1 and 65535", opts.securePort)
	}
	return opts, nil
}

// run serves until ctx ends.
func run(ctx context.Context, opts options) error {
	config, err := clientcmd.BuildConfigFromFlags("", opts.kubeconfig)
	if err != nil {
		return fmt.Errorf("load the kubeconfig: %w", err)
	}
	server, background, err := newServer(ctx, rest.AddUserAgent(config, "cdi-apiserver"), opts)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := background.start(ctx)
	defer func() {
		cancel()
		background.wait()
	}()
	if err := background.synced(ctx); err != nil {
		return err
	}

	served := make(chan error, 1)
	go func() { served <- server.Start(ctx.Done()) }()
	select {
	case err := <-failed:
		cancel()
		<-served
		return err
	case err := <-served:
		if err != nil {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	}
}
