// Package app is the command virtualserver-apiserver: it turns flags into a running server.
package app

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/cli/globalflag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/component-base/term"
	"k8s.io/klog/v2"

	"tensorstack.dev/virtualserver/cmd/virtualserver-apiserver/app/options"
	"tensorstack.dev/virtualserver/pkg/apiserver"
	"tensorstack.dev/virtualserver/pkg/etcd"
	"tensorstack.dev/virtualserver/pkg/version"
)

// NewCommand returns the command. The server runs until the context ends.
func NewCommand(ctx context.Context) *cobra.Command {
	o := options.New()
	cmd := &cobra.Command{
		Use:   "virtualserver-apiserver",
		Short: "Serve the API of VirtualServer and run its controllers",
		Long: "An extension API server for VirtualServers, which are virtual machines on KubeVirt. It is registered with an " +
			"APIService, keeps its objects in an etcd of its own, and runs the controllers that keep a VirtualMachine, a " +
			"DataVolume, a Secret and a Service for each of them.",
		Version:      version.Get().Version,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(*cobra.Command, []string) error {
			globals := o.ServerRun.ComponentGlobalsRegistry
			if err := globals.Set(); err != nil {
				return err
			}
			if err := logsapi.ValidateAndApply(o.Logging, globals.FeatureGateFor(o.ServerRun.ComponentName)); err != nil {
				return err
			}
			if err := o.Validate(); err != nil {
				return err
			}
			return Run(ctx, o)
		},
	}
	sections := o.Flags()
	globalflag.AddGlobalFlags(sections.FlagSet("global"), cmd.Name(), logs.SkipLoggingConfigurationFlags())
	for _, section := range sections.FlagSets {
		cmd.Flags().AddFlagSet(section)
	}
	columns, _, _ := term.TerminalSize(cmd.OutOrStdout())
	cliflag.SetUsageAndHelpFunc(cmd, sections, columns)
	return cmd
}

// Run serves until the context ends, and then shuts down in order: controllers, streams, requests, store. The options
// must be valid.
func Run(ctx context.Context, o *options.Options) error {
	build := version.Get()
	klog.FromContext(ctx).Info("Starting virtualserver-apiserver", "version", build.Version, "revision", build.Revision)
	if o.Store.DataDir == "" {
		return serve(ctx, o)
	}
	embedded, err := etcd.StartEmbedded(ctx, o.Store.DataDir)
	if err != nil {
		return err
	}
	defer embedded.Close()
	o.Recommended.Etcd.StorageConfig.Transport.ServerList = []string{embedded.Endpoint()}

	// A server without its store is of no use: if the etcd ends by itself, so does the server.
	group, ctx := errgroup.WithContext(ctx)
	serving, stop := context.WithCancel(ctx)
	group.Go(func() error {
		defer stop()
		return serve(ctx, o)
	})
	group.Go(func() error {
		select {
		case err := <-embedded.Err():
			return fmt.Errorf("the embedded etcd ended: %w", err)
		case <-serving.Done():
			return nil
		}
	})
	return group.Wait()
}

// serve runs the server on a store that is there.
func serve(ctx context.Context, o *options.Options) error {
	server, err := newServer(ctx, o)
	if err != nil {
		return err
	}
	prepared := server.Generic.PrepareRun()
	apiserver.HideSharedDocuments(server.Generic)
	return prepared.RunWithContext(ctx)
}
