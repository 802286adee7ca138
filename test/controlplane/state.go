package controlplane

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// State is what a running control plane writes about itself into its state directory.
type State struct {
	// PID is the launcher's process.
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	// Ready is true once everything runs.
	Ready bool `json:"ready"`
	// Server is kube-apiserver's URL.
	Server     string `json:"server"`
	Kubeconfig string `json:"kubeconfig"`
	BinDir     string `json:"binDir"`
	DeployDir  string `json:"deployDir"`
	Product    bool   `json:"product"`
	Ports      ports  `json:"ports"`
	// Nodes is real or simulated.
	Nodes Nodes `json:"nodes"`
	// LabAddress is the machine's address in the network of real nodes.
	LabAddress netip.Addr        `json:"labAddress,omitzero"`
	ImageDir   string            `json:"imageDir"`
	Control    string            `json:"controlSocket"`
	Components []ComponentStatus `json:"components"`
}

// saveState replaces the state file. A failure is reported, not fatal: the file only
// informs others.
func (c *ControlPlane) saveState() {
	// Held from the snapshot to the write, so that an older state cannot replace a newer.
	c.own.stateFile.Lock()
	defer c.own.stateFile.Unlock()
	c.own.mu.Lock()
	supervisors := slices.Clone(c.own.supervisors)
	stopping := c.own.context.Err() != nil
	state := State{
		PID: os.Getpid(), Started: c.own.started, Ready: c.own.ready, Server: c.server,
		Kubeconfig: c.options.Kubeconfig, BinDir: c.options.BinDir, DeployDir: c.options.DeployDir,
		Product: !c.options.WithoutProduct, Ports: c.ports, Nodes: c.options.Nodes, LabAddress: c.labAddress, ImageDir: c.options.ImageDir, Control: c.own.control.socket,
	}
	c.own.mu.Unlock()
	if stopping {
		return
	}
	for _, supervisor := range supervisors {
		state.Components = append(state.Components, supervisor.snapshot())
	}
	if err := c.writeState(state); err != nil {
		c.report("state file: %v", err)
	}
}

func (c *ControlPlane) writeState(state State) error {
	text, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return err
	}
	temporary := c.paths.stateFile() + ".new"
	if err := os.WriteFile(temporary, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, c.paths.stateFile())
}

// ReadState reads the state of the control plane in a state directory. The error is
// os.ErrNotExist if none was started there.
func ReadState(stateDir string) (*State, error) {
	text, err := os.ReadFile(layout{root: stateDir}.stateFile())
	if err != nil {
		return nil, err
	}
	state := &State{}
	if err := json.Unmarshal(text, state); err != nil {
		return nil, fmt.Errorf("%s: %w", layout{root: stateDir}.stateFile(), err)
	}
	return state, nil
}

// forgetKilled removes what a launcher that was killed left outside its state directory.
func forgetKilled(stateDir string) error {
	state, err := ReadState(stateDir)
	if err != nil {
		// No state, or none that can be read: nothing is known to be left.
		return nil
	}
	dir := filepath.Dir(state.Control)
	if !strings.HasPrefix(filepath.Base(dir), controlDirPrefix) {
		return nil
	}
	return os.RemoveAll(dir)
}

// logTail returns the last lines of a file, or why it cannot.
func logTail(path string, lines int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Remaining lists the processes of a state that still run, as "name (pid)". After a stop
// there are none. The list is that of the last save, so it holds for a launcher that was
// killed, too.
func (s *State) Remaining() []string {
	var remaining []string
	for _, component := range s.Components {
		if component.PID != 0 && processLives(component.PID) {
			remaining = append(remaining, fmt.Sprintf("%s (%d)", component.Name, component.PID))
		}
	}
	return remaining
}

// InUse tells whether a launcher holds the state directory.
func InUse(stateDir string) bool {
	lock, err := os.OpenFile(layout{root: stateDir}.lockFile(), os.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer func() { _ = lock.Close() }()
	return syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil
}
