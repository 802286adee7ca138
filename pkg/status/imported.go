package status

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// messageImported is the message of the guide.
const messageImported = "Root disk has been imported successfully."

// importState is how far the root disk is.
type importState struct {
	done    bool
	reason  string
	message string
	// status is what stands in status.import, or nil if there is nothing to say.
	status *v1beta1.ImportStatus
}

func importOf(o Observed) importState {
	name := o.VirtualServer.Status.VM.Name
	switch {
	case !translate.MakesRootDisk(o.VirtualServer):
		return notImported(&o.VirtualServer.Spec.Storage.Root)
	case o.DataVolume == nil:
		return importWithoutDataVolume(o, name)
	case o.DataVolume.Status.Phase == cdiv1.Succeeded && !claimLost(o):
		state := imported()
		state.status = &v1beta1.ImportStatus{
			Phase:    string(cdiv1.Succeeded),
			Progress: string(o.DataVolume.Status.Progress),
			Restarts: o.DataVolume.Status.RestartCount,
		}
		return state
	}
	state := importState{status: importStatus(o)}
	state.reason, state.message = importProblem(o, state.status)
	if state.reason != "" {
		return state
	}
	state.reason, state.message = importProgress(o)
	if found := obstacle(o.Obstacles); found != nil {
		if found.Reason != "" {
			state.reason = found.Reason
		}
		state.message = joined(". ", state.message, found.Message)
		if found.Reason == ReasonQuotaExceeded && len(o.Shortfalls) > 0 {
			state.message = of("DataVolume", name, strings.Join(o.Shortfalls, "; "))
		}
		return state
	}
	if stalls := StallsAt(state.status); !stalls.IsZero() && !stalls.After(o.Now) {
		state.reason = ReasonImportStalled
		state.message += ", no progress since " + timeText(state.status.LastProgressTime.Time)
	}
	return state
}

// ImportStallTimeout is how long an import may stand still before the status says so. An importer reports its progress
// every few seconds.
const ImportStallTimeout = 2 * time.Minute

// StallsAt returns when the import counts as stalled unless it makes progress before, or zero for one that cannot stall:
// one that is done, or that waits for something else than the transfer.
func StallsAt(status *v1beta1.ImportStatus) time.Time {
	if status == nil || status.LastProgressTime == nil || !transfers(status) {
		return time.Time{}
	}
	return status.LastProgressTime.Add(ImportStallTimeout)
}

// transfers says whether a pod of CDI moves data and tells how far it is, or is to start. Clones by the storage itself tell nothing, and of
// a transfer that is done the rest, such as the resizing of the image, shows no progress (updateImportProgress in CDI's
// pkg/controller/populators).
func transfers(status *v1beta1.ImportStatus) bool {
	switch cdiv1.DataVolumePhase(status.Phase) {
	case cdiv1.ImportScheduled, cdiv1.CloneScheduled:
		return true
	case cdiv1.ImportInProgress, cdiv1.CloneInProgress:
		done, err := strconv.ParseFloat(strings.TrimSuffix(status.Progress, "%"), 64)
		return err != nil || done < transferred
	default:
		return false
	}
}

// transferred is the progress in percent from which on CDI may still work on the image.
const transferred = 99

// claimLost says that the volume behind the claim is gone, whatever the DataVolume, which keeps its phase, says.
func claimLost(o Observed) bool {
	return o.Claim != nil && o.Claim.Status.Phase == corev1.ClaimLost
}

func imported() importState {
	return importState{done: true, reason: ReasonSucceeded, message: messageImported}
}

// notImported is for a root disk into which nothing is imported. Whether its claim exists is told with the references.
func notImported(root *v1beta1.RootDisk) importState {
	state := importState{done: true, reason: ReasonNotNeeded}
	if root.ContainerDisk != nil {
		state.message = "The root disk is container image " + root.ContainerDisk.Image + "; nothing is imported."
	} else {
		state.message = "The root disk is PersistentVolumeClaim " + root.PersistentVolumeClaim.ClaimName + "; nothing is imported into it."
	}
	return state
}

// importWithoutDataVolume trusts a claim that CDI has marked as filled, or that was imported before: somebody may have
// deleted the DataVolume and kept the claim.
func importWithoutDataVolume(o Observed, name string) importState {
	if claim := o.Claim; claim != nil && claim.DeletionTimestamp == nil {
		if claim.Annotations[AnnotationPodPhase] == string(corev1.PodSucceeded) ||
			translate.MarkedImported(claim) || wasImported(&o.VirtualServer.Status) {
			state := imported()
			state.status = o.VirtualServer.Status.Import.DeepCopy()
			return state
		}
	}
	if o.StorageClassMissing != "" {
		return importState{reason: ReasonStorageClassNotFound, message: storageClassText(name, o.StorageClassMissing)}
	}
	if lacksDefaultClass(o) {
		return importState{reason: ReasonStorageClassNotFound, message: noDefaultClassText(name)}
	}
	return importState{reason: ReasonNotCreated, message: joinName("DataVolume", name, "not created yet")}
}

func wasImported(before *v1beta1.VirtualServerStatus) bool {
	for _, condition := range before.Conditions {
		if condition.Type == v1beta1.ConditionDataImported {
			return condition.Status == "True"
		}
	}
	return false
}

// joinName leaves the name out as long as there is none.
func joinName(kind, name, text string) string {
	if name == "" {
		return kind + ": " + text
	}
	return of(kind, name, text)
}

func storageClassText(claim, class string) string {
	return of("PVC", claim, fmt.Sprintf("StorageClass %q not found", class))
}

// lacksDefaultClass says whether the claim of the root disk waits for the cluster to get a default StorageClass. A claim may
// get its class later, and may be bound without one to a volume that was made by hand.
func lacksDefaultClass(o Observed) bool {
	return o.NoDefaultClass && (o.Claim == nil || o.Claim.Spec.StorageClassName == nil && o.Claim.Status.Phase != corev1.ClaimBound)
}

func noDefaultClassText(claim string) string {
	return joinName("PVC", claim, "the cluster has no default StorageClass, and none is named in spec.storage.root.pvc; it goes on once "+
		"an administrator makes one the default")
}

// importStatus remembers the last error of the importer, which is gone from the DataVolume while the importer tries again,
// and the time of the last progress.
func importStatus(o Observed) *v1beta1.ImportStatus {
	from := &o.DataVolume.Status
	status := &v1beta1.ImportStatus{
		Phase:     string(from.Phase),
		Progress:  string(from.Progress),
		Restarts:  from.RestartCount,
		LastError: importerError(o),
	}
	status.LastProgressTime = ptr.To(metav1.NewTime(o.Now))
	before := o.VirtualServer.Status.Import
	if before == nil {
		return status
	}
	if status.LastError == "" && from.RestartCount > 0 || generalises(status.LastError, before.LastError) {
		status.LastError = before.LastError
	}
	same := before.Phase == status.Phase && before.Progress == status.Progress && before.Restarts == status.Restarts
	if same && before.LastProgressTime != nil {
		status.LastProgressTime = before.LastProgressTime.DeepCopy()
	}
	return status
}

// importProblem returns what keeps the import from going on, or nothing if it goes on.
func importProblem(o Observed, status *v1beta1.ImportStatus) (reason, message string) {
	dataVolume, name := o.DataVolume, o.DataVolume.Name
	running := dataVolumeCondition(dataVolume, cdiv1.DataVolumeRunning)
	bound := dataVolumeCondition(dataVolume, cdiv1.DataVolumeBound)
	runningFails := running != nil && running.Status != corev1.ConditionTrue
	refused, _ := podRefused(o)
	switch {
	case dataVolume.DeletionTimestamp != nil:
		return ReasonDeleting, of("DataVolume", name, "being deleted")
	case o.StorageClassMissing != "" && (o.Claim == nil || o.Claim.Status.Phase != corev1.ClaimBound):
		return ReasonStorageClassNotFound, storageClassText(name, o.StorageClassMissing)
	case lacksDefaultClass(o):
		return ReasonStorageClassNotFound, noDefaultClassText(name)
	case claimLost(o):
		return ReasonClaimLost, of("PVC", name, "its volume is lost")
	case refused != "":
		reason, text := limitsText(o, refused)
		return reason, of("DataVolume", name, text)
	case bound != nil && bound.Reason == cdiQuota:
		return ReasonQuotaExceeded, of("PVC", name, joined(": ", "quota exceeded", OneLine(bound.Message)))
	case dataVolume.Status.Phase == cdiv1.Failed:
		return ReasonImportFailed, of("DataVolume", name,
			joined(". ", joined(": ", "import failed", status.LastError), advice(status.LastError)))
	case runningFails && running.Reason == cdiUnschedulable:
		if refused, _ := importerVerdict(o); refused != "" {
			return ReasonUnschedulable, of("DataVolume", name, refused)
		}
		return "", ""
	case runningFails && running.Reason == cdiImagePull:
		reason := ReasonImagePullFailed
		if classOf(running.Message).heals {
			reason = ReasonImportRetrying
		}
		return reason, of("DataVolume", name,
			joined(". ", joined(": ", "image cannot be pulled", OneLine(running.Message)), advice(running.Message)))
	case runningFails && cannotStart(running.Reason):
		return ReasonImportError, of("DataVolume", name, joined(": ", "the importer cannot start", running.Reason, OneLine(running.Message)))
	case status.LastError != "" && !moves(dataVolume):
		reason := ReasonImportError
		if classOf(status.LastError).heals {
			reason = ReasonImportRetrying
		}
		return reason, of("DataVolume", name,
			fmt.Sprintf("import failed, %s: %s", restarts(status.Restarts), joined(". ", status.LastError, advice(status.LastError))))
	default:
		return "", ""
	}
}

func restarts(count int32) string {
	if count == 1 {
		return "1 restart"
	}
	return fmt.Sprintf("%d restarts", count)
}

// moves says whether the import transfers data now. An error from before is not the state any more then.
func moves(dataVolume *cdiv1.DataVolume) bool {
	progress := strings.TrimRight(string(dataVolume.Status.Progress), "%")
	if progress == "" || progress == "N/A" || strings.Trim(progress, "0.") == "" {
		return false
	}
	running := dataVolumeCondition(dataVolume, cdiv1.DataVolumeRunning)
	return running != nil && running.Status == corev1.ConditionTrue
}

// importProgress says how far an import is that goes on.
func importProgress(o Observed) (reason, message string) {
	dataVolume, phase, name := o.DataVolume, o.DataVolume.Status.Phase, o.DataVolume.Name
	if running := dataVolumeCondition(dataVolume, cdiv1.DataVolumeRunning); running != nil && running.Reason == cdiUnschedulable &&
		running.Status != corev1.ConditionTrue {
		_, waits := importerVerdict(o)
		return orText(string(phase), ReasonPending), of("DataVolume", name, waits)
	}
	switch phase {
	case cdiv1.PhaseUnset, cdiv1.Pending:
		return ReasonPending, of("DataVolume", name, "waiting for its claim")
	case cdiv1.PVCBound:
		return string(phase), of("DataVolume", name, "its volume is there, waiting for the importer to start")
	case cdiv1.WaitForFirstConsumer, cdiv1.PendingPopulation:
		return string(phase), of("PVC", name, "waiting for a node to be chosen")
	case cdiv1.UploadScheduled:
		return string(phase), of("DataVolume", name, "preparing for an upload")
	case cdiv1.UploadReady:
		return string(phase), of("DataVolume", name, "waiting for an upload: virtctl image-upload dv "+name+" --image-path FILE")
	case cdiv1.Paused:
		return string(phase), of("DataVolume", name, "import paused")
	default:
		doing := orText(verb(phase), "in phase "+string(phase))
		return string(phase), of("DataVolume", name, joined(", ", doing, percent(dataVolume.Status.Progress)))
	}
}

// verb says what is done with the data in the phase, or nothing.
func verb(phase cdiv1.DataVolumePhase) string {
	switch text := string(phase); {
	case strings.Contains(text, "Clone"):
		return "cloning"
	case strings.Contains(text, "Import"):
		return "importing"
	default:
		return ""
	}
}

func percent(progress cdiv1.DataVolumeProgress) string {
	if progress == "N/A" {
		return ""
	}
	return string(progress)
}

func dataVolumeCondition(dataVolume *cdiv1.DataVolume, kind cdiv1.DataVolumeConditionType) *cdiv1.DataVolumeCondition {
	for i := range dataVolume.Status.Conditions {
		if dataVolume.Status.Conditions[i].Type == kind {
			return &dataVolume.Status.Conditions[i]
		}
	}
	return nil
}
