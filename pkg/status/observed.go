package status

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// Observed is what is known about a VirtualServer and the objects behind it. Everything but VirtualServer and Now may be
// missing. No object is changed.
type Observed struct {
	// VirtualServer is the object with the status that was derived before.
	VirtualServer *v1beta1.VirtualServer
	// Desired is the VirtualMachine as it should be, from translate.VirtualMachine or translate.MergeVirtualMachine. It is
	// compared with Instance to say what needs a restart.
	Desired *kubevirtv1.VirtualMachine
	// VirtualMachine is the VirtualMachine as it is.
	VirtualMachine *kubevirtv1.VirtualMachine
	// Instance is the VirtualMachineInstance of VirtualMachine.
	Instance *kubevirtv1.VirtualMachineInstance
	// LauncherPod is the pod of Instance, or of the instance before.
	LauncherPod *corev1.Pod
	// LauncherPodGone says that LauncherPod does not exist any more, and is what was last seen of it.
	LauncherPodGone bool
	// DataVolume imports the root disk.
	DataVolume *cdiv1.DataVolume
	// Claim is the claim of the root disk.
	Claim *corev1.PersistentVolumeClaim
	// Service exposes the ports of the machine.
	Service *corev1.Service
	// ImporterPod is the pod that fills Claim.
	ImporterPod *corev1.Pod
	// Node is the node in Instance.Status.NodeName.
	Node *corev1.Node
	// NodeMissing says that the node was looked for and does not exist.
	NodeMissing bool
	// StorageClassMissing is the name of the StorageClass of the root disk, if it was looked for and does not exist.
	StorageClassMissing string
	// NoDefaultClass says that the root disk names no StorageClass, and that none is the default.
	NoDefaultClass bool
	// LookedUp says that everything which References names was looked for, and Absences what is not there.
	LookedUp bool
	Absences []Absence
	// Obstacles are what else stands in the way of the import, see ObstaclesOf.
	Obstacles []Obstacle
	// HotplugFails says that virt-handler finds no file for a volume that was added to the running guest, see HotplugFails.
	HotplugFails bool
	// Shortfalls say which quotas and LimitRanges do not allow what the import needs. They count only while it cannot go on.
	Shortfalls []string
	// Copying is what an instance waits for while ephemeral claims that it uses as filesystems are copied, or empty.
	Copying string
	// Failure is an unexpected end that was seen before, see Failure. Instance may not show it any more.
	Failure *v1beta1.MachineFailure
	// Now is the time of the observation.
	Now time.Time
}

// heartbeatTimeout is how old the heartbeat of virt-handler may be. KubeVirt itself gives a node up after that
// (pkg/virt-controller/watch/node/node.go of KubeVirt).
const heartbeatTimeout = 5 * time.Minute

// facts are what the parts of the derivation share.
type facts struct {
	Observed
	vs *v1beta1.VirtualServer
	// before is the status that was derived last.
	before *v1beta1.VirtualServerStatus
	// strategy is the run strategy in force.
	strategy v1beta1.RunStrategy
	// live is the instance, if it has not ended.
	live *kubevirtv1.VirtualMachineInstance
	// nodeLost says why the node of the live instance is not heard from, or is empty.
	nodeLost string
	imported importState
	// failure is the last unexpected end, from before or now.
	failure *v1beta1.MachineFailure
	// pending is the operation that is pending, from before or for an eviction that is found out now.
	pending *v1beta1.Operation
}

func factsOf(o Observed) *facts {
	f := &facts{Observed: o, vs: o.VirtualServer, before: &o.VirtualServer.Status}
	f.strategy = strategyOf(o)
	if o.Instance != nil && !o.Instance.IsFinal() {
		f.live = o.Instance
		f.nodeLost = nodeLost(o)
	}
	f.imported = importOf(o)
	f.failure = f.lastFailure()
	f.pending = f.before.PendingOperation.DeepCopy()
	if start := f.startAfterEviction(); start != nil {
		f.pending = start
	}
	return f
}

func strategyOf(o Observed) v1beta1.RunStrategy {
	if strategy := o.VirtualServer.Status.RunStrategy; strategy != "" {
		return strategy
	}
	if vm := o.VirtualMachine; vm != nil && vm.Spec.RunStrategy != nil {
		return v1beta1.RunStrategy(*vm.Spec.RunStrategy)
	}
	if strategy := o.VirtualServer.Spec.RunStrategy; strategy != "" {
		return strategy
	}
	return v1beta1.RunStrategyAlways
}

// name is the name of the machine's objects.
func (f *facts) name() string { return f.vs.Status.VM.Name }

// stopPending says whether an operation that stops the instance is under way.
func (f *facts) stopPending(instance types.UID, kinds ...v1beta1.OperationType) bool {
	op := f.before.PendingOperation
	return op != nil && slices.Contains(kinds, op.Type) && (op.InstanceUID == "" || op.InstanceUID == instance)
}

// requested says whether KubeVirt has a request of the action pending, for the instance if one is given.
func (f *facts) requested(action kubevirtv1.StateChangeRequestAction, instance types.UID) bool {
	if f.VirtualMachine == nil {
		return false
	}
	for _, request := range f.VirtualMachine.Status.StateChangeRequests {
		if request.Action == action && (instance == "" || (request.UID != nil && *request.UID == instance)) {
			return true
		}
	}
	return false
}

// NodeLost says why the node of the instance is not heard from. It is empty for a node that is, and without an instance.
func NodeLost(o Observed) string {
	if o.Instance == nil {
		return ""
	}
	return nodeLost(o)
}

// nodeLost says why the node of the machine is not heard from. KubeVirt keeps such a machine Running. An unready kubelet
// counts too: nobody can tell then whether the machine still runs.
func nodeLost(o Observed) string {
	switch name := o.Instance.Status.NodeName; {
	case name == "":
		return ""
	case o.NodeMissing:
		return "the node does not exist"
	case o.Node == nil || o.Node.Name != name:
		return ""
	}
	for _, condition := range o.Node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status != corev1.ConditionTrue {
			since := timeText(condition.LastTransitionTime.Time)
			if condition.Status == corev1.ConditionUnknown {
				return fmt.Sprintf("not heard from since %s", since)
			}
			return fmt.Sprintf("not ready since %s: %s", since, condition.Message)
		}
	}
	if o.Node.Labels[kubevirtv1.NodeSchedulable] == "false" {
		beat, err := time.Parse(time.RFC3339, o.Node.Annotations[kubevirtv1.VirtHandlerHeartbeat])
		if err == nil && o.Now.Sub(beat) > heartbeatTimeout {
			return fmt.Sprintf("virt-handler not heard from since %s", timeText(beat))
		}
	}
	return ""
}

// startsUp says whether an instance is there that no node runs yet.
func (f *facts) startsUp() bool {
	if f.live == nil {
		return false
	}
	switch f.live.Status.Phase {
	case kubevirtv1.VmPhaseUnset, kubevirtv1.Pending, kubevirtv1.Scheduling:
		return true
	default:
		return false
	}
}

// NeedsLookUp says whether it is worth to look for what References names: an instance is to start and has not yet.
func NeedsLookUp(vmi *kubevirtv1.VirtualMachineInstance) bool {
	return vmi != nil && (&facts{live: vmi}).startsUp()
}

// vmiCondition returns the condition of the instance, or nil.
func vmiCondition(vmi *kubevirtv1.VirtualMachineInstance,
	kind kubevirtv1.VirtualMachineInstanceConditionType) *kubevirtv1.VirtualMachineInstanceCondition {
	if vmi == nil {
		return nil
	}
	for i := range vmi.Status.Conditions {
		if vmi.Status.Conditions[i].Type == kind {
			return &vmi.Status.Conditions[i]
		}
	}
	return nil
}

// vmiConditionIs says whether the instance has the condition with that status.
func vmiConditionIs(vmi *kubevirtv1.VirtualMachineInstance, kind kubevirtv1.VirtualMachineInstanceConditionType,
	status corev1.ConditionStatus) bool {
	condition := vmiCondition(vmi, kind)
	return condition != nil && condition.Status == status
}
