package virtualserver

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/generated/clientset/versioned/scheme"
	"tensorstack.dev/virtualserver/pkg/kubevirt"
	"tensorstack.dev/virtualserver/pkg/status"
)

// Types of events.
const (
	eventNormal  = corev1.EventTypeNormal
	eventWarning = corev1.EventTypeWarning
)

// event tells a person what happened to a VirtualServer. It never holds user data of cloud-init, and no secret of a URL
// leaves emit.
type event struct {
	kind, reason, message string
}

// startRecorder starts to write events to kube-apiserver, where namespaces and their events live. Events of the same
// reason and message are counted in one object, and many alike are folded into one, by the library. The function that it
// returns stops that and waits for what is in flight.
func (c *Controller) startRecorder(ctx context.Context) func() {
	// The library drops what is more than this for one object. By default that would be the eleventh restart within an hour.
	limits := record.CorrelatorOptions{BurstSize: 100, QPS: 0.1}
	broadcaster := record.NewBroadcaster(record.WithContext(ctx), record.WithCorrelatorOptions(limits))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: c.clients.Kubernetes.CoreV1().Events("")})
	c.recorder = broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: kubevirt.FieldManager})
	return broadcaster.Shutdown
}

// emit tells of something that was done. It cannot be undone, so the event waits for nothing.
func (p *pass) emit(kind, reason, message string) {
	p.recorder.Event(p.before, kind, reason, status.Redact(message))
}

// emitLater remembers an event until the status that it belongs to has been written. It is lost if that fails: the next pass
// comes to the same.
func (p *pass) emitLater(kind, reason, message string) {
	p.events = append(p.events, event{kind: kind, reason: reason, message: message})
}

// flushEvents sends the events that have waited for the status.
func (p *pass) flushEvents() {
	for _, e := range p.events {
		p.emit(e.kind, e.reason, e.message)
	}
	p.events = nil
}

// emitOperation tells how an operation ended and who asked for it.
func (p *pass) emitOperation(op *v1beta1.Operation, result v1beta1.OperationResult, message string) {
	name := strings.ToLower(string(op.Type))
	by := ""
	if op.RequestedBy != "" {
		by = " by " + op.RequestedBy
	}
	if message != "" {
		message = ". " + message
	}
	if result != v1beta1.OperationSucceeded {
		p.emitLater(eventWarning, "Failed"+string(op.Type), fmt.Sprintf("The %s asked for%s failed%s", name, by, message))
		return
	}
	reason := map[v1beta1.OperationType]string{
		v1beta1.OperationStart:   "Started",
		v1beta1.OperationStop:    "Stopped",
		v1beta1.OperationRestart: "Restarted",
	}[op.Type]
	strategy := ""
	if op.FromRunStrategy != op.ToRunStrategy {
		strategy = fmt.Sprintf("; run strategy %s became %s", op.FromRunStrategy, op.ToRunStrategy)
	}
	p.emitLater(eventNormal, reason, reason+by+strategy+message)
}

// transitions returns the events that a change of status is worth.
func transitions(before, after *v1beta1.VirtualServerStatus) []event {
	var events []event
	add := func(kind, reason, message string) {
		events = append(events, event{kind: kind, reason: reason, message: message})
	}
	importTransitions(before, after, add)
	if failure := after.LastFailure; failure != nil && !sameFailure(before.LastFailure, failure) {
		reason := "Crashed"
		if failure.Reason == status.ReasonEvicted {
			reason = "Evicted"
		}
		add(eventWarning, reason, failure.Reason+": "+failure.Message)
	}
	if before.PrintableStatus != after.PrintableStatus {
		phaseTransition(before, after, add)
	}
	if required := turnedTrue(before, after, v1beta1.ConditionRestartRequired); required != nil {
		add(eventNormal, "RestartRequired", required.Message)
	}
	if volumes := meta.FindStatusCondition(after.Conditions, v1beta1.ConditionVolumesReady); volumes != nil {
		if was := meta.FindStatusCondition(before.Conditions, v1beta1.ConditionVolumesReady); was == nil || was.Message != volumes.Message {
			add(eventWarning, volumes.Reason, volumes.Message)
		}
	}
	reconciled := meta.FindStatusCondition(after.Conditions, v1beta1.ConditionReconciled)
	earlier := meta.FindStatusCondition(before.Conditions, v1beta1.ConditionReconciled)
	if reconciled != nil && reconciled.Status == metav1.ConditionFalse && !isProgress(reconciled.Reason) &&
		(earlier == nil || earlier.Reason != reconciled.Reason || earlier.Message != reconciled.Message) {
		add(eventWarning, "ReconcileFailed", reconciled.Message)
	}
	return events
}

func importTransitions(before, after *v1beta1.VirtualServerStatus, add func(kind, reason, message string)) {
	if now := turnedTrue(before, after, v1beta1.ConditionDataImported); now != nil {
		// The first status of all shows an imported disk only if the machine was adopted with it.
		if before.ObservedGeneration != 0 {
			add(eventNormal, "ImportSucceeded", now.Message)
		}
		return
	}
	if after.Import == nil {
		return
	}
	if before.Import == nil && !meta.IsStatusConditionTrue(after.Conditions, v1beta1.ConditionDataImported) {
		add(eventNormal, "ImportStarted", "The root disk is being imported")
	}
	if lastError := after.Import.LastError; lastError != "" &&
		(before.Import == nil || before.Import.LastError != lastError) {
		add(eventWarning, "ImportFailed", lastError)
	}
}

// phaseTransition tells of a change of the printable status that people would ask about.
func phaseTransition(before, after *v1beta1.VirtualServerStatus, add func(kind, reason, message string)) {
	switch after.PrintableStatus {
	case v1beta1.StatusRunning:
		switch before.PrintableStatus {
		case v1beta1.StatusPaused:
			add(eventNormal, "Unpaused", "The machine runs again")
		case v1beta1.StatusUnknown:
			add(eventNormal, "NodeFound", "Node "+after.Node+" is heard from again and the machine runs")
		case v1beta1.StatusStopping, v1beta1.StatusMigrating:
			if before.VM.InstanceUID == after.VM.InstanceUID {
				return
			}
			fallthrough
		default:
			add(eventNormal, "Running", "The machine runs on node "+after.Node)
		}
	case v1beta1.StatusPaused:
		add(eventNormal, "Paused", "The machine is paused")
	case v1beta1.StatusStopped:
		if before.PrintableStatus != "" {
			add(eventNormal, "ShutDown", "The machine has stopped")
		}
	case v1beta1.StatusUnknown:
		add(eventWarning, "NodeLost", orElse(after.Message, "Node "+before.Node+" is not heard from"))
	case v1beta1.StatusFailedUnschedulable:
		add(eventWarning, "Unschedulable", orElse(after.Message, "No node can take the machine"))
	case v1beta1.StatusCrashLoopBackOff:
		add(eventWarning, "BackOff", orElse(after.Message, "The machine crashed and waits for its next start"))
	}
}

func orElse(text, fallback string) string {
	if text != "" {
		return text
	}
	return fallback
}

func sameFailure(a, b *v1beta1.MachineFailure) bool {
	return a != nil && b != nil && a.InstanceUID == b.InstanceUID && a.Reason == b.Reason && a.Count == b.Count
}

// turnedTrue returns the condition if it is True now and was not, or is True with another message.
func turnedTrue(before, after *v1beta1.VirtualServerStatus, kind string) *metav1.Condition {
	now := meta.FindStatusCondition(after.Conditions, kind)
	if now == nil || now.Status != metav1.ConditionTrue {
		return nil
	}
	was := meta.FindStatusCondition(before.Conditions, kind)
	if was != nil && was.Status == metav1.ConditionTrue && was.Message == now.Message {
		return nil
	}
	return now
}
