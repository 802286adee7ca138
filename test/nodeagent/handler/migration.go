package handler

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

const (
	// migrationTime is how long the memory of a simulated guest is on its way.
	migrationTime = 500 * time.Millisecond
	// migrationPort stands for the ports that a target would open.
	migrationPort = "49152"
)

// migrate plays both virt-handlers of a live migration, one step per turn, in
// the machine's status. A positive result asks for the next turn. reachable
// tells whether a node is served.
func migrate(vmi *kubevirtv1.VirtualMachineInstance, address string, reachable func(node string) bool, now metav1.Time) time.Duration {
	state := vmi.Status.MigrationState
	if vmi.Status.Phase != kubevirtv1.Running || state == nil || state.Completed || state.Failed ||
		state.TargetNode == "" || !reachable(state.TargetNode) {
		return 0
	}
	switch {
	case state.AbortRequested:
		state.AbortStatus = kubevirtv1.MigrationAbortSucceeded
		state.Failed, state.Completed, state.EndTimestamp = true, true, &now
		state.FailureReason = "Live migration aborted"
		return 0
	case state.TargetNodeAddress == "":
		ports := map[string]int{migrationPort: 0}
		state.TargetNodeAddress, state.TargetDirectMigrationNodePorts = address, ports
		if state.TargetState != nil {
			state.TargetState.NodeAddress, state.TargetState.DirectMigrationNodePorts = &address, ports
		}
		return migrationTime
	case state.StartTimestamp == nil:
		state.StartTimestamp, state.Mode = &now, kubevirtv1.MigrationPreCopy
		return migrationTime
	case !state.TargetNodeDomainDetected:
		// The time is cut to whole seconds on its way through the API.
		if left := migrationTime - now.Sub(state.StartTimestamp.Add(time.Second)); left > 0 {
			return left
		}
		state.TargetNodeDomainDetected, state.TargetNodeDomainReadyTimestamp = true, &now
		if state.TargetState != nil {
			state.TargetState.DomainDetected, state.TargetState.DomainReadyTimestamp = true, &now
		}
		return migrationTime
	}
	state.Completed, state.EndTimestamp = true, &now
	vmi.Status.NodeName = state.TargetNode
	vmi.Status.EvacuationNodeName = ""
	// virt-controller fills this in again from the target's pod.
	vmi.Status.LauncherContainerImageVersion = ""
	if vmi.Labels == nil {
		vmi.Labels = map[string]string{}
	}
	vmi.Labels[kubevirtv1.NodeNameLabel] = state.TargetNode
	return 0
}

// leftBehind tells whether a launcher pod is the source of a migration that
// has succeeded: its guest lives elsewhere now.
func leftBehind(vmi *kubevirtv1.VirtualMachineInstance, pod, node string) bool {
	state := vmi.Status.MigrationState
	return state != nil && state.Completed && !state.Failed && state.SourcePod == pod && vmi.Status.NodeName != node
}
