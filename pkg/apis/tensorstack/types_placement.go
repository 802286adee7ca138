package tensorstack

import (
	corev1 "k8s.io/api/core/v1"
)

// Placement says which node runs a machine, in the fields that a pod has for it. A change applies when the machine starts
// next.
type Placement struct {
	// nodeSelector holds labels that a node must have to run the machine.
	NodeSelector map[string]string
	// tolerations let the machine run on nodes with matching taints. See
	// https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/.
	Tolerations []corev1.Toleration
	// affinity draws the machine to nodes and pods, or keeps it away from them. The pod of a machine has the label
	// tensorstack.dev/virtualserver with the name of the VirtualServer. See
	// https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#affinity-and-anti-affinity.
	Affinity *corev1.Affinity
	// topologySpreadConstraints spread machines over zones, nodes and the like. See
	// https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/.
	TopologySpreadConstraints []corev1.TopologySpreadConstraint
	// priorityClassName names the PriorityClass of the machine: one of higher priority may push others off a node. See
	// https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/.
	PriorityClassName string
	// schedulerName names the scheduler that chooses the node. Leave it empty for the scheduler of the cluster.
	SchedulerName string
}

// Scheduler chooses a scheduler with settings of its own.
type Scheduler struct {
	// t9kScheduler has T9k's scheduler choose the node.
	T9kScheduler *T9kScheduler
}

// T9kScheduler are the settings of T9k's scheduler.
type T9kScheduler struct {
	// queue is the name of the queue that the machine waits in and whose resources it uses.
	Queue string
}
