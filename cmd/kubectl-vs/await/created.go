package await

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// Created says how the wait for a new machine stands: until it runs or, under Manual and Halted, can be started.
func Created(now *v1beta1.VirtualServer) Verdict {
	status := &now.Status
	switch {
	case now.DeletionTimestamp != nil:
		return impossible("the VirtualServer is being deleted")
	case status.PrintableStatus == v1beta1.StatusRunning:
		return Verdict{Done: true}
	}
	down := now.Spec.RunStrategy == v1beta1.RunStrategyManual || now.Spec.RunStrategy == v1beta1.RunStrategyHalted
	imported := meta.FindStatusCondition(status.Conditions, v1beta1.ConditionDataImported)
	if down && status.PrintableStatus == v1beta1.StatusStopped && imported != nil &&
		(imported.Status == metav1.ConditionTrue || ImportsOnStart(imported)) {
		return Verdict{Done: true}
	}
	if verdict := stuck(status); verdict.Why != "" {
		return verdict
	}
	switch {
	case status.PendingOperation != nil || status.PrintableStatus == "":
		return Verdict{}
	case status.PrintableStatus == v1beta1.StatusStopped && !down:
		return impossible("the machine is %s", described(status))
	case status.PrintableStatus == v1beta1.StatusPaused:
		return impossible("the machine is paused; unpause lets it go on")
	}
	return Verdict{}
}

// ImportsOnStart says whether a disk is imported only when the first start chooses a node, since its volume is on one.
func ImportsOnStart(imported *metav1.Condition) bool {
	return imported.Reason == string(cdiv1.WaitForFirstConsumer) || imported.Reason == string(cdiv1.PendingPopulation)
}

// Reasons that do not go away by themselves; docs/status.md says what each means. Of an import that may yet succeed the
// reason is another: ImportRetrying, ImportStalled or a phase.
func importReasons() []string {
	return []string{"StorageClassNotFound", "ClaimLost", "QuotaExceeded", "LimitExceeded", "ImagePullFailed", "ImportError", "ImportFailed",
		"CloneSourceInUse", "CloneSourceNotFound", "CloneSizeTooSmall", "CloneRefused", "SecretNotFound", "ConfigMapNotFound"}
}

func reconcileReasons() []string {
	return []string{"Refused", "Forbidden", "QuotaExceeded", "NotInstalled", "NameTaken"}
}

func readyReasons() []string {
	return []string{"ClaimNotFound", "SecretNotFound", "ConfigMapNotFound", "ServiceAccountNotFound", "HostDeviceNotPermitted",
		"QuotaExceeded", "LimitExceeded", "PodRefused"}
}

// stuck says what keeps a machine from running that does not go away by itself.
func stuck(status *v1beta1.VirtualServerStatus) Verdict {
	for _, cause := range []struct {
		kind    string
		reasons []string
	}{
		{v1beta1.ConditionReconciled, reconcileReasons()},
		{v1beta1.ConditionDataImported, importReasons()},
		{v1beta1.ConditionReady, readyReasons()},
	} {
		condition := meta.FindStatusCondition(status.Conditions, cause.kind)
		if condition == nil || condition.Status != metav1.ConditionFalse {
			continue
		}
		for _, reason := range cause.reasons {
			if condition.Reason == reason {
				return impossible("%s, and that does not go away by itself: %s", reason, orElse(condition.Message, status.Message))
			}
		}
	}
	return Verdict{}
}
