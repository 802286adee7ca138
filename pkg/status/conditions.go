package status

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// setConditions sets our five conditions, which are always all there. Conditions of other types stay as they are.
func (f *facts) setConditions(status *v1beta1.VirtualServerStatus) {
	for _, condition := range []metav1.Condition{
		f.dataImported(), f.ready(), f.failed(), f.paused(), f.restartRequired(),
	} {
		condition.ObservedGeneration = f.vs.Generation
		condition.Reason = validReason(condition.Reason)
		condition.Message = Bounded(condition.Message)
		// This takes effect only if the status of the condition changes.
		condition.LastTransitionTime = metav1.NewTime(f.Now)
		meta.SetStatusCondition(&status.Conditions, condition)
	}
}

// validReason makes sure that a reason of somebody else passes the rules for reasons: letters, digits, '_', ',' and ':',
// with a letter first and neither ',' nor ':' last.
func validReason(reason string) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	valid := reason != "" && strings.Contains(letters, reason[:1]) && !strings.HasSuffix(reason, ",") &&
		!strings.HasSuffix(reason, ":") && strings.Trim(reason, letters+"0123456789_,:") == ""
	if !valid {
		return "Other"
	}
	return reason
}

func truth(is bool) metav1.ConditionStatus {
	if is {
		return metav1.ConditionTrue
	}
	return metav1.ConditionFalse
}

func (f *facts) dataImported() metav1.Condition {
	return metav1.Condition{
		Type:    v1beta1.ConditionDataImported,
		Status:  truth(f.imported.done),
		Reason:  f.imported.reason,
		Message: f.imported.message,
	}
}

func (f *facts) ready() metav1.Condition {
	ready := metav1.Condition{Type: v1beta1.ConditionReady, Status: metav1.ConditionFalse}
	observed := vmiCondition(f.Instance, kubevirtv1.VirtualMachineInstanceReady)
	blocked, why := f.blocked()
	switch {
	case blocked != "":
		ready.Reason, ready.Message = blocked, why
	case f.Instance == nil:
		ready.Reason, ready.Message = ReasonVMINotExists, "VMI does not exist"
	case f.nodeLost != "":
		ready.Status, ready.Reason = metav1.ConditionUnknown, ReasonNodeLost
		ready.Message = f.nodeText()
	case f.live != nil && vmiConditionIs(f.live, kubevirtv1.VirtualMachineInstancePaused, corev1.ConditionTrue):
		ready.Reason, ready.Message = ReasonPaused, "The machine is paused."
	case observed == nil:
		ready.Reason, ready.Message = ReasonVMIConditionMissing, "VMI is missing the Ready condition"
	case observed.Status == corev1.ConditionTrue && f.live != nil, f.handedOver(observed):
		ready = f.started(ready)
	case observed.Status == corev1.ConditionTrue:
		ready.Reason, ready.Message = ReasonGuestEnded, "The guest has ended."
	case f.readinessIsStale(observed):
		ready.Reason, ready.Message = ReasonGuestStarting, messageJustRunning
	default:
		ready.Reason, ready.Message = observed.Reason, OneLine(observed.Message)
	}
	return ready
}

// failed is True from an unexpected end of the machine until a new instance runs, so that the cause can be read for as
// long as the machine is down. Then it is False and its message still tells the cause, as does status.lastFailure. While
// the node is lost nobody knows whether the machine has ended.
func (f *facts) failed() metav1.Condition {
	failed := metav1.Condition{Type: v1beta1.ConditionFailure}
	switch {
	case f.nodeLost != "":
		failed.Status, failed.Reason, failed.Message = metav1.ConditionUnknown, ReasonNodeLost, f.nodeText()
	case f.isEvicting():
		failed.Status, failed.Reason, failed.Message = metav1.ConditionFalse, ReasonEvicting, f.disruptionOf(f.live).message()
	case f.failure == nil:
		failed.Status, failed.Reason = metav1.ConditionFalse, ReasonNoFailure
		failed.Message = "The machine has not ended unexpectedly."
	case f.recovered():
		failed.Status, failed.Reason = metav1.ConditionFalse, ReasonRecovered
		failed.Message = fmt.Sprintf("The machine has run again since it failed at %s: %s: %s",
			timeText(f.failure.Time.Time), f.failure.Reason, f.failure.Message)
	default:
		failed.Status, failed.Reason, failed.Message = metav1.ConditionTrue, f.failure.Reason, f.failure.Message
	}
	return failed
}

// paused looks only at a living instance: the VirtualMachine keeps the condition of one that is gone.
func (f *facts) paused() metav1.Condition {
	if vmiConditionIs(f.live, kubevirtv1.VirtualMachineInstancePaused, corev1.ConditionTrue) {
		observed := vmiCondition(f.live, kubevirtv1.VirtualMachineInstancePaused)
		return metav1.Condition{
			Type:    v1beta1.ConditionPaused,
			Status:  metav1.ConditionTrue,
			Reason:  orText(observed.Reason, ReasonPaused),
			Message: orText(OneLine(observed.Message), "The machine is paused."),
		}
	}
	return metav1.Condition{
		Type:    v1beta1.ConditionPaused,
		Status:  metav1.ConditionFalse,
		Reason:  ReasonNotPaused,
		Message: "The machine is not paused.",
	}
}

func (f *facts) restartRequired() metav1.Condition {
	before := meta.FindStatusCondition(f.before.Conditions, v1beta1.ConditionRestartRequired)
	if f.Desired == nil && f.live != nil && before != nil {
		// This pass did not get as far as to know.
		return *before
	}
	waiting := translate.RestartRequired(f.Desired, f.live)
	if len(waiting) == 0 {
		return metav1.Condition{
			Type:    v1beta1.ConditionRestartRequired,
			Status:  metav1.ConditionFalse,
			Reason:  ReasonUpToDate,
			Message: "No change waits for a restart.",
		}
	}
	texts := make([]string, 0, len(waiting))
	for _, change := range waiting {
		texts = append(texts, change.String())
	}
	return metav1.Condition{
		Type:    v1beta1.ConditionRestartRequired,
		Status:  metav1.ConditionTrue,
		Reason:  ReasonSpecChanged,
		Message: "Restart the machine to apply: " + listed(texts),
	}
}

// nodeText names the node that is not heard from.
func (f *facts) nodeText() string {
	return of("Node", f.live.Status.NodeName, OneLine(f.nodeLost))
}
