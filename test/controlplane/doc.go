// Package controlplane starts a complete Kubernetes control plane with KubeVirt, CDI
// and the VirtualServer product on the loopback interface of one machine.
//
// All servers are the real ones, built from the nested modules below this folder. Only
// the hypervisor node is played, by the project's node agent. Tests use Start or
// FromEnvironment; people use the command in cmd/controlplane.
package controlplane
