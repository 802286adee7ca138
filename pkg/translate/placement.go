package translate

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

const (
	// T9kSchedulerName is the name of T9k's scheduler in the spec of a pod.
	T9kSchedulerName = "t9k-scheduler"
	// LabelQueue is the label by which T9k's scheduler finds the queue of a pod.
	LabelQueue = "scheduler.tensorstack.dev/queue"
)

// place says which node the machine goes to, and which scheduler chooses it.
func place(vs *v1beta1.VirtualServer, template *kubevirtv1.VirtualMachineInstanceTemplateSpec) {
	placement, spec := vs.Spec.Placement.DeepCopy(), &template.Spec
	spec.NodeSelector = placement.NodeSelector
	spec.Tolerations = placement.Tolerations
	spec.Affinity = placement.Affinity
	spec.TopologySpreadConstraints = placement.TopologySpreadConstraints
	spec.PriorityClassName = placement.PriorityClassName
	spec.SchedulerName = placement.SchedulerName
	if queue := queueOf(vs); queue != "" {
		spec.SchedulerName = T9kSchedulerName
		template.ObjectMeta.Labels[LabelQueue] = queue
	}
}

func queueOf(vs *v1beta1.VirtualServer) string {
	if scheduler := vs.Spec.Scheduler; scheduler != nil && scheduler.T9kScheduler != nil {
		return scheduler.T9kScheduler.Queue
	}
	return ""
}

// hostname returns the name of the VirtualServer where a host can have it, or nothing: then KubeVirt names the guest after the
// VirtualMachine.
func hostname(vs *v1beta1.VirtualServer) string {
	if len(validation.IsDNS1123Label(vs.Name)) > 0 {
		return ""
	}
	return vs.Name
}

// mergePlacement writes what the VirtualServer says over the live template, takes back what it said before and says no more,
// and keeps what others have put where it says nothing. The hostname is not among it: a machine keeps the one that it was
// made with, which the guest has written down in many places.
func mergePlacement(live, want *kubevirtv1.VirtualMachineInstanceTemplateSpec, before, after record) {
	spec, wanted := &live.Spec, &want.Spec
	spec.NodeSelector = mergeKeys(spec.NodeSelector, wanted.NodeSelector, before.NodeSelector)
	spec.Tolerations = mergeOwned(fieldTolerations, spec.Tolerations, wanted.Tolerations, before, after)
	spec.Affinity = mergeOwned(fieldAffinity, spec.Affinity, wanted.Affinity, before, after)
	spec.TopologySpreadConstraints = mergeOwned(fieldTopologySpread, spec.TopologySpreadConstraints, wanted.TopologySpreadConstraints, before, after)
	spec.PriorityClassName = mergeOwned(fieldPriorityClass, spec.PriorityClassName, wanted.PriorityClassName, before, after)
	spec.SchedulerName = mergeOwned(fieldSchedulerName, spec.SchedulerName, wanted.SchedulerName, before, after)
	if before.owns(fieldQueue) && !after.owns(fieldQueue) && live.ObjectMeta.Labels[LabelQueue] != "" {
		live.ObjectMeta.Labels = maps.Clone(live.ObjectMeta.Labels)
		delete(live.ObjectMeta.Labels, LabelQueue)
	}
}

// mergeKeys is for a map whose keys have different owners.
func mergeKeys(live, want map[string]string, before []string) map[string]string {
	merged := maps.Clone(live)
	maps.DeleteFunc(merged, func(key, _ string) bool { return slices.Contains(before, key) })
	return overlay(merged, want)
}
