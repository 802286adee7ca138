package controlplane

import "time"

// Names of the components, as Kill, StartComponent and Restart take them. They also name
// the log files.
const (
	Etcd                  = "etcd"
	KubeAPIServer         = "kube-apiserver"
	KubeControllerManager = "kube-controller-manager"
	KubeScheduler         = "kube-scheduler"
	VirtAPI               = "virt-api"
	VirtController        = "virt-controller"
	CDIAPIServer          = "cdi-apiserver"
	CDIController         = "cdi-controller"
	NodeAgent             = "nodeagent"
	NodeA                 = "node-a"
	NodeB                 = "node-b"
	NodeNetwork           = "node-network"
	NodeVolumes           = "node-volumes"
	CSIController         = "csi-controller"
	CSIProvisioner        = "csi-provisioner"
	CSISnapshotter        = "csi-snapshotter"
	SnapshotController    = "snapshot-controller"
	Product               = "virtualserver-apiserver"
)

// ImageStore names the step that imports the images of real nodes.
const ImageStore = "image store"

// ProductAudit names the product's audit log, for LogFile.
const ProductAudit = "virtualserver-audit"

// Tiers order the stop: the highest goes first, so that no server loses what it needs
// while it still works.
const (
	tierStore = iota
	tierAPI
	tierControllers
	tierExtensions
	tierNodes
	tierProduct
)

// component is one process to supervise.
type component struct {
	name string
	// program is a file in the binary directory.
	program string
	args    []string
	// env is added to a minimal environment as KEY=value.
	env   []string
	ready probe
	tier  int
	// grace is how long the process may take to end after SIGTERM before SIGKILL.
	grace time.Duration
	// lease is a leader election Lease (namespace/name) that a killed process leaves
	// behind. The supervisor removes it before a restart instead of waiting for it to
	// expire.
	lease string
}

// ComponentStatus tells how one component is.
type ComponentStatus struct {
	Name string `json:"name"`
	// PID is 0 while no process runs.
	PID int `json:"pid,omitempty"`
	// Phase is Starting, Ready, Restarting, Held (stopped on request) or Stopped.
	Phase string `json:"phase"`
	// Restarts counts unexpected exits.
	Restarts int `json:"restarts"`
}

// Phases of a component.
const (
	phaseStarting   = "Starting"
	phaseReady      = "Ready"
	phaseRestarting = "Restarting"
	phaseHeld       = "Held"
	phaseStopped    = "Stopped"
)
