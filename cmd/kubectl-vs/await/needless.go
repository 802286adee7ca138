package await

import "tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"

// RunsAlready says whether a start has nothing to do: the machine runs or comes up, and no stop or restart is under way.
func RunsAlready(vs *v1beta1.VirtualServer) bool {
	if pending := vs.Status.PendingOperation; pending != nil {
		return pending.Type == v1beta1.OperationStart
	}
	switch vs.Status.PrintableStatus {
	case v1beta1.StatusRunning, v1beta1.StatusPaused, v1beta1.StatusMigrating, v1beta1.StatusStarting:
		return true
	default:
		return false
	}
}

// IsStopped says whether a stop has nothing to do: the machine is stopped, nothing is under way, and it does not start by itself.
func IsStopped(vs *v1beta1.VirtualServer) bool {
	return vs.Status.PrintableStatus == v1beta1.StatusStopped && vs.Status.PendingOperation == nil && vs.Status.VM.InstanceUID == "" &&
		vs.Status.RunStrategy != v1beta1.RunStrategyAlways
}
