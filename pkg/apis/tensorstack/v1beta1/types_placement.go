package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
)

// Placement says which node runs a machine, in the fields that a pod has for it. A change applies when the machine starts
// next.
type Placement struct {
	// nodeSelector holds labels that a node must have to run the machine.
	// +optional
	// +mapType=atomic
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// tolerations let the machine run on nodes with matching taints. See
	// https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/.
	// +optional
	// +listType=atomic
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
	// affinity draws the machine to nodes and pods, or keeps it away from them. The pod of a machine has the label
	// tensorstack.dev/virtualserver with the name of the VirtualServer. See
	// https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#affinity-and-anti-affinity.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`
	// topologySpreadConstraints spread machines over zones, nodes and the like. See
	// https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/.
	// +optional
	// +listType=map
	// +listMapKey=topologyKey
	// +listMapKey=whenUnsatisfiable
	TopologySpreadConstraints []corev1.TopologySpreadConstraint `json:"topologySpreadConstraints,omitempty"`
	// priorityClassName names the PriorityClass of the machine: one of higher priority may push others off a node. See
	// https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/.
	// +optional
	PriorityClassName string `json:"priorityClassName,omitempty"`
	// schedulerName names the scheduler that chooses the node. Leave it empty for the scheduler of the cluster.
	// +optional
	SchedulerName string `json:"schedulerName,omitempty"`
}

// Scheduler chooses a scheduler with settings of its own.
type Scheduler struct {
	// t9kScheduler has T9k's scheduler choose the node.
	// +optional
	T9kScheduler *T9kScheduler `json:"t9kScheduler,omitempty"`
}

// T9kScheduler are the settings of T9k's scheduler.
type T9kScheduler struct {
	// queue is the name of the queue that the machine waits in and whose resources it uses.
	Queue string `json:"queue"`
}
