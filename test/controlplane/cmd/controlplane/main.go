// Command controlplane runs the local control plane: real Kubernetes, KubeVirt and CDI
// servers with the VirtualServer product, on the loopback interface.
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"tensorstack.dev/virtualserver/test/controlplane"
)

func main() {
	// The second signal ends the program at once; its children die with it.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop()
	}()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "controlplane:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "controlplane",
		Short:         "Run Kubernetes, KubeVirt, CDI and VirtualServer on this machine",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	var flags startFlags
	root.PersistentFlags().StringVar(&flags.options.StateDir, "state-dir", "", "directory of certificates, data and logs (default _output/state in the repository)")
	root.AddCommand(newRunCommand(&flags), newUpCommand(&flags), newServeCommand(&flags), newDownCommand(&flags), newStatusCommand(&flags))
	root.AddCommand(newComponentCommands(&flags)...)
	return root
}

// startFlags are the flags of the commands that start a control plane.
type startFlags struct {
	options controlplane.Options
	nodes   string
	// exampleDir holds the example that run applies.
	exampleDir string
}

func (f *startFlags) register(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&f.options.BinDir, "bin-dir", "", "directory of the programs (default _output/bin in the repository)")
	flags.StringVar(&f.options.DeployDir, "deploy-dir", "", "directory of the product's manifests (default artifacts/deploy in the repository)")
	flags.StringVar(&f.options.Kubeconfig, "kubeconfig", "", "file to write the administrator's kubeconfig to (default _output/kubeconfig, or in --state-dir if that is given)")
	flags.StringVar(&f.nodes, "nodes", cmp.Or(os.Getenv("NODE"), string(controlplane.AutoNodes)), "what machines run on: real, simulated or auto (default: the variable NODE)")
	flags.StringVar(&f.options.ImageDir, "image-dir", "", "directory of the images of real nodes (default _output/node/images in the repository)")
	flags.BoolVar(&f.options.WithoutProduct, "without-product", false, "start all but virtualserver-apiserver")
	flags.BoolVar(&f.options.WithoutNodeAgent, "without-node-agent", false, "start no node agent: no machine will run")
	flags.StringArrayVar(&f.options.ProductArgs, "product-arg", nil, "argument to add to virtualserver-apiserver; may be repeated")
	flags.StringArrayVar(&f.options.NodeAgentArgs, "node-agent-arg", nil, "argument to add to the node agent; may be repeated")
	flags.DurationVar(&f.options.NodeMonitorGracePeriod, "node-monitor-grace-period", controlplane.DefaultNodeMonitorGracePeriod, "how long a node may be silent before it is NotReady")
}

// complete fills the paths that depend on the repository.
func (f *startFlags) complete() error {
	f.options.Nodes = controlplane.Nodes(f.nodes)
	if f.options.StateDir == "" {
		root, err := controlplane.RepositoryRoot()
		if err != nil {
			return err
		}
		f.options.StateDir = filepath.Join(root, "_output", "state")
		if f.options.Kubeconfig == "" {
			f.options.Kubeconfig = filepath.Join(root, "_output", "kubeconfig")
		}
	}
	if f.exampleDir == "" {
		if root, err := controlplane.RepositoryRoot(); err == nil {
			f.exampleDir = filepath.Join(root, "artifacts", "examples")
		}
	}
	absolute, err := filepath.Abs(f.options.StateDir)
	f.options.StateDir = absolute
	return err
}
