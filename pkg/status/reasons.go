package status

// Reasons of the condition DataImported. Besides these, the phase of the DataVolume is a reason while an import runs, such
// as ImportInProgress or CloneScheduled.
const (
	// ReasonSucceeded is a root disk that holds its image.
	ReasonSucceeded = "Succeeded"
	// ReasonNotNeeded is a root disk into which nothing is imported.
	ReasonNotNeeded = "NotNeeded"
	// ReasonNotCreated is a root disk whose DataVolume does not exist yet.
	ReasonNotCreated = "NotCreated"
	// ReasonPending is a DataVolume without a phase.
	ReasonPending = "Pending"
	// ReasonDeleting is a DataVolume that is being deleted.
	ReasonDeleting = "Deleting"
	// ReasonStorageClassNotFound is a claim that names a StorageClass that does not exist.
	ReasonStorageClassNotFound = "StorageClassNotFound"
	// ReasonClaimLost is a claim whose volume is gone.
	ReasonClaimLost = "ClaimLost"
	// ReasonQuotaExceeded is a claim or an importer that the quota of the namespace does not allow.
	ReasonQuotaExceeded = "QuotaExceeded"
	// ReasonUnschedulable is an importer that no node can take.
	ReasonUnschedulable = "Unschedulable"
	// ReasonImagePullFailed is an importer, or a registry source, whose image cannot be pulled.
	ReasonImagePullFailed = "ImagePullFailed"
	// ReasonImportStalled is an import without progress for ImportStallTimeout.
	ReasonImportStalled = "ImportStalled"
	// ReasonImportError is an import that failed for a cause that does not go away by itself, though CDI tries again.
	ReasonImportError = "ImportError"
	// ReasonCloneSourceInUse is a copy of a disk that something uses.
	ReasonCloneSourceInUse = "CloneSourceInUse"
	// ReasonCloneSourceNotFound is a copy of a disk that does not exist.
	ReasonCloneSourceNotFound = "CloneSourceNotFound"
	// ReasonCloneRefused is a copy that CDI refuses, such as one into a smaller disk.
	ReasonCloneRefused = "CloneRefused"
	// ReasonSecretNotFound and ReasonConfigMapNotFound are an importer without its credentials or certificates.
	ReasonSecretNotFound    = "SecretNotFound"
	ReasonConfigMapNotFound = "ConfigMapNotFound"
	// ReasonImportRetrying is an import that failed, is tried again, and may then succeed.
	ReasonImportRetrying = "ImportRetrying"
	// ReasonImportFailed is an import that failed and is not tried again.
	ReasonImportFailed = "ImportFailed"
)

// Reasons of the condition Ready. While a machine runs, the reasons of KubeVirt are taken over, such as GuestNotRunning
// or PodTerminating.
const (
	// ReasonVMINotExists is a machine without a VirtualMachineInstance.
	ReasonVMINotExists = "VMINotExists"
	// ReasonVMIConditionMissing is a VirtualMachineInstance that does not say yet whether it is ready.
	ReasonVMIConditionMissing = "VMIConditionMissing"
	// ReasonRunning is a machine that runs.
	ReasonRunning = "Running"
	// ReasonGuestStarting is a machine that runs, and that KubeVirt does not call ready yet or whose guest agent, which its last
	// run had, has not answered.
	ReasonGuestStarting = "GuestStarting"
	// ReasonGuestEnded is an instance whose guest has ended, and that KubeVirt still calls ready.
	ReasonGuestEnded = "GuestEnded"
	// ReasonPaused is a machine that is paused.
	ReasonPaused = "Paused"
	// ReasonClaimNotFound is a machine that waits for a claim which does not exist. For other kinds the reason is made the same
	// way: SecretNotFound, ConfigMapNotFound, ServiceAccountNotFound.
	ReasonClaimNotFound = "ClaimNotFound"
	// ReasonCopyingFilesystem is a machine that waits for the copy of an ephemeral claim which it uses as a filesystem.
	ReasonCopyingFilesystem = "CopyingFilesystem"
	// ReasonHostDeviceNotPermitted is a machine with a GPU that KubeVirt does not permit.
	ReasonHostDeviceNotPermitted = "HostDeviceNotPermitted"
	// ReasonLimitExceeded is a machine or an importer whose pod a LimitRange does not allow. For a quota the reason is
	// QuotaExceeded.
	ReasonLimitExceeded = "LimitExceeded"
	// ReasonPodRefused is a machine whose pod the cluster does not allow otherwise.
	ReasonPodRefused = "PodRefused"
	// ReasonSyncFailed is a machine whose node cannot start the guest. KubeVirt has events of this reason.
	ReasonSyncFailed = "SyncFailed"
)

// Reasons of the condition Failure, also in status.lastFailure.
const (
	// ReasonNoFailure is a machine that has never ended unexpectedly.
	ReasonNoFailure = "NoFailure"
	// ReasonRecovered is a machine that ended unexpectedly and has run again since.
	ReasonRecovered = "Recovered"
	// ReasonOOMKilled is a machine whose pod used more memory than it may.
	ReasonOOMKilled = "OOMKilled"
	// ReasonGuestCrashed is a machine whose guest or hypervisor process ended by itself in an error.
	ReasonGuestCrashed = "GuestCrashed"
	// ReasonNodeLost is a machine whose node is not heard from.
	ReasonNodeLost = "NodeLost"
	// ReasonEvicted is a machine whose pod was evicted, preempted or deleted.
	ReasonEvicted = "Evicted"
	// ReasonEvicting is a machine that shuts down because its pod is being evicted, preempted or deleted. The condition is
	// not true yet.
	ReasonEvicting = "Evicting"
	// ReasonBootFailed is a machine that ended before it ran.
	ReasonBootFailed = "BootFailed"
)

// RequestedByEviction stands in status.operations for what follows from an eviction, in the place of a user.
const RequestedByEviction = "eviction"

// Reasons of the conditions Paused and RestartRequired.
const (
	// ReasonNotPaused is a machine that is not paused.
	ReasonNotPaused = "NotPaused"
	// ReasonSpecChanged is a running machine that differs from its spec.
	ReasonSpecChanged = "SpecChanged"
	// ReasonUpToDate is a machine that equals its spec, or will when it starts.
	ReasonUpToDate = "UpToDate"
)

// ReasonNoDiskInClaim is the reason of the condition VolumesReady: a claim with a file system that was added to a running machine
// has no disk in it.
const ReasonNoDiskInClaim = "NoDiskInClaim"

// Reasons and conditions of KubeVirt, Kubernetes and CDI that the derivation looks for. They are no constants in the API
// modules of those projects.
const (
	// kubeVirtPVCNotFound and kubeVirtUnschedulable are in KubeVirt's pkg/controller/controller.go and Kubernetes'
	// PodReasonUnschedulable.
	kubeVirtPVCNotFound = "FailedPvcNotFound"
	// kubeVirtNodeUnresponsive is in KubeVirt's pkg/virt-controller/watch/node/node.go.
	kubeVirtNodeUnresponsive = "NodeUnresponsive"
	// readinessGatesNotReady is what the kubelet says of a pod whose containers are ready and which nobody has called ready
	// otherwise (GeneratePodReadyCondition in its pkg/kubelet/status). KubeVirt copies it.
	readinessGatesNotReady = "ReadinessGatesNotReady"
	// podOOMKilled is what the kubelet reports of a container that the kernel killed for its memory.
	podOOMKilled = "OOMKilled"
	// podEvicted is what the kubelet reports of a pod that it evicted.
	podEvicted = "Evicted"
	// cdiQuota is in CDI's pkg/controller/common/util.go.
	cdiQuota = "ErrExceededQuota"
	// cdiStartingPod is there too.
	cdiStartingPod = "ErrStartingPod"
	// cdiError, cdiImagePull, cdiChecksum and cdiUnschedulable are reasons of a DataVolume's condition Running, in CDI's
	// pkg/controller/util.go and import-controller.go.
	cdiError         = "Error"
	cdiImagePull     = "ImagePullFailed"
	cdiChecksum      = "ChecksumError"
	cdiUnschedulable = "Unschedulable"
	// AnnotationPodPhase is the annotation in which CDI notes on a claim how the pod ended that fills it.
	AnnotationPodPhase = "cdi.kubevirt.io/storage.pod.phase"
)
