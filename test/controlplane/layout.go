package controlplane

import (
	"fmt"
	"os"
	"path/filepath"
)

// layout names every file of one control plane below its state directory.
type layout struct {
	root string
}

func (l layout) pki(name string) string        { return filepath.Join(l.root, "pki", name) }
func (l layout) crt(name string) string        { return l.pki(name + ".crt") }
func (l layout) key(name string) string        { return l.pki(name + ".key") }
func (l layout) logFile(name string) string    { return filepath.Join(l.root, "logs", name+".log") }
func (l layout) data(name string) string       { return filepath.Join(l.root, "data", name) }
func (l layout) kubeconfig(name string) string { return filepath.Join(l.root, "kubeconfigs", name) }
func (l layout) token(name string) string      { return filepath.Join(l.root, "tokens", name) }
func (l layout) config(name string) string     { return filepath.Join(l.root, "config", name) }
func (l layout) stateFile() string             { return filepath.Join(l.root, "state.json") }

// lockFile is held for as long as a launcher uses the directory.
func (l layout) lockFile() string { return filepath.Join(l.root, "lock") }

// folders are the parts that belong to the launcher. Nothing else below root is touched.
func (l layout) folders() []string {
	names := []string{"pki", "logs", "data", "kubeconfigs", "tokens", "config", "nodes", "volumes"}
	for i, name := range names {
		names[i] = filepath.Join(l.root, name)
	}
	return names
}

// reset makes the directory as new: no file of an earlier run can be mistaken for one
// of this run.
func (l layout) reset() error {
	for _, folder := range l.folders() {
		if err := os.RemoveAll(folder); err != nil {
			return fmt.Errorf("state directory: %w", err)
		}
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("state directory: %w", err)
		}
	}
	if err := os.Remove(l.stateFile()); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("state directory: %w", err)
	}
	return nil
}
