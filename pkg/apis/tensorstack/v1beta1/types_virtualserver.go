package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// +genclient
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// VirtualServer is one virtual machine: its resources, its root disk and where that comes from, further disks and
// filesystems, its network, and how it starts. A controller keeps a KubeVirt VirtualMachine, a CDI DataVolume, a
// cloud-init Secret and a Service for it, and reports the state of the machine in status.
type VirtualServer struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the machine that the user wants.
	Spec VirtualServerSpec `json:"spec"`
	// status is the machine as it is. It is written by the system and read-only for users.
	// +optional
	Status VirtualServerStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// VirtualServerList is a list of VirtualServers.
type VirtualServerList struct {
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items is the list of VirtualServers.
	Items []VirtualServer `json:"items"`
}

// RunStrategy says when the machine runs. The names and their meaning follow KubeVirt's VirtualMachineRunStrategy.
// +enum
type RunStrategy string

const (
	// RunStrategyAlways starts the machine whenever it is not running, for whatever reason it ended.
	RunStrategyAlways RunStrategy = "Always"
	// RunStrategyRerunOnFailure starts the machine after creation and after a failure, but not after a shutdown from
	// inside the guest.
	RunStrategyRerunOnFailure RunStrategy = "RerunOnFailure"
	// RunStrategyManual never starts, restarts or stops the machine by itself; only operations do.
	RunStrategyManual RunStrategy = "Manual"
	// RunStrategyHalted keeps the machine stopped.
	RunStrategyHalted RunStrategy = "Halted"
)

// VirtualServerSpec is the machine that the user wants.
type VirtualServerSpec struct {
	// runStrategy is the run strategy that the machine has when it is created: Always, RerunOnFailure, Manual or
	// Halted. The strategy in force later, changed by the operations start and stop, is status.runStrategy. A later
	// edit of this field applies the new value as if the machine had just been created. Defaults to Always.
	// +optional
	// +default="Always"
	RunStrategy RunStrategy `json:"runStrategy,omitempty"`
	// resources are the CPU, memory and GPUs of the machine.
	Resources Resources `json:"resources"`
	// storage is the root disk, the additional disks and the shared filesystems of the machine.
	Storage Storage `json:"storage"`
	// network says which ports a Service exposes, the MAC address, and how the machine resolves names.
	// +optional
	Network Network `json:"network,omitempty"`
	// firmware is what the machine starts with before its operating system: BIOS or EFI, its UUID and serial number.
	// +optional
	Firmware *Firmware `json:"firmware,omitempty"`
	// useVirtioTransitional gives the guest virtio devices that also speak version 0.9, for guests that know no later one,
	// such as CentOS 6.
	// +optional
	UseVirtioTransitional *bool `json:"useVirtioTransitional,omitempty"`
	// Which node runs the machine.
	Placement `json:",inline"`
	// scheduler chooses a scheduler with settings of its own. Leave it out for the scheduler of the cluster.
	// +optional
	Scheduler *Scheduler `json:"scheduler,omitempty"`
	// cloudInit is cloud-init user data of any length, which sets the machine up at its first boot: users, passwords,
	// packages, mounts. It is handed to the machine by a Secret. Whoever can read this object can read it: for
	// passwords use cloudInitSecretRef. See https://cloudinit.readthedocs.io/en/latest/reference/examples.html.
	// +optional
	CloudInit string `json:"cloudInit,omitempty"`
	// cloudInitSecretRef names a Secret in the same namespace whose key "userdata" holds the cloud-init user data.
	// At most one of cloudInit and cloudInitSecretRef may be set.
	// +optional
	CloudInitSecretRef *corev1.LocalObjectReference `json:"cloudInitSecretRef,omitempty"`
	// sshKeys are the public SSH keys whose owners may log in to the machine.
	// +optional
	SSHKeys *SSHKeys `json:"sshKeys,omitempty"`
}

// Resources are the CPU, memory and GPUs of a machine.
type Resources struct {
	// cpu is the number of cores and the CPU model.
	CPU CPU `json:"cpu"`
	// memory is the memory of the guest, such as 8Gi. The pod that runs the machine needs a little more.
	Memory resource.Quantity `json:"memory"`
	// gpu asks for GPUs of one type.
	// +optional
	GPU *GPU `json:"gpu,omitempty"`
}

// CPU is the number of cores and the CPU model of a machine.
type CPU struct {
	// cores is the number of CPU cores, a quantity of whole cores from 1 to 1024, such as 2, "2.0", 2000m or 1k. It is kept
	// as it is written.
	Cores intstr.IntOrString `json:"cores"`
	// model is the CPU model whose instruction set the machine needs, such as Conroe. The physical CPU may be a newer
	// one. Leave it empty to get the model of the host.
	// +optional
	Model string `json:"model,omitempty"`
}

// GPU asks for GPUs of one type.
type GPU struct {
	// type is the extended resource that the device plugin of the cluster offers, such as
	// nvidia.com/GA100_A100_PCIE_40GB. Ask an administrator which types there are.
	Type string `json:"type"`
	// count is the number of GPUs, at least 1.
	Count int32 `json:"count"`
}

// Network says how a machine is reached and how it resolves names.
type Network struct {
	// tcp lists the TCP ports that the Service of the machine exposes, each from 1 to 65535.
	// +optional
	// +listType=set
	TCP []int32 `json:"tcp,omitempty"`
	// udp lists the UDP ports that the Service of the machine exposes, each from 1 to 65535.
	// +optional
	// +listType=set
	UDP []int32 `json:"udp,omitempty"`
	// ports lists further ports that the Service of the machine exposes, with names.
	// +optional
	// +listType=map
	// +listMapKey=name
	Ports []Port `json:"ports,omitempty"`
	// macAddress is the MAC address of the network interface, such as 02:00:00:4c:1f:07 or 02-00-00-4C-1F-07. If it is empty
	// the machine gets a random one at every start.
	// +optional
	MACAddress string `json:"macAddress,omitempty"`
	// dnsPolicy is the DNS policy of the machine: ClusterFirst, ClusterFirstWithHostNet, Default or None.
	// Defaults to ClusterFirst. See
	// https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-s-dns-policy.
	// +optional
	// +default="ClusterFirst"
	DNSPolicy corev1.DNSPolicy `json:"dnsPolicy,omitempty"`
	// dnsConfig is the DNS configuration of the machine: nameservers, search domains and resolver options. See
	// https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-dns-config.
	// +optional
	DNSConfig *corev1.PodDNSConfig `json:"dnsConfig,omitempty"`
}
