package status

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// The scheduler's word on a pod stands until it looks again, with a growing delay, and much of what it refuses is no lack of
// nodes: a volume that is being made, or a pod that has to go first. Only what does not go away by itself is told as such.

// verdict is why the scheduler gives a pod no node.
type verdict struct {
	// message is the scheduler's own.
	message string
	about   subject
	// nominated is the node on which the scheduler makes room for the pod, or empty.
	nominated string
}

// subject is what a verdict is about.
type subject int

const (
	// aboutNodes is a pod that fits on no node.
	aboutNodes subject = iota
	// aboutUnboundClaim is a pod whose volume is being made.
	aboutUnboundClaim
	// aboutMissingClaim is a pod whose claim is not there yet, or not any more.
	aboutMissingClaim
	// aboutDoomedClaim is a pod whose claim is being deleted.
	aboutDoomedClaim
	// aboutRoom is a pod for which other pods are being ended.
	aboutRoom
)

// verdictOn returns why the scheduler gives the pod no node, or nil for a pod that has one or was not looked at.
func verdictOn(pod *corev1.Pod) *verdict {
	if pod == nil || pod.Spec.NodeName != "" {
		return nil
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type != corev1.PodScheduled {
			continue
		}
		if condition.Status != corev1.ConditionFalse || condition.Reason != corev1.PodReasonUnschedulable {
			// SchedulerError and SchedulingGated say nothing about nodes.
			return nil
		}
		return &verdict{message: condition.Message, about: subjectOf(condition.Message, pod), nominated: pod.Status.NominatedNodeName}
	}
	return nil
}

// subjectOf reads the scheduler's words, which are in Kubernetes' pkg/scheduler/framework/plugins, in volumebinding and
// defaultpreemption. A claim that is bound to a volume which does not exist is no missing claim: nobody brings the volume back.
func subjectOf(message string, pod *corev1.Pod) subject {
	switch {
	case strings.Contains(message, "non-existent persistentvolume"):
		return aboutNodes
	case strings.Contains(message, "unbound immediate PersistentVolumeClaims"):
		return aboutUnboundClaim
	case strings.Contains(message, `persistentvolumeclaim "`) && strings.Contains(message, "is being deleted"):
		return aboutDoomedClaim
	case strings.Contains(message, `persistentvolumeclaim "`):
		return aboutMissingClaim
	case pod.Status.NominatedNodeName != "", strings.Contains(message, "waiting for the preemption"):
		return aboutRoom
	default:
		return aboutNodes
	}
}

// roomText says what a pod waits for that is to have the room of others.
func (v *verdict) roomText() string {
	if v.nominated == "" {
		return "waiting for pods of a lower priority to end"
	}
	return fmt.Sprintf("waiting for pods of a lower priority on node %s to end", v.nominated)
}

// importerVerdict says why no node takes the importer, or what the importer waits for if that comes by itself. CDI keeps its
// own word a moment longer than the scheduler.
func importerVerdict(o Observed) (refused, waits string) {
	said := verdictOn(o.ImporterPod)
	switch {
	case said == nil:
		// There is no pod any more, or not yet, or it has a node.
		return "", "waiting for the importer to start"
	case said.about == aboutUnboundClaim, said.about == aboutMissingClaim:
		return "", "waiting for its volume"
	case said.about == aboutRoom:
		return "", said.roomText()
	default:
		return joined(": ", "no node takes the importer", OneLine(said.message)), ""
	}
}

// unschedulable says whether no node takes the machine's pod, and why. Only the pod knows: KubeVirt has the same condition
// on the instance, but writes it also for a claim that does not exist (updateStatus in pkg/virt-controller/watch/vmi), and
// never writes over its message (AddPodCondition in pkg/controller).
func (f *facts) unschedulable() (message string, is bool) {
	said := verdictOn(f.podOf(f.live))
	if said == nil {
		return f.schedulerMissing()
	}
	switch said.about {
	case aboutRoom:
		return "", false
	case aboutUnboundClaim:
		return said.message, f.unbound() == nil && !f.claimVerdictIsOld()
	case aboutMissingClaim:
		return said.message, !f.claimVerdictIsOld()
	case aboutDoomedClaim:
		return said.message, f.hasOtherClaims() || !f.claimVerdictIsOld()
	default:
		return said.message, true
	}
}

// claimVerdictIsOld says that what the scheduler said of claims is told better elsewhere, or over: the claims of the machine
// are there meanwhile.
func (f *facts) claimVerdictIsOld() bool {
	if absent := f.absent(); absent != nil && absent.Kind == KindClaim {
		// No node is at fault.
		return true
	}
	there := f.imported.done && (!translate.MakesRootDisk(f.vs) ||
		f.Claim != nil && f.Claim.DeletionTimestamp == nil && f.Claim.Status.Phase != corev1.ClaimLost)
	return there && (!f.hasOtherClaims() || f.LookedUp && len(f.Absences) == 0)
}

func (f *facts) hasOtherClaims() bool {
	uses := func(source v1beta1.VolumeSource) bool {
		return source.PersistentVolumeClaim != nil || source.Ephemeral != nil
	}
	storage := &f.vs.Spec.Storage
	return storage.Root.PersistentVolumeClaim != nil ||
		slices.ContainsFunc(storage.AdditionalDisks, func(disk v1beta1.AdditionalDisk) bool { return uses(disk.VolumeSource) }) ||
		slices.ContainsFunc(storage.Filesystems, func(fs v1beta1.Filesystem) bool { return uses(fs.VolumeSource) })
}

// awaited says what the scheduler waits for that comes by itself, or nothing, and whether that is a volume.
func (f *facts) awaited() (text string, volume bool) {
	said := verdictOn(f.podOf(f.live))
	switch {
	case said == nil:
		return "", false
	case said.about == aboutRoom:
		return f.podText(said.roomText()), false
	case said.about == aboutUnboundClaim && f.unbound() != nil:
		return sentence(f.unbound().text()), true
	default:
		return "", false
	}
}
