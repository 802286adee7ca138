package status

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/translate"
)

// SchedulerTimeout is how long a scheduler may be silent about a pod before there counts as none of its name. Every scheduler
// that is built on Kubernetes' own writes the condition PodScheduled as soon as it has looked at a pod.
const SchedulerTimeout = 20 * time.Second

// SchedulerSilentAt returns when the machine's pod counts as one that no scheduler looks at, or zero for one that was looked
// at. Of the cluster's own scheduler nobody has to be told that it is down or busy.
func SchedulerSilentAt(o Observed) time.Time {
	pod := o.LauncherPod
	if pod == nil || o.LauncherPodGone || pod.Spec.NodeName != "" || pod.DeletionTimestamp != nil {
		return time.Time{}
	}
	if name := pod.Spec.SchedulerName; name == "" || name == corev1.DefaultSchedulerName {
		return time.Time{}
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled {
			return time.Time{}
		}
	}
	return pod.CreationTimestamp.Add(SchedulerTimeout)
}

// schedulerMissing says that no scheduler of the name in the spec has looked at the machine's pod, and what to do.
func (f *facts) schedulerMissing() (message string, is bool) {
	at := SchedulerSilentAt(f.Observed)
	if f.podOf(f.live) == nil || at.IsZero() || at.After(f.Now) {
		return "", false
	}
	name, field := f.LauncherPod.Spec.SchedulerName, "spec.schedulerName"
	if name == translate.T9kSchedulerName && f.vs.Spec.Scheduler != nil {
		field = "spec.scheduler"
	}
	return fmt.Sprintf("no scheduler of that name has looked at it: %q. Ask an administrator whether the cluster has it; without %s the "+
		"cluster's own scheduler chooses the node.", name, field), true
}
