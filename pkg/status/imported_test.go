package status

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/translate"
)

const notFound = "Unable to connect to http data source: expected status code 200, got 404. Status: 404 Not Found"

func TestDataImported(t *testing.T) {
	for what, test := range map[string]struct {
		set     func(s *scene)
		status  metav1.ConditionStatus
		reason  string
		message string
	}{
		"succeeded": {func(*scene) {}, "True", "Succeeded", "Root disk has been imported successfully."},
		"no phase":  {func(s *scene) { s.importing("", "", 0) }, "False", "Pending", "DataVolume " + name + ": waiting for its claim"},
		"progress": {func(s *scene) { s.importing(cdiv1.ImportInProgress, "7.10%", 0) }, "False", "ImportInProgress",
			"DataVolume " + name + ": importing, 7.10%"},
		"volume made": {func(s *scene) { s.importing(cdiv1.PVCBound, "N/A", 0) }, "False", "PVCBound",
			"DataVolume " + name + ": its volume is there, waiting for the importer to start"},
		"clone": {func(s *scene) { s.importing(cdiv1.CSICloneInProgress, "N/A", 0) }, "False", "CSICloneInProgress",
			"DataVolume " + name + ": cloning"},
		"upload": {func(s *scene) { s.importing(cdiv1.UploadReady, "N/A", 0) }, "False", "UploadReady",
			"DataVolume " + name + ": waiting for an upload: virtctl image-upload dv " + name + " --image-path FILE"},
		"first consumer": {func(s *scene) { s.importing(cdiv1.PendingPopulation, "N/A", 0) }, "False", "PendingPopulation",
			"PVC " + name + ": waiting for a node to be chosen"},
		"wrong url": {func(s *scene) { s.importing(cdiv1.ImportInProgress, "N/A", 3, running("False", "Error", notFound)) },
			"False", "ImportError", "DataVolume " + name + ": import failed, 3 restarts: " + notFound +
				". Check the URL in spec.storage.root.source"},
		"too small": {func(s *scene) {
			s.importing(cdiv1.ImportInProgress, "N/A", 1, running("False", "Error", "DataVolume too small to contain image"))
		}, "False", "ImportError", "DataVolume " + name +
			": import failed, 1 restart: DataVolume too small to contain image. Raise spec.storage.root.pvc.size"},
		"checksum": {func(s *scene) {
			s.importing(cdiv1.Failed, "N/A", 0, running("False", "ChecksumError", "checksum mismatch"))
		}, "False", "ImportFailed", "DataVolume " + name +
			": import failed: checksum mismatch. Check the checksum in spec.storage.root.source"},
		"error in the pod first": {func(s *scene) {
			s.importing(cdiv1.ImportScheduled, "N/A", 0)
			s.ImporterPod = &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
				LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
					ExitCode: 1, Reason: "Error", Message: "lookup nowhere: no such host"}}}}}}
		}, "False", "ImportError", "DataVolume " + name + ": import failed, 0 restarts: lookup nowhere: no such host. " +
			"Check the host name in spec.storage.root.source"},
		"unschedulable importer": {func(s *scene) {
			s.importing(cdiv1.ImportScheduled, "N/A", 0, running("False", "Unschedulable", "Importer pod cannot be scheduled"))
			s.ImporterPod = &corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
				{Type: corev1.PodScheduled, Status: "False", Reason: "Unschedulable", Message: "0/2 nodes are available"}}}}
		}, "False", "Unschedulable", "DataVolume " + name + ": no node takes the importer: 0/2 nodes are available"},
		"image pull": {func(s *scene) {
			s.importing(cdiv1.ImportScheduled, "N/A", 0, running("False", "ImagePullFailed", "no such image"))
		}, "False", "ImagePullFailed", "DataVolume " + name + ": image cannot be pulled: no such image"},
		"quota": {func(s *scene) {
			s.importing(cdiv1.Pending, "N/A", 0, cdiv1.DataVolumeCondition{Type: cdiv1.DataVolumeBound, Status: "Unknown",
				Reason: "ErrExceededQuota", Message: "exceeded quota: storage"})
		}, "False", "QuotaExceeded", "PVC " + name + ": quota exceeded: exceeded quota: storage"},
		"no storage class": {func(s *scene) { s.importing(cdiv1.Pending, "N/A", 0); s.StorageClassMissing = "x" },
			"False", "StorageClassNotFound", "PVC " + name + `: StorageClass "x" not found`},
		"no storage class and no DataVolume": {func(s *scene) { s.DataVolume = nil; s.StorageClassMissing = "x" },
			"False", "StorageClassNotFound", "PVC " + name + `: StorageClass "x" not found`},
		"lost": {func(s *scene) {
			s.importing(cdiv1.Failed, "N/A", 0)
			s.Claim = &corev1.PersistentVolumeClaim{Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimLost}}
		}, "False", "ClaimLost", "PVC " + name + ": its volume is lost"},
		"lost after the import": {func(s *scene) {
			s.Claim = &corev1.PersistentVolumeClaim{Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimLost}}
		}, "False", "ClaimLost", "PVC " + name + ": its volume is lost"},
		"deleted": {func(s *scene) {
			s.importing(cdiv1.Pending, "N/A", 0)
			s.DataVolume.DeletionTimestamp = &metav1.Time{Time: epoch}
		}, "False", "Deleting", "DataVolume " + name + ": being deleted"},
		"claim without DataVolume, filled": {func(s *scene) {
			s.DataVolume = nil
			s.Claim = &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
				Annotations: map[string]string{"cdi.kubevirt.io/storage.pod.phase": "Succeeded"}}}
		}, "True", "Succeeded", "Root disk has been imported successfully."},
		"claim without DataVolume, marked by us": {func(s *scene) {
			s.DataVolume = nil
			s.Claim = &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
				Annotations: map[string]string{translate.AnnotationImported: "true"}}}
		}, "True", "Succeeded", "Root disk has been imported successfully."},
		"claim without DataVolume, empty": {func(s *scene) { s.DataVolume, s.Claim = nil, &corev1.PersistentVolumeClaim{} },
			"False", "NotCreated", "DataVolume " + name + ": not created yet"},
	} {
		t.Run(what, func(t *testing.T) {
			s := newScene(t, "Always")
			test.set(s)
			got := s.derive()
			imported := condition(t, got, v1beta1.ConditionDataImported)
			assert.Equal(t, test.status, imported.Status)
			assert.Equal(t, test.reason, imported.Reason)
			assert.Equal(t, test.message, imported.Message)
			if test.status == metav1.ConditionFalse {
				assert.Equal(t, v1beta1.StatusProvisioning, got.PrintableStatus)
				assert.Equal(t, test.message, got.Message)
			}
		})
	}
}

// TestImportErrorIsRemembered follows an importer that fails, tries again and at last gets through.
func TestImportErrorIsRemembered(t *testing.T) {
	s := newScene(t, "Always")
	s.importing(cdiv1.ImportInProgress, "N/A", 1, running("False", "Error", notFound))
	first := s.derive()
	assert.Equal(t, &v1beta1.ImportStatus{Phase: "ImportInProgress", Progress: "N/A", Restarts: 1, LastError: notFound,
		LastProgressTime: ptr.To(at(0))}, first.Import)

	s.importing(cdiv1.ImportInProgress, "N/A", 2, running("True", "Pod is running", ""))
	again := s.derive()
	assert.Equal(t, "ImportError", condition(t, again, "DataImported").Reason, "a retry alone does not hide the error")
	assert.Contains(t, again.Message, "2 restarts")
	assert.Equal(t, condition(t, first, "DataImported").LastTransitionTime, condition(t, again, "DataImported").LastTransitionTime)

	s.importing(cdiv1.ImportInProgress, "3.00%", 2, running("True", "Pod is running", ""))
	moving := s.derive()
	assert.Equal(t, "ImportInProgress", condition(t, moving, "DataImported").Reason)
	assert.Equal(t, notFound, moving.Import.LastError)

	s.importing(cdiv1.Succeeded, "100.0%", 2)
	done := s.derive()
	assert.Empty(t, done.Import.LastError)
	assert.Equal(t, "100.0%", done.Import.Progress)

	s.DataVolume, s.Claim = nil, &corev1.PersistentVolumeClaim{}
	assert.Equal(t, metav1.ConditionTrue, condition(t, s.derive(), "DataImported").Status, "the claim outlives its DataVolume")
}

func TestStalledImport(t *testing.T) {
	s := newScene(t, "Always")
	s.importing(cdiv1.ImportInProgress, "42.50%", 0, running("True", "Pod is running", ""))
	first := s.derive()
	assert.Equal(t, "ImportInProgress", condition(t, first, "DataImported").Reason)
	assert.Equal(t, epoch.Add(ImportStallTimeout), StallsAt(first.Import))

	s.Now = epoch.Add(ImportStallTimeout)
	stalled := s.derive()
	assert.Equal(t, "ImportStalled", condition(t, stalled, "DataImported").Reason)
	assert.Equal(t, "DataVolume "+name+": importing, 42.50%, no progress since 2024-03-21T08:26:59Z", stalled.Message)
	assert.Equal(t, v1beta1.StatusProvisioning, stalled.PrintableStatus)

	s.importing(cdiv1.ImportInProgress, "43.00%", 0, running("True", "Pod is running", ""))
	moving := s.derive()
	assert.Equal(t, "ImportInProgress", condition(t, moving, "DataImported").Reason)
	assert.Equal(t, "DataVolume "+name+": importing, 43.00%", moving.Message)

	for _, waits := range []cdiv1.DataVolumePhase{"", cdiv1.Pending, cdiv1.UploadReady, cdiv1.PendingPopulation,
		cdiv1.WaitForFirstConsumer, cdiv1.Paused, cdiv1.Succeeded, cdiv1.CSICloneInProgress, cdiv1.SnapshotForSmartCloneInProgress} {
		assert.Zero(t, StallsAt(&v1beta1.ImportStatus{Phase: string(waits), LastProgressTime: ptr.To(at(0))}), waits)
	}
	for _, begins := range []cdiv1.DataVolumePhase{cdiv1.ImportScheduled, cdiv1.CloneScheduled} {
		assert.NotZero(t, StallsAt(&v1beta1.ImportStatus{Phase: string(begins), LastProgressTime: ptr.To(at(0))}), begins)
	}
	for progress, stalls := range map[string]bool{"N/A": true, "": true, "0.00%": true, "98.90%": true, "99.00%": false, "100.0%": false} {
		assert.Equal(t, stalls, !StallsAt(&v1beta1.ImportStatus{
			Phase: string(cdiv1.CloneInProgress), Progress: progress, LastProgressTime: ptr.To(at(0)),
		}).IsZero(), progress)
	}
	assert.Zero(t, StallsAt(nil))
}

func TestMessagesHideSecretsInURLs(t *testing.T) {
	for in, want := range map[string]string{
		"get https://user:secret@host/a.img: 404":             "get https://***@host/a.img: 404",
		"get https://host/a?X-Amz-Signature=secret failed":    "get https://host/a?*** failed",
		`Get "https://host/a?token=secret": no such host`:     `Get "https://host/a?***": no such host`,
		"two https://a:secret@b/?secret and s3://c/d#secret ": "two https://***@b/?*** and s3://c/d?***",
		"many\nlines\n\n  of text":                            "many lines of text",
		"no secret at a@b?c":                                  "no secret at a@b?c",
	} {
		assert.Equal(t, want, OneLine(in))
	}
	assert.Less(t, len(OneLine(strings.Repeat("界", 1000))), maxMessage+10)
}
