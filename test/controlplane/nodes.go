package controlplane

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Nodes says what the machines of a control plane run on.
type Nodes string

const (
	// RealNodes are kubelets with containerd, virt-handler and guests in QEMU. They need root and what
	// hack/node-mode.sh names.
	RealNodes Nodes = "real"
	// SimulatedNodes are played by the project's node agent: nothing is computed or stored.
	SimulatedNodes Nodes = "simulated"
	// AutoNodes are real where the programs and images for them have been made and this process is root.
	AutoNodes Nodes = "auto"
)

// nodeNames are the nodes of a control plane, real or simulated.
var nodeNames = []string{NodeA, NodeB}

// realPrograms are what real nodes need besides the programs of every control plane.
var realPrograms = []string{"realnode", "containerd", "containerd-shim-runc-v2", "ctr"}

// resolve chooses between real and simulated, and says in one line why not real where that was left open.
func (n Nodes) resolve(binDir, imageDir string) (Nodes, string, error) {
	missing := missingForReal(binDir, imageDir)
	switch {
	case n == SimulatedNodes:
		return n, "", nil
	case n == RealNodes && len(missing) > 0:
		return n, "", fmt.Errorf("real nodes lack: %s", strings.Join(missing, ", "))
	case n == RealNodes || (n == AutoNodes || n == "") && len(missing) == 0:
		return RealNodes, "", nil
	case n == AutoNodes || n == "":
		return SimulatedNodes, "nodes are simulated: real ones lack " + strings.Join(missing, ", "), nil
	}
	return n, "", fmt.Errorf("nodes %q: must be real, simulated or auto", n)
}

// missingForReal lists what real nodes lack here.
func missingForReal(binDir, imageDir string) []string {
	var missing []string
	if os.Geteuid() != 0 {
		missing = append(missing, "root")
	}
	for _, program := range realPrograms {
		if _, err := os.Stat(filepath.Join(binDir, program)); err != nil {
			missing = append(missing, program)
		}
	}
	if archives, _ := filepath.Glob(filepath.Join(imageDir, "*.tar")); len(archives) == 0 {
		missing = append(missing, "images")
	}
	return missing
}
