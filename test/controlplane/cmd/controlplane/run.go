package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"tensorstack.dev/virtualserver/test/controlplane"
)

func newRunCommand(flags *startFlags) *cobra.Command {
	command := &cobra.Command{
		Use:   "run",
		Short: "Start everything, apply the guide's example, and stay in the foreground",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := flags.complete(); err != nil {
				return err
			}
			return run(command.Context(), flags, command.OutOrStdout())
		},
	}
	flags.register(command)
	command.Flags().StringVar(&flags.exampleDir, "example-dir", "", "directory of vs-example.yaml and prerequisites.yaml (default artifacts/examples in the repository)")
	return command
}

func run(ctx context.Context, flags *startFlags, out io.Writer) (err error) {
	flags.options.Log = out
	plane, err := controlplane.Start(ctx, flags.options)
	if err != nil {
		return err
	}
	defer func() {
		fmt.Fprintln(out, "stopping")
		err = errors.Join(err, plane.Stop())
	}()
	if flags.options.WithoutProduct {
		printAccess(out, plane)
	} else if err := showExample(ctx, plane, flags.exampleDir, out); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	fmt.Fprintln(out, "\nPress Ctrl-C to stop.")
	return stay(ctx, plane)
}

// stay waits for a signal, or for a component that will not run any more.
func stay(ctx context.Context, plane *controlplane.ControlPlane) error {
	select {
	case <-ctx.Done():
		return nil
	case <-plane.Failed():
		return plane.Err()
	}
}
