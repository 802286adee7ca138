// Command realnode is what a real node of the local control plane is made of: the lab's network, the nodes and the
// provisioner of their volumes. The launcher of the control plane starts it; nobody else needs to.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"tensorstack.dev/virtualserver/test/realnode/csi"
	"tensorstack.dev/virtualserver/test/realnode/imagestore"
	"tensorstack.dev/virtualserver/test/realnode/network"
	"tensorstack.dev/virtualserver/test/realnode/node"
	"tensorstack.dev/virtualserver/test/realnode/volumes"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "realnode:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use: "realnode", Short: "Run the nodes of the local control plane",
		SilenceUsage: true, SilenceErrors: true,
	}
	root.AddCommand(newSwitchCommand(), newImagesCommand(), newVolumesCommand(), newCSIControllerCommand())
	root.AddCommand(
		newNodeCommand("run", "Start a node and stay until it ends", node.Run),
		newNodeCommand("init", "Be the first process of a node", func(_ context.Context, dir string) error { return node.Init(dir) }),
		newNodeCommand("supervise", "Keep the servers of a node running", node.Supervise),
		newNodeCommand("csi-node", "Show the volumes of the storage driver to the pods of a node", runCSINode),
	)
	return root
}

func newNodeCommand(use, short string, run func(context.Context, string) error) *cobra.Command {
	var dir string
	command := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return run(command.Context(), dir) },
	}
	command.Flags().StringVar(&dir, "dir", "", "the node's folder, with its config.json (required)")
	return required(command, "dir")
}

// required marks flags that were defined before.
func required(command *cobra.Command, names ...string) *cobra.Command {
	for _, name := range names {
		if err := command.MarkFlagRequired(name); err != nil {
			panic(err)
		}
	}
	return command
}

func newSwitchCommand() *cobra.Command {
	var lab, nodes int
	var pidFile string
	command := &cobra.Command{
		Use: "switch", Short: "Be the switch that connects the machine and the nodes of a lab", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return network.RunSwitch(command.Context(), network.Plan{Lab: lab}, nodes, pidFile)
		},
	}
	flags := command.Flags()
	flags.IntVar(&lab, "lab", 0, "number of the lab on this machine")
	flags.IntVar(&nodes, "nodes", 2, "how many nodes may join")
	flags.StringVar(&pidFile, "pid-file", "", "file to write the process number of the switch to (required)")
	hold := &cobra.Command{
		Use: "hold", Hidden: true, Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			<-command.Context().Done()
			return nil
		},
	}
	command.AddCommand(hold)
	return required(command, "pid-file")
}

func newImagesCommand() *cobra.Command {
	var store imagestore.Store
	command := &cobra.Command{
		Use: "images", Short: "Import the images of the nodes, and print the folder of the store", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			// Mounts made here end with this process.
			if err := privateMounts(); err != nil {
				return err
			}
			store.Log = os.Stderr
			folder, err := store.Prepare(command.Context())
			if err == nil {
				fmt.Println(folder)
			}
			return err
		},
	}
	flags := command.Flags()
	flags.StringVar(&store.Images, "images", "", "folder of the image archives (required)")
	flags.StringVar(&store.Folder, "store", "", "folder of the stores (required)")
	flags.StringVar(&store.BinDir, "bin-dir", "", "folder of containerd and ctr (required)")
	return required(command, "images", "store", "bin-dir")
}

func newVolumesCommand() *cobra.Command {
	var options volumes.Options
	command := &cobra.Command{
		Use: "volumes", Short: "Provide PersistentVolumes that are folders of this machine", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return volumes.Run(command.Context(), options) },
	}
	flags := command.Flags()
	flags.StringVar(&options.Kubeconfig, "kubeconfig", "", "kubeconfig of the provisioner (required)")
	flags.StringVar(&options.Folder, "folder", "", "folder of the volumes (required)")
	return required(command, "kubeconfig", "folder")
}

func newCSIControllerCommand() *cobra.Command {
	var socket, folder string
	command := &cobra.Command{
		Use: "csi-controller", Short: "Make the volumes and snapshots of the storage driver", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return csi.RunController(command.Context(), socket, folder)
		},
	}
	flags := command.Flags()
	flags.StringVar(&socket, "socket", "", "socket to serve on (required)")
	flags.StringVar(&folder, "folder", "", "folder of the volumes (required)")
	return required(command, "socket", "folder")
}

func runCSINode(ctx context.Context, dir string) error {
	config, err := node.Load(dir)
	if err != nil {
		return err
	}
	return csi.RunNode(ctx, config.Name, csi.Folder(config.Volumes))
}
