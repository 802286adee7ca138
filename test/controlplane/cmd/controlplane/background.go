package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tensorstack.dev/virtualserver/test/controlplane"
)

// pollInterval is how often up and down look at the state of the background process.
const pollInterval = 100 * time.Millisecond

func newUpCommand(flags *startFlags) *cobra.Command {
	command := &cobra.Command{
		Use:   "up",
		Short: "Start everything in the background and return when it is ready",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := flags.complete(); err != nil {
				return err
			}
			return up(command, flags)
		},
	}
	flags.register(command)
	return command
}

// newServeCommand is what up starts: run without an example, in a session of its own.
func newServeCommand(flags *startFlags) *cobra.Command {
	command := &cobra.Command{
		Use: "serve", Hidden: true, Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) (err error) {
			if err := flags.complete(); err != nil {
				return err
			}
			flags.options.Log = command.OutOrStdout()
			plane, err := controlplane.Start(command.Context(), flags.options)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, plane.Stop()) }()
			return stay(command.Context(), plane)
		},
	}
	flags.register(command)
	return command
}

func up(command *cobra.Command, flags *startFlags) error {
	stateDir, out := flags.options.StateDir, command.OutOrStdout()
	if err := os.MkdirAll(stateDir, 0o755); err != nil {
		return err
	}
	if plane, err := controlplane.Attach(stateDir); err == nil {
		fmt.Fprintln(out, "already running")
		printAccess(out, plane)
		return nil
	}
	if err := waitUnused(command.Context(), stateDir); err != nil {
		return err
	}
	logPath := filepath.Join(stateDir, "launcher.log")
	log, err := os.Create(logPath)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	child := exec.Command(executable, serveArguments(command, flags)...)
	child.Stdout, child.Stderr = log, log
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := child.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	if err := follow(command.Context(), stateDir, logPath, child.Process.Pid, ended, out); err != nil {
		// It may have ended by itself.
		_ = child.Process.Signal(syscall.SIGTERM)
		return err
	}
	plane, err := controlplane.Attach(stateDir)
	if err != nil {
		return err
	}
	printAccess(out, plane)
	fmt.Fprintf(out, "\nTests share it with %s=%s\n", controlplane.EnvironmentVariable, stateDir)
	return nil
}

// waitUnused waits for a control plane that is just being stopped.
func waitUnused(ctx context.Context, stateDir string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for controlplane.InUse(stateDir) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("another control plane is starting or stopping in %s", stateDir)
		case <-ticker.C:
		}
	}
	return nil
}

// serveArguments repeats the flags of up for serve.
func serveArguments(command *cobra.Command, flags *startFlags) []string {
	arguments := []string{"serve"}
	command.Flags().Visit(func(set *pflag.Flag) {
		list, isList := set.Value.(pflag.SliceValue)
		if !isList {
			arguments = append(arguments, "--"+set.Name+"="+set.Value.String())
			return
		}
		for _, value := range list.GetSlice() {
			arguments = append(arguments, "--"+set.Name+"="+value)
		}
	})
	// The last one wins: complete has made these paths absolute or chosen them.
	return append(arguments, "--state-dir="+flags.options.StateDir, "--kubeconfig="+flags.options.Kubeconfig)
}

// follow copies the background process's log until it is ready or ends.
func follow(ctx context.Context, stateDir, logPath string, pid int, ended <-chan error, out io.Writer) error {
	log, err := os.Open(logPath)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		if _, err := io.Copy(out, log); err != nil {
			return err
		}
		// A launcher that was killed leaves its state, with another process's number.
		if state, err := controlplane.ReadState(stateDir); err == nil && state.Ready && state.PID == pid {
			_, err := io.Copy(out, log)
			return err
		}
		select {
		case <-ctx.Done():
			return errors.New("interrupted")
		case err := <-ended:
			_, _ = io.Copy(out, log)
			return errors.Join(errors.New("the control plane did not start"), err)
		case <-ticker.C:
		}
	}
}

func newDownCommand(flags *startFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Stop the control plane in the background and check that nothing remains",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := flags.complete(); err != nil {
				return err
			}
			return down(command.Context(), flags.options.StateDir, command.OutOrStdout())
		},
	}
}

func down(ctx context.Context, stateDir string, out io.Writer) error {
	state, err := controlplane.ReadState(stateDir)
	if errors.Is(err, os.ErrNotExist) {
		if err := controlplane.Sweep(); err != nil {
			return err
		}
		fmt.Fprintln(out, "nothing runs")
		return nil
	}
	if err != nil {
		return err
	}
	if controlplane.InUse(stateDir) {
		if err := syscall.Kill(state.PID, syscall.SIGTERM); err != nil {
			return fmt.Errorf("stop process %d: %w", state.PID, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		remaining := state.Remaining()
		if len(remaining) == 0 && !controlplane.InUse(stateDir) {
			fmt.Fprintln(out, "stopped; no process remains")
			return controlplane.Sweep()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("still running after a minute: %v", remaining)
		case <-ticker.C:
		}
	}
}
