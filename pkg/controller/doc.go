// Package controller runs the controller of VirtualServers inside the API server's process: one process at a time, chosen
// by a Lease.
//
// # Rights
//
// The ServiceAccount of the product needs these rights for the controller, and no others. VirtualServers themselves are
// read and written through the loopback client, which needs none.
//
// In all namespaces (ClusterRole):
//
//	apiGroups: [kubevirt.io]
//	  resources: [virtualmachines]           verbs: [get, list, watch, create, patch, delete]
//	  resources: [virtualmachines/status]    verbs: [patch]    takes back requests that KubeVirt has queued
//	  resources: [virtualmachineinstances]   verbs: [get, list, watch, delete]
//	apiGroups: [subresources.kubevirt.io]
//	  resources: [virtualmachines/start, virtualmachines/stop, virtualmachines/restart]   verbs: [update]
//	apiGroups: [cdi.kubevirt.io]
//	  resources: [datavolumes]               verbs: [get, list, watch, create, patch, delete]
//	  resources: [datavolumes/source]        verbs: [create]   CDI asks for it where a disk is cloned from another
//	                                         namespace; the API server has asked for the user before
//	apiGroups: [snapshot.storage.k8s.io]
//	  resources: [volumesnapshots]           verbs: [get, create, delete]   the copies of ephemeral claims, one for each run
//	  resources: [volumesnapshotclasses]     verbs: [list]
//	apiGroups: [""]
//	  resources: [persistentvolumeclaims]    verbs: [get, list, watch, patch, delete]
//	  resources: [services, secrets]         verbs: [get, list, watch, create, patch, delete]
//	  resources: [pods, nodes]               verbs: [list, watch]
//	  resources: [namespaces]                verbs: [get, list, watch]
//	  resources: [events]                    verbs: [create, patch]
//	apiGroups: [storage.k8s.io]
//	  resources: [storageclasses]            verbs: [list, watch]
//
// In the namespace of the product (Role):
//
//	apiGroups: [coordination.k8s.io]
//	  resources: [leases]                    verbs: [create]
//	  resources: [leases]                    verbs: [get, update]   resourceNames: [virtualserver-controller]
//	apiGroups: [""]
//	  resources: [events]                    verbs: [create, patch]
//
// Secrets, Services and claims are listed and watched by our label only, and every delete names the UID of an object that
// carries it; RBAC cannot say so.
package controller
