package status

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

const (
	unboundClaims = "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"
	noMemory      = "0/2 nodes are available: 2 Insufficient memory. preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod."
)

// refusedPod is a pod that the scheduler gives no node.
func refusedPod(message string, edits ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: message}}}}
	for _, edit := range edits {
		edit(pod)
	}
	return pod
}

func nominated(pod *corev1.Pod) { pod.Status.NominatedNodeName = "node-b" }

func reason(text string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Status.Conditions[0].Reason = text }
}

// What goes away by itself is no lack of nodes, whatever CDI makes of it.
func TestVerdictOnTheImporter(t *testing.T) {
	for what, test := range map[string]struct {
		pod    *corev1.Pod
		reason string
		says   string
	}{
		"its volume is being made": {refusedPod(unboundClaims), "ImportScheduled", "waiting for its volume"},
		"its claim was made a moment ago": {refusedPod(`0/2 nodes are available: persistentvolumeclaim "prime-1-scratch" not found. not found`),
			"ImportScheduled", "waiting for its volume"},
		"others have to go first": {refusedPod(noMemory, nominated), "ImportScheduled", "waiting for pods of a lower priority on node node-b to end"},
		"others are going": {refusedPod("0/2 nodes are available: waiting for the preemption for this pod to be finished."), "ImportScheduled",
			"waiting for pods of a lower priority to end"},
		"it has a node, and CDI has not looked": {refusedPod(noMemory, func(pod *corev1.Pod) { pod.Spec.NodeName = "node-a" }), "ImportScheduled",
			"waiting for the importer to start"},
		"the scheduler had an error": {refusedPod("etcdserver: request timed out", reason(corev1.PodReasonSchedulerError)), "ImportScheduled",
			"waiting for the importer to start"},
		"no memory": {refusedPod(noMemory), "Unschedulable", "no node takes the importer: " + noMemory},
		"a claim bound to nothing": {refusedPod(`0/2 nodes are available: persistentvolumeclaim "a" bound to non-existent persistentvolume "b".`),
			"Unschedulable", "no node takes the importer: 0/2 nodes are available: persistentvolumeclaim"},
		"a claim that is being deleted": {refusedPod(`0/2 nodes are available: persistentvolumeclaim "a" is being deleted.`), "Unschedulable",
			"is being deleted"},
		"taints":                            {refusedPod("0/2 nodes are available: 2 node(s) had untolerated taint(s)."), "Unschedulable", "untolerated taint"},
		"the pod is gone, or not there yet": {nil, "ImportScheduled", "waiting for the importer to start"},
		"full of claims":                    {refusedPod("0/2 nodes are available: 2 node(s) exceed max volume count."), "Unschedulable", "max volume count"},
	} {
		t.Run(what, func(t *testing.T) {
			s := newScene(t, "Always")
			s.importing(cdiv1.ImportScheduled, "N/A", 0, running("False", "Unschedulable", "Importer pod cannot be scheduled"))
			s.ImporterPod = test.pod
			got := s.derive()
			imported := condition(t, got, v1beta1.ConditionDataImported)
			assert.Equal(t, test.reason, imported.Reason)
			assert.Contains(t, imported.Message, "DataVolume "+name+": ")
			assert.Contains(t, imported.Message, test.says)
			assert.Equal(t, v1beta1.StatusProvisioning, got.PrintableStatus)
		})
	}
}

// A volume that is never made is told after a while.
func TestImporterThatWaitsForItsVolumeForLong(t *testing.T) {
	s := newScene(t, "Always")
	s.importing(cdiv1.ImportScheduled, "N/A", 0, running("False", "Unschedulable", "Importer pod cannot be scheduled"))
	s.ImporterPod = refusedPod(unboundClaims)
	assert.Equal(t, "ImportScheduled", condition(t, s.derive(), "DataImported").Reason)
	assert.False(t, StallsAt(s.VirtualServer.Status.Import).IsZero(), "somebody has to look again")
	s.Now = s.Now.Add(ImportStallTimeout)
	stalled := condition(t, s.derive(), "DataImported")
	assert.Equal(t, ReasonImportStalled, stalled.Reason)
	assert.Equal(t, "DataVolume "+name+": waiting for its volume, no progress since 2024-03-21T08:26:59Z", stalled.Message)
}

// The events of what is in the way are told, but not those that repeat a condition: they outlive what they say.
func TestEventsThatRepeatAConditionAreNoObstacles(t *testing.T) {
	event := func(reason, message string) corev1.Event {
		return corev1.Event{Type: corev1.EventTypeWarning, Reason: reason, Message: message, LastTimestamp: at(0),
			InvolvedObject: corev1.ObjectReference{Kind: "PersistentVolumeClaim", Name: "prime-u", UID: "u1"}}
	}
	helper := &corev1.PersistentVolumeClaim{}
	helper.Name = "prime-u"
	found := ObstaclesOf([]corev1.Event{event("FailedScheduling", unboundClaims), event("ProvisioningFailed", "no space")}, epoch, helper)
	assert.Equal(t, []Obstacle{{Message: "PersistentVolumeClaim prime-u: no space", Time: at(0)}}, found)
	assert.Empty(t, ObstaclesOf([]corev1.Event{event("ProvisioningFailed", `Error saving claim: Operation cannot be fulfilled on `+
		`persistentvolumeclaims "x": the object has been modified; please apply your changes to the latest version and try again`)}, epoch, helper))

	volume := &cdiv1.DataVolume{}
	volume.Name, volume.UID = name, "dv"
	var events []corev1.Event
	for reason, message := range map[string]string{"Unschedulable": "Importer pod cannot be scheduled", "Completed": "Import Complete",
		"Error": "404", "ImagePullFailed": "x", "ContainerCreating": "", "": "?", "ErrResourceExists": "not ours"} {
		told := event(reason, message)
		told.InvolvedObject = corev1.ObjectReference{Kind: "DataVolume", Name: name, UID: "dv"}
		events = append(events, told)
	}
	found = ObstaclesOf(events, epoch, volume)
	assert.Equal(t, []Obstacle{{Message: "DataVolume " + name + ": not ours", Time: at(0)}}, found)
}

func TestVerdictOnTheMachine(t *testing.T) {
	bound := func(s *scene) {
		s.Claim = &corev1.PersistentVolumeClaim{Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound}}
	}
	withDisk := func(s *scene) {
		bound(s)
		s.VirtualServer.Spec.Storage.AdditionalDisks = []v1beta1.AdditionalDisk{{Name: "data", VolumeSource: v1beta1.VolumeSource{
			PersistentVolumeClaim: &v1beta1.PersistentVolumeClaimSource{ClaimName: "data"}}}}
		s.LookedUp = true
	}
	unbound := func(s *scene) {
		withDisk(s)
		s.Absences = []Absence{{Unbound: true, Reference: Reference{
			Kind: KindClaim, Name: "data", Field: "spec.storage.additionalDisks[0].persistentVolumeClaim"}}}
	}
	for what, test := range map[string]struct {
		set     func(*scene)
		message string
		edits   []func(*corev1.Pod)
		want    v1beta1.PrintableStatus
		says    string
	}{
		"no memory": {bound, noMemory, nil, "FailedUnschedulable", noMemory},
		"others have to go first": {bound, noMemory, []func(*corev1.Pod){nominated}, "Starting",
			"waiting for pods of a lower priority on node node-b to end"},
		"a disk's volume is being made": {unbound, unboundClaims, nil, "Provisioning",
			"PersistentVolumeClaim data, which spec.storage.additionalDisks[0].persistentVolumeClaim names, is not bound to a volume yet."},
		"all volumes are there meanwhile": {withDisk, unboundClaims, nil, "Starting", "waiting to be ready"},
		"a disk's claim is bound to nothing": {withDisk, `0/2 nodes are available: persistentvolumeclaim "data" bound to non-existent persistentvolume "b".`,
			nil, "FailedUnschedulable", "non-existent"},
		"a disk's claim is being deleted": {withDisk, `0/2 nodes are available: persistentvolumeclaim "data" is being deleted.`, nil,
			"FailedUnschedulable", "is being deleted"},
		"the root disk's claim was made anew": {bound, `0/2 nodes are available: persistentvolumeclaim "` + name + `" is being deleted.`, nil,
			"Starting", "waiting to be ready"},
		"the scheduler had an error": {bound, "request timed out", []func(*corev1.Pod){reason(corev1.PodReasonSchedulerError)}, "Starting", "waiting to be ready"},
		"no node is free of taints":  {unbound, "0/2 nodes are available: 2 node(s) had untolerated taint(s).", nil, "FailedUnschedulable", "taint"},
	} {
		t.Run(what, func(t *testing.T) {
			s := newScene(t, "Always")
			s.instance(firstUID, kubevirtv1.Scheduling)
			test.set(s)
			s.LauncherPod.Status = refusedPod(test.message, test.edits...).Status
			got := s.derive()
			assert.Equal(t, test.want, got.PrintableStatus)
			assert.Contains(t, got.Message, test.says)
			assert.Equal(t, got.Message, s.derive().Message)
		})
	}
}
