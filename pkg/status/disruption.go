package status

import (
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// A guest that is shut down because its pod has to go looks like one that shut itself down: KubeVirt says Succeeded for both
// (calculateVmPhaseForStatusReason in its pkg/virt-handler). The pod tells them apart. virt-controller deletes the pod of
// an instance only after the instance itself was marked as deleted (sync in pkg/virt-controller/watch/vmi/lifecycle.go), so a
// pod that goes before was taken away by somebody else. The guest agent tells nothing: it leaves either way.

// disruption is how a launcher pod was taken away from a guest that ran.
type disruption struct {
	text string
	// likely says that the order of things leaves another reading open.
	likely bool
}

const likelyText = "This is judged by the times; it may also have shut down by itself at that moment."

func (d *disruption) message() string {
	if d.likely {
		return sentence(d.text) + " " + likelyText
	}
	return sentence(d.text)
}

// disruptionOf returns how the pod of the instance was taken away, or nil if nothing shows that it was.
func (f *facts) disruptionOf(vmi *kubevirtv1.VirtualMachineInstance) *disruption {
	if found := f.disruptionOfPod(vmi); found != nil {
		return found
	}
	if f.wasEvicting(vmi.UID) {
		return &disruption{text: f.evictingText()}
	}
	return nil
}

func (f *facts) disruptionOfPod(vmi *kubevirtv1.VirtualMachineInstance) *disruption {
	pod := f.podOf(vmi)
	if pod == nil || !carries(pod, vmi) {
		return nil
	}
	ended := endedAt(vmi)
	if pod.Status.Reason == podEvicted {
		return &disruption{text: of("Pod", pod.Name, joined(": ", "evicted", OneLine(pod.Status.Message)))}
	}
	if target := disruptionTarget(pod); target != nil && notAfter(target.LastTransitionTime, ended) &&
		(vmi.DeletionTimestamp == nil || !target.LastTransitionTime.After(vmi.DeletionTimestamp.Time)) {
		return &disruption{text: of("Pod", pod.Name, joined(": ", target.Reason, OneLine(target.Message)))}
	}
	if pod.DeletionTimestamp == nil {
		if f.LauncherPodGone && (ended.IsZero() || vmi.Status.Phase == kubevirtv1.Failed) && vmi.DeletionTimestamp == nil {
			return &disruption{text: of("Pod", pod.Name, "removed while the machine ran")}
		}
		return nil
	}
	asked := deletionAsked(pod)
	text := of("Pod", pod.Name, "deleted at "+timeText(asked.Time))
	switch {
	case ended.IsZero():
		if vmi.DeletionTimestamp == nil {
			return &disruption{text: text}
		}
		return nil
	case vmi.DeletionTimestamp != nil && asked.Before(vmi.DeletionTimestamp) && notAfter(asked, ended):
		return &disruption{text: text}
	case vmi.DeletionTimestamp == nil && asked.Before(&ended):
		// virt-controller may have deleted both meanwhile, and the clock of the node may be early.
		return &disruption{text: text, likely: !asked.Add(clockSkew).Before(ended.Time)}
	default:
		return nil
	}
}

// carries says that the pod is the one in which the guest runs: a migration has two, and takes one away each time.
func carries(pod *corev1.Pod, vmi *kubevirtv1.VirtualMachineInstance) bool {
	node := vmi.Status.NodeName
	return !migrates(vmi) && (node == "" || pod.Spec.NodeName == "" || pod.Spec.NodeName == node)
}

// endedAt returns when the instance ended, or zero for one that lives.
func endedAt(vmi *kubevirtv1.VirtualMachineInstance) metav1.Time {
	if !vmi.IsFinal() {
		return metav1.Time{}
	}
	return reachedAt(vmi, vmi.Status.Phase)
}

// clockSkew is how far the clock of a node may be from that of the cluster. Times in the API are cut to seconds.
const clockSkew = time.Second

// notAfter says that something happened before the end, or that nothing has ended yet.
func notAfter(happened, ended metav1.Time) bool {
	return ended.IsZero() || !happened.After(ended.Add(clockSkew))
}

// deletionAsked returns when the deletion of the pod was asked for. The timestamp of a pod is its deadline, and Kubernetes
// counts a shorter grace period from the same beginning (BeforeDelete in k8s.io/apiserver/pkg/registry/rest).
func deletionAsked(pod *corev1.Pod) metav1.Time {
	asked := *pod.DeletionTimestamp
	if grace := pod.DeletionGracePeriodSeconds; grace != nil {
		asked = metav1.NewTime(asked.Add(-time.Duration(*grace) * time.Second))
	}
	return asked
}

// disruptionTarget returns the condition in which Kubernetes says that it takes a pod away, or nil.
func disruptionTarget(pod *corev1.Pod) *corev1.PodCondition {
	for i, condition := range pod.Status.Conditions {
		if condition.Type == corev1.DisruptionTarget && condition.Status == corev1.ConditionTrue {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

// isEvicting says that the pod of the living instance is being taken away, which nobody asked of the machine.
func (f *facts) isEvicting() bool {
	return f.live != nil && !f.stopWasAsked(f.live) && f.disruptionOf(f.live) != nil
}

// wasEvicting says that the status before has noted that the pod of this instance was taken away while it lived. Instance
// and pod may both be gone before anybody looks again.
func (f *facts) wasEvicting(instance types.UID) bool {
	noted := f.evictionNote()
	return noted != nil && instance != "" && f.before.VM.InstanceUID == instance
}

func (f *facts) evictionNote() *metav1.Condition {
	failed := meta.FindStatusCondition(f.before.Conditions, v1beta1.ConditionFailure)
	if failed == nil || failed.Reason != ReasonEvicting {
		return nil
	}
	return failed
}

func (f *facts) evictingText() string {
	return f.evictionNote().Message
}

// goneUnseen returns the end of an instance that is gone before anybody saw it end, but not before its pod was seen to be
// taken away.
func (f *facts) goneUnseen() *v1beta1.MachineFailure {
	gone := f.before.VM.InstanceUID
	if f.Instance != nil && f.Instance.UID == gone || !f.wasEvicting(gone) || f.wasAskedToEnd(gone) {
		return nil
	}
	return &v1beta1.MachineFailure{
		InstanceUID: gone, Reason: ReasonEvicted, Message: f.evictingText(), Time: metav1.NewTime(f.Now)}
}

// evictedNow says that this derivation finds out that the machine was evicted.
func (f *facts) evictedNow() bool {
	now, before := f.failure, f.before.LastFailure
	return now != nil && now.Reason == ReasonEvicted &&
		(before == nil || before.InstanceUID != now.InstanceUID || before.Reason != ReasonEvicted)
}

// NewlyEvicted says whether a status tells of an eviction, begun or ended, that the one before does not.
func NewlyEvicted(before, after *v1beta1.VirtualServerStatus) bool {
	noted := func(status *v1beta1.VirtualServerStatus) bool {
		failed := meta.FindStatusCondition(status.Conditions, v1beta1.ConditionFailure)
		return failed != nil && failed.Reason == ReasonEvicting
	}
	evicted := func(failure *v1beta1.MachineFailure) bool { return failure != nil && failure.Reason == ReasonEvicted }
	return noted(after) && !noted(before) || evicted(after.LastFailure) &&
		(!evicted(before.LastFailure) || before.LastFailure.InstanceUID != after.LastFailure.InstanceUID)
}

// startAfterEviction returns the operation by which a machine under RerunOnFailure starts again: KubeVirt does that only for
// one that failed. Its ID follows from the instance, so that no machine is started twice for one eviction.
func (f *facts) startAfterEviction() *v1beta1.Operation {
	if !f.evictedNow() || f.strategy != v1beta1.RunStrategyRerunOnFailure || f.before.PendingOperation != nil ||
		f.wasAskedToEnd(f.failure.InstanceUID) {
		return nil
	}
	return &v1beta1.Operation{
		ID:              operationID(v1beta1.OperationStart, f.failure.InstanceUID),
		Type:            v1beta1.OperationStart,
		RequestedBy:     RequestedByEviction,
		RequestedAt:     metav1.NewMicroTime(f.Now),
		FromRunStrategy: f.strategy,
		ToRunStrategy:   f.strategy,
		InstanceUID:     f.failure.InstanceUID,
		Message:         joined(": ", f.failure.Reason, f.failure.Message),
	}
}

// evictionRecord is how an eviction stands in the ledger.
func (f *facts) evictionRecord() v1beta1.OperationRecord {
	return v1beta1.OperationRecord{
		ID:              operationID(v1beta1.OperationEvict, f.failure.InstanceUID),
		Type:            v1beta1.OperationEvict,
		RequestedBy:     RequestedByEviction,
		RequestedAt:     metav1.NewMicroTime(f.failure.Time.Time),
		CompletedAt:     metav1.NewMicroTime(f.failure.Time.Time),
		FromRunStrategy: f.strategy,
		ToRunStrategy:   f.strategy,
		Result:          v1beta1.OperationSucceeded,
		Message:         joined(": ", f.failure.Reason, f.failure.Message),
	}
}

// operationID is the same for the same instance and type.
func operationID(kind v1beta1.OperationType, instance types.UID) types.UID {
	return types.UID(uuid.NewSHA1(uuid.NameSpaceURL, []byte("tensorstack.dev/"+string(kind)+"/"+string(instance))).String())
}

// MaxOperations is the number of operations that ended which the status keeps.
const MaxOperations = 10

// Prepend adds a record to a ledger, newest first, and drops the oldest.
func Prepend(ledger []v1beta1.OperationRecord, record v1beta1.OperationRecord) []v1beta1.OperationRecord {
	ledger = append([]v1beta1.OperationRecord{record}, ledger...)
	return ledger[:min(len(ledger), MaxOperations)]
}
