package virtualserver

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/status"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// heartbeatTimeout is how old the heartbeat of a node's virt-handler may be before the machine counts as lost. It is the
// one that package status applies; here it only says when to look again.
const heartbeatTimeout = 5 * time.Minute

// writeStatus derives the status from what the pass has seen and done, and writes it if it differs from what the server
// has. The events of the pass follow.
func (p *pass) writeStatus(ctx context.Context) error {
	now := p.clock.Now()
	p.lookBack(ctx, now)
	p.lookAround(ctx, now)
	observed := p.observe(now)
	derived := status.Derive(observed)
	if status.NewlyEvicted(&p.vs.Status, &derived) {
		// Pods are seen by another watch than what asked for their end.
		if err := p.confirmEnd(ctx, now); err != nil {
			return err
		}
		observed = p.observe(now)
		derived = status.Derive(observed)
	}
	setReconciled(&derived, p.problem, p.vs.Generation, now)
	p.lookAgain(&derived, observed, now)

	p.wake(ctx, observed)

	p.vs.Status = derived
	if !equality.Semantic.DeepEqual(p.before.Status, derived) {
		before := p.before.Status
		if err := p.putStatus(ctx); err != nil {
			return err
		}
		p.events = append(p.events, transitions(&before, &p.before.Status)...)
		var started time.Time
		if observed.DataVolume != nil {
			started = observed.DataVolume.CreationTimestamp.Time
		}
		p.observeStatus(&before, started)
		p.tellPhase(ctx, &before)
	}
	if derived.LastFailure != nil {
		p.failures.forget(p.key(), derived.LastFailure)
	}
	p.failures.considered(p.key(), observed.Failure)
	p.flushEvents()
	return nil
}

// confirmEnd reads the machine, which says whether somebody asked for the end of the instance, and the instance. One that has
// ended and is gone meanwhile is kept as it was seen.
func (p *pass) confirmEnd(ctx context.Context, now time.Time) error {
	seen := p.instance
	if err := p.readMachine(ctx); err != nil {
		return err
	}
	if seen != nil && seen.IsFinal() && (p.instance == nil || p.instance.UID != seen.UID) {
		p.instance = seen
	}
	p.lookBack(ctx, now)
	return nil
}

// observe gathers what the status is derived from.
func (p *pass) observe(now time.Time) status.Observed {
	namespace, name := p.vs.Namespace, p.name()
	observed := status.Observed{
		VirtualServer:  p.vs,
		Desired:        p.desired,
		VirtualMachine: p.machine,
		Instance:       p.instance,
		DataVolume:     p.volume,
		Claim:          p.claim,
		Service:        p.service,
		ImporterPod:    p.caches.importerPod(namespace, name, p.claim),
		Failure:        p.failures.of(p.key()),
		Copying:        p.copying,
		Now:            now,
	}
	p.found.note(&observed)
	if p.instance != nil {
		observed.LauncherPod, observed.LauncherPodGone = p.caches.launcherPod(namespace, name, p.instance)
		if p.launcher != nil {
			observed.LauncherPod, observed.LauncherPodGone = p.launcher, false
		}
		if node := p.instance.Status.NodeName; node != "" {
			observed.Node = p.caches.node(node)
			observed.NodeMissing = observed.Node == nil
		}
	} else {
		observed.LauncherPod, _ = p.caches.launcherPod(namespace, name, nil)
	}
	if !translate.MakesRootDisk(p.vs) {
		return observed
	}
	class := p.vs.Spec.Storage.Root.PVC.StorageClassName
	if class != nil && *class != "" && p.caches.storageClass(*class) == nil {
		observed.StorageClassMissing = *class
	}
	observed.NoDefaultClass = class == nil && !p.caches.hasDefaultClass()
	return observed
}

// setReconciled sets the condition Reconciled, and the message of a machine that does not run for lack of it.
func setReconciled(derived *v1beta1.VirtualServerStatus, problem *problem, generation int64, now time.Time) {
	condition := metav1.Condition{
		Type:               v1beta1.ConditionReconciled,
		Status:             metav1.ConditionTrue,
		Reason:             reasonReconciled,
		Message:            "All objects behind the machine are as they should be.",
		ObservedGeneration: generation,
		LastTransitionTime: metav1.NewTime(now),
	}
	if problem != nil {
		condition.Status, condition.Reason = metav1.ConditionFalse, problem.reason
		condition.Message = status.Bounded(status.Redact(problem.message))
		switch derived.PrintableStatus {
		case v1beta1.StatusRunning, v1beta1.StatusPaused, v1beta1.StatusMigrating, v1beta1.StatusUnknown:
		default:
			derived.Message = condition.Message
		}
	}
	meta.SetStatusCondition(&derived.Conditions, condition)
}

// lookAgain asks for another pass when the status will change with time alone: when a guest has used up its time to shut
// down, when an import has stood still for too long, when a guest agent has been waited for long enough, and when a node that
// was marked, or a scheduler, has been silent for too long.
func (p *pass) lookAgain(derived *v1beta1.VirtualServerStatus, observed status.Observed, now time.Time) {
	times := []time.Time{status.StallsAt(derived.Import), status.ReadyBy(observed), silentAt(observed.Node),
		status.SchedulerSilentAt(observed), p.found.again}
	if derived.StopDeadline != nil {
		times = append(times, derived.StopDeadline.Time)
	}
	var next time.Time
	for _, candidate := range times {
		if candidate.After(now) && (next.IsZero() || candidate.Before(next)) {
			next = candidate
		}
	}
	if !next.IsZero() && p.outcome.again == 0 {
		// Times in the API are cut to seconds.
		p.outcome.again = next.Sub(now) + time.Second
	}
}

// silentAt returns when the heartbeat of a node that KubeVirt does not use any more becomes too old, or zero.
func silentAt(node *corev1.Node) time.Time {
	if node == nil || node.Labels[kubevirtv1.NodeSchedulable] != "false" {
		return time.Time{}
	}
	beat, err := time.Parse(time.RFC3339, node.Annotations[kubevirtv1.VirtHandlerHeartbeat])
	if err != nil {
		return time.Time{}
	}
	return beat.Add(heartbeatTimeout)
}
