package main

import (
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tensorstack.dev/virtualserver/test/controlplane"
)

func newStatusCommand(flags *startFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Say what runs",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := flags.complete(); err != nil {
				return err
			}
			state, err := controlplane.ReadState(flags.options.StateDir)
			if errors.Is(err, os.ErrNotExist) || err == nil && !controlplane.InUse(flags.options.StateDir) {
				return fmt.Errorf("no control plane runs in %s", flags.options.StateDir)
			}
			if err != nil {
				return err
			}
			out := command.OutOrStdout()
			fmt.Fprintf(out, "process %d, up %v, ready %t, %s, kubeconfig %s\n\n", state.PID,
				time.Since(state.Started).Round(time.Second), state.Ready, state.Server, state.Kubeconfig)
			table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
			fmt.Fprintln(table, "COMPONENT\tPHASE\tPID\tRESTARTS")
			for _, component := range state.Components {
				fmt.Fprintf(table, "%s\t%s\t%d\t%d\n", component.Name, component.Phase, component.PID, component.Restarts)
			}
			return table.Flush()
		},
	}
}

// newComponentCommands act on one component of a running control plane.
func newComponentCommands(flags *startFlags) []*cobra.Command {
	type action struct {
		use, short string
		args       cobra.PositionalArgs
		act        func(*controlplane.ControlPlane, *cobra.Command, []string) error
	}
	actions := []action{
		{"kill COMPONENT", "End a component with SIGKILL and keep it down", cobra.ExactArgs(1),
			func(plane *controlplane.ControlPlane, command *cobra.Command, args []string) error {
				return plane.Kill(command.Context(), args[0])
			}},
		{"stop COMPONENT", "Stop a component in an orderly way and keep it down", cobra.ExactArgs(1),
			func(plane *controlplane.ControlPlane, command *cobra.Command, args []string) error {
				return plane.StopComponent(command.Context(), args[0])
			}},
		{"start COMPONENT [-- ARGUMENT...]", "Start a component again, with further arguments for once, and wait until it is ready",
			cobra.MinimumNArgs(1),
			func(plane *controlplane.ControlPlane, command *cobra.Command, args []string) error {
				return plane.StartComponent(command.Context(), args[0], args[1:]...)
			}},
		{"restart COMPONENT", "Stop a component in an orderly way and start it again", cobra.ExactArgs(1),
			func(plane *controlplane.ControlPlane, command *cobra.Command, args []string) error {
				return plane.Restart(command.Context(), args[0])
			}},
	}
	var commands []*cobra.Command
	for _, action := range actions {
		commands = append(commands, &cobra.Command{
			Use: action.use, Short: action.short, Args: action.args,
			RunE: func(command *cobra.Command, args []string) error {
				if err := flags.complete(); err != nil {
					return err
				}
				plane, err := controlplane.Attach(flags.options.StateDir)
				if err != nil {
					return err
				}
				return action.act(plane, command, args)
			},
		})
	}
	return commands
}
