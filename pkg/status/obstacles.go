package status

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

// Obstacle is what stands in the way of an import and stands in no object: CDI and Kubernetes tell it by events.
type Obstacle struct {
	// Reason is a reason of the condition DataImported, or empty for one that only explains why it takes so long.
	Reason, Message string
	Time            metav1.Time
}

// podRefused says whether CDI could not make a pod, which it tells without the cause (HandleFailedPod in CDI's
// pkg/controller/common/util.go).
func podRefused(o Observed) (reason string, is bool) {
	running := dataVolumeCondition(o.DataVolume, cdiv1.DataVolumeRunning)
	switch {
	case running == nil || running.Status == corev1.ConditionTrue:
		return "", false
	case strings.Contains(running.Reason, cdiQuota):
		return ReasonQuotaExceeded, true
	case strings.Contains(running.Reason, cdiStartingPod):
		return ReasonPodRefused, true
	default:
		return "", false
	}
}

// limitsText says which quota or LimitRange stands in the way, or CDI's own words if none is known.
func limitsText(o Observed, reason string) (string, string) {
	running := dataVolumeCondition(o.DataVolume, cdiv1.DataVolumeRunning)
	if len(o.Shortfalls) == 0 {
		return reason, joined(": ", "the importer's pod is refused", OneLine(running.Message))
	}
	if reason == ReasonPodRefused {
		reason = ReasonLimitExceeded
	}
	return reason, "the importer's pod is refused: " + strings.Join(o.Shortfalls, "; ")
}

// obstacleAge is how old an event may be. CDI and Kubernetes tell the same again every few minutes.
const obstacleAge = 10 * time.Minute

// NeedsEvents says whether events may tell why the import does not go on: nothing is transferred, and the storage does not
// wait for the first start. A transfer tells by itself.
func NeedsEvents(dataVolume *cdiv1.DataVolume) bool {
	if dataVolume == nil || dataVolume.DeletionTimestamp != nil || moves(dataVolume) {
		return false
	}
	switch dataVolume.Status.Phase {
	case cdiv1.Succeeded, cdiv1.UploadReady, cdiv1.WaitForFirstConsumer, cdiv1.PendingPopulation, cdiv1.Paused:
		return false
	default:
		return true
	}
}

// ObstaclesOf picks the warnings about the DataVolume, its claim and its importer pod from events, the newest first. What was
// told of an object before it, which had the same name, does not count.
func ObstaclesOf(events []corev1.Event, now time.Time, objects ...metav1.Object) []Obstacle {
	var found []Obstacle
	for i := range events {
		event := &events[i]
		seen := lastSeen(event)
		about := slices.ContainsFunc(objects, func(o metav1.Object) bool { return o != nil && isAbout(event, o) })
		if event.Type != corev1.EventTypeWarning || !about || now.Sub(seen.Time) > obstacleAge || echoes(event) || isConflict(event.Message) {
			continue
		}
		found = append(found, obstacleOf(event, seen))
	}
	slices.SortStableFunc(found, func(a, b Obstacle) int { return b.Time.Compare(a.Time.Time) })
	return found
}

// echoes says whether an event only repeats a condition, which goes when it is over: what the scheduler says of a pod, and what
// CDI's condition Running says of a DataVolume (emitFailureConditionEvent in its pkg/controller/datavolume/controller-base.go).
// The reasons of that condition are those of containers; CDI's own events have others.
func echoes(event *corev1.Event) bool {
	switch event.Reason {
	case "FailedScheduling":
		return true
	case "", cdiUnschedulable, cdiError, cdiImagePull, cdiChecksum, podOOMKilled, "Completed", "ContainerCreating", "PodInitializing",
		"CrashLoopBackOff":
		return event.InvolvedObject.Kind == "DataVolume"
	default:
		return false
	}
}

// isConflict says whether two controllers have met at one object, which both take in their stride (NewConflict and
// OptimisticLockErrorMsg in Kubernetes' apimachinery and apiserver).
func isConflict(message string) bool {
	return strings.Contains(message, "the object has been modified; please apply your changes to the latest version")
}

// isAbout says whether an event is about the object. One whose UID is not known is told by its name.
func isAbout(event *corev1.Event, object metav1.Object) bool {
	told, uid := event.InvolvedObject.UID, object.GetUID()
	if told == "" || uid == "" {
		return event.InvolvedObject.Name == object.GetName()
	}
	return told == uid
}

// obstacleOf gives a warning a reason. The reasons of events are in CDI's pkg/controller/common/util.go and
// pkg/controller/datavolume/clone-controller-base.go, and in Kubernetes' kubelet and persistent volume controller.
func obstacleOf(event *corev1.Event, seen metav1.Time) Obstacle {
	message := OneLine(event.Message)
	obstacle := Obstacle{Message: of(event.InvolvedObject.Kind, event.InvolvedObject.Name, message), Time: seen}
	switch event.Reason {
	case "CloneSourceInUse":
		obstacle.Reason = ReasonCloneSourceInUse
		obstacle.Message = sentence(joined(": ", "The source is in use", message)) + " Stop what uses it, or clone a snapshot of it."
	case "CloneWithoutSource":
		obstacle.Reason = ReasonCloneSourceNotFound
		obstacle.Message = sentence(message)
	case "CloneValidationFailed", "ErrIncompatiblePVC", "ErrIncompatiblePV", "ErrIncompatiblePVs":
		obstacle.Reason = ReasonCloneRefused
		obstacle.Message = sentence(withSizes(message))
	case "ErrExceededQuota":
		obstacle.Reason = ReasonQuotaExceeded
	case "ErrStartingPod", "FailedCreate":
		obstacle.Reason = refusal(message)
	case "FailedMount", "FailedAttachVolume":
		obstacle.Reason = mountReason(message)
	}
	return obstacle
}

// mountReason tells an object that does not exist from a mount that may yet succeed. The words are the kubelet's.
func mountReason(message string) string {
	lower := strings.ToLower(message)
	switch {
	case strings.Contains(lower, "configmap") && strings.Contains(lower, "not found"):
		return ReasonConfigMapNotFound
	case strings.Contains(lower, "secret") && (strings.Contains(lower, "not found") || strings.Contains(lower, "non-existent secret key")):
		return ReasonSecretNotFound
	default:
		return ""
	}
}

// withSizes writes the two numbers of bytes in which CDI compares a clone and its source (ValidateRequestedCloneSize in its
// pkg/controller/common) as people write them.
func withSizes(message string) string {
	words := strings.Fields(message)
	for i, word := range words {
		trimmed := strings.TrimRight(word, ".,")
		if size, ok := bytesOf(trimmed); ok {
			words[i] = fmt.Sprintf("%s (%s)", trimmed, size) + strings.TrimPrefix(word, trimmed)
		}
	}
	return strings.Join(words, " ")
}

// bytesOf reads a number of bytes that is large enough to be the size of a disk.
func bytesOf(word string) (string, bool) {
	number, err := strconv.ParseInt(word, 10, 64)
	if err != nil || number < 1<<20 {
		return "", false
	}
	return resource.NewQuantity(number, resource.BinarySI).String(), true
}

// obstacle returns the newest obstacle that has a reason, or else the newest.
func obstacle(obstacles []Obstacle) *Obstacle {
	for i := range obstacles {
		if obstacles[i].Reason != "" {
			return &obstacles[i]
		}
	}
	if len(obstacles) > 0 {
		return &obstacles[0]
	}
	return nil
}

func lastSeen(event *corev1.Event) metav1.Time {
	if !event.LastTimestamp.IsZero() {
		return event.LastTimestamp
	}
	return firstSeen(event)
}
