package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"k8s.io/client-go/tools/clientcmd"
)

// FromEnvironment attaches to the control plane that the environment variable
// VIRTUALSERVER_CONTROLPLANE names, and starts one with options if it names none. Stop
// does the right thing in both cases.
func FromEnvironment(ctx context.Context, options Options) (*ControlPlane, error) {
	if stateDir := os.Getenv(EnvironmentVariable); stateDir != "" {
		return Attach(stateDir)
	}
	return Start(ctx, options)
}

// Attach uses the control plane of another process by its state directory. Only the user
// who started it can.
func Attach(stateDir string) (*ControlPlane, error) {
	stateDir, err := filepath.Abs(stateDir)
	if err != nil {
		return nil, err
	}
	state, err := ReadState(stateDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("no control plane runs in %s", stateDir)
	}
	if err != nil {
		return nil, fmt.Errorf("attach to %s: %w", stateDir, err)
	}
	if !processLives(state.PID) {
		return nil, fmt.Errorf("the control plane of %s (process %d) is gone", stateDir, state.PID)
	}
	if !state.Ready {
		return nil, fmt.Errorf("the control plane of %s is starting or stopping", stateDir)
	}
	c := &ControlPlane{
		options: Options{
			StateDir: stateDir, BinDir: state.BinDir, DeployDir: state.DeployDir, Kubeconfig: state.Kubeconfig,
			WithoutProduct: !state.Product, Nodes: state.Nodes, ImageDir: state.ImageDir,
		},
		labAddress: state.LabAddress,
		paths:      layout{root: stateDir}, ports: state.Ports, server: state.Server,
		operator: newRemoteOperator(state.Control), cas: authorities{},
	}
	for _, name := range []string{clusterCA, productCA, kubevirtCA, cdiCA} {
		if c.cas[name], err = loadAuthority(c.paths.pki(""), name); err != nil {
			return nil, fmt.Errorf("attach to %s: %w", stateDir, err)
		}
	}
	c.clusterCAPEM = c.cas[clusterCA].certPEM
	if c.admin, err = clientcmd.BuildConfigFromFlags("", state.Kubeconfig); err != nil {
		return nil, fmt.Errorf("attach to %s: %w", stateDir, err)
	}
	c.admin.QPS = -1
	return c, c.connect()
}

// processLives asks with the null signal. A process of another user counts as alive.
func processLives(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
