package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"tensorstack.dev/virtualserver/test/controlplane"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "benchmark:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	plan := defaultPlan()
	command := &cobra.Command{
		Use:           "benchmark",
		Short:         "Measure VirtualServers against a CustomResourceDefinition of the same schema and against raw etcd",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(command *cobra.Command, _ []string) error { return run(command.Context(), plan) },
	}
	flags := command.Flags()
	flags.IntVar(&plan.Rounds, "rounds", plan.Rounds, "How often each operation of each subject is measured, in turns.")
	flags.IntVar(&plan.Clients, "clients", plan.Clients, "How many requests are under way at the same time.")
	flags.IntVar(&plan.Watchers, "watchers", plan.Watchers, "How many watches see each change of the fan-out.")
	flags.IntVar(&plan.Many, "many", plan.Many, "How many objects the long list has.")
	flags.StringSliceVar(&plan.Only, "only", nil, "Measure only these operations.")
	flags.StringVar(&plan.Profiles, "profiles", "", "Folder for a CPU profile of the product for each operation. The figures suffer a little.")
	return command
}

// run starts a control plane of its own, measures, and prints the table to standard output. Progress goes to standard error.
func run(ctx context.Context, plan plan) (err error) {
	root, err := controlplane.RepositoryRoot()
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "Starting a control plane for the benchmark")
	plane, err := controlplane.Start(ctx, controlplane.Options{
		StateDir: filepath.Join(root, "_output", "bench-state"),
		Log:      os.Stderr,
		// The API alone is measured: a CustomResourceDefinition has no controller either.
		ProductArgs: []string{"--controllers=false"},
		// Both sides keep their promises: an answer means that the object is on the disk.
		SyncWrites: true,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plane.Stop()) }()
	quiet(ctx, plane)
	subjects, closeSubjects, err := newSubjects(ctx, plane)
	if err != nil {
		return err
	}
	defer closeSubjects()
	results, err := measure(ctx, plan, subjects)
	if err != nil {
		return err
	}
	return report(os.Stdout, plan, results)
}

// quiet stops what has no part in the measurement, so that it does not take turns on the cores.
func quiet(ctx context.Context, plane *controlplane.ControlPlane) {
	for _, component := range []string{
		controlplane.NodeAgent, controlplane.VirtController, controlplane.CDIController, controlplane.KubeScheduler,
	} {
		if err := plane.StopComponent(ctx, component); err != nil {
			fmt.Fprintf(os.Stderr, "%s goes on: %v\n", component, err)
		}
	}
}
