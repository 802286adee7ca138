package tensorstack

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// PrintableStatus is the state of a machine in one word.
// +enum
type PrintableStatus string

const (
	// StatusStopped is a machine that does not run and will not start by itself.
	StatusStopped PrintableStatus = "Stopped"
	// StatusProvisioning is a machine whose resources are being prepared; its root disk may be importing.
	StatusProvisioning PrintableStatus = "Provisioning"
	// StatusStarting is a machine that is starting.
	StatusStarting PrintableStatus = "Starting"
	// StatusRunning is a machine that runs.
	StatusRunning PrintableStatus = "Running"
	// StatusPaused is a machine that is paused.
	StatusPaused PrintableStatus = "Paused"
	// StatusStopping is a machine that is stopping.
	StatusStopping PrintableStatus = "Stopping"
	// StatusTerminating is a machine that is being deleted.
	StatusTerminating PrintableStatus = "Terminating"
	// StatusCrashLoopBackOff is a machine that crashed and waits for its next start.
	StatusCrashLoopBackOff PrintableStatus = "CrashLoopBackOff"
	// StatusMigrating is a machine that moves to another node.
	StatusMigrating PrintableStatus = "Migrating"
	// StatusUnknown is a machine whose node is not heard from.
	StatusUnknown PrintableStatus = "Unknown"
	// StatusFailedUnschedulable is a machine that no node can take.
	StatusFailedUnschedulable PrintableStatus = "FailedUnschedulable"
)

// Types of conditions.
const (
	// ConditionDataImported is True when the root disk exists and holds its image.
	ConditionDataImported = "DataImported"
	// ConditionReady is True when the system of the machine has started, as far as that can be seen: the guest agent tells,
	// where there is one. It does not wait for cloud-init.
	ConditionReady = "Ready"
	// ConditionFailure is True when the machine ended unexpectedly: a crash, an OOM kill, a lost node.
	ConditionFailure = "Failure"
	// ConditionPaused is True when the machine is paused.
	ConditionPaused = "Paused"
	// ConditionRestartRequired is True when an edit of the spec waits for the next restart.
	ConditionRestartRequired = "RestartRequired"
	// ConditionVolumesReady is False while a volume that was added to the running machine cannot reach the guest, and not there
	// otherwise.
	ConditionVolumesReady = "VolumesReady"
	// ConditionReconciled is False when the controller cannot bring the objects behind the machine to the spec.
	ConditionReconciled = "Reconciled"
)

// VirtualServerStatus is a machine as it is.
type VirtualServerStatus struct {
	// observedGeneration is the generation of the spec that the status was computed from.
	ObservedGeneration int64
	// runStrategy is the run strategy in force: spec.runStrategy at first, changed by the operations.
	RunStrategy RunStrategy
	// printableStatus is the state of the machine in one word.
	PrintableStatus PrintableStatus
	// message says in one line why the machine is not running, and names the object that blocks it.
	Message string
	// namespaceUID is the UID of the namespace that the VirtualServer was created in and belongs to. It never changes,
	// whoever writes it. In a later namespace of the same name the VirtualServer is not served, and nothing is done for it.
	NamespaceUID types.UID
	// vm is the KubeVirt VirtualMachine behind this object. Its Service, DataVolume and Secret have the same name.
	VM VirtualMachineReference
	// conditions are DataImported, Ready, Failure, Paused and others.
	Conditions []metav1.Condition
	// import is the progress of the root disk's import.
	Import *ImportStatus
	// node is the node that the machine runs on.
	Node string
	// resources are what the machine runs with. They differ from the spec while an edit waits for the next restart, and are
	// absent while the machine does not run.
	Resources *RunningResources
	// ipAddresses are the addresses by which others reach the machine, the one on the pod network first.
	IPAddresses []string
	// service says how others reach the machine through its Service. It is absent for a machine without ports.
	Service *ServiceStatus
	// guestOS is the operating system that the guest agent reports.
	GuestOS *GuestOS
	// guestAgent is what is known of the guest agent, from this run or the one before. It is absent for a machine in which none
	// has answered.
	GuestAgent *GuestAgent
	// disks shows where each disk is found in the guest.
	Disks []DiskStatus
	// pendingOperation is an operation that was accepted and is not done yet.
	PendingOperation *Operation
	// operations are the last ten operations that ended, newest first.
	Operations []OperationRecord
	// lastFailure is the last unexpected end of the machine.
	LastFailure *MachineFailure
	// stopDeadline is when a machine that is stopping will be killed.
	StopDeadline *metav1.Time
	// phaseTransitions says when each printableStatus was last reached.
	PhaseTransitions []PhaseTransition
}

// VirtualMachineReference is the KubeVirt VirtualMachine behind a VirtualServer.
type VirtualMachineReference struct {
	// name is the name of the VirtualMachine: "managed-virtualserver-" and five hexadecimal digits.
	Name string
	// instanceUID is the UID of the VirtualMachineInstance that runs now; it changes at every restart.
	InstanceUID types.UID
	// collisionCount says how often the name was taken and hashed again.
	CollisionCount int32
}

// RunningResources are the CPU and the memory of a machine that runs.
type RunningResources struct {
	// cores is the number of CPU cores that the guest sees.
	Cores int32
	// memory is the memory of the guest.
	Memory resource.Quantity
}

// ImportStatus is the progress of a root disk's import.
type ImportStatus struct {
	// phase is the phase of the CDI DataVolume.
	Phase string
	// progress is how much is done, such as 42.50%, or N/A.
	Progress string
	// restarts counts how often the importer had to start again.
	Restarts int32
	// lastError is the last error of the importer.
	LastError string
	// lastProgressTime is when the phase, the progress or the restarts last changed.
	LastProgressTime *metav1.Time
}

// GuestOS is an operating system, as the guest agent reports it.
type GuestOS struct {
	// name is the name, such as Ubuntu.
	Name string
	// version is the version, such as 20.04.
	Version string
	// prettyName is the name and version for people.
	PrettyName string
	// kernelRelease is the release of the kernel.
	KernelRelease string
}

// GuestAgent is when the guest agent answered.
type GuestAgent struct {
	// instanceUID is the UID of the VirtualMachineInstance in which the guest agent last answered.
	InstanceUID types.UID
	// time is when it was first heard from in that run.
	Time metav1.Time
}

// DiskStatus says where a disk is found in the guest.
type DiskStatus struct {
	// name is the name of the disk: "root" or the name in spec.storage.additionalDisks.
	Name string
	// device is the expected device in the guest, such as /dev/vdb. It is not guaranteed.
	Device string
	// serial is the serial number that the guest sees.
	Serial string
	// byID is the path of the disk by its serial, which does not change.
	ByID string
}

// OperationType is what a machine was to do, or what the cluster did to it.
// +enum
type OperationType string

const (
	// OperationStart starts the machine.
	OperationStart OperationType = "Start"
	// OperationStop stops the machine.
	OperationStop OperationType = "Stop"
	// OperationRestart stops the machine and starts it again.
	OperationRestart OperationType = "Restart"
	// OperationEvict is no operation that anybody can ask for. It stands in status.operations for a machine that ended because
	// the cluster evicted, preempted or deleted its pod.
	OperationEvict OperationType = "Evict"
)

// Operation is an operation that was accepted and is not done yet.
type Operation struct {
	// id identifies the operation.
	ID types.UID
	// type is Start, Stop or Restart.
	Type OperationType
	// requestedBy is the user who asked for it.
	RequestedBy string
	// requestedAt is when it was accepted.
	RequestedAt metav1.MicroTime
	// fromRunStrategy is the strategy that was in force before.
	FromRunStrategy RunStrategy
	// toRunStrategy is the strategy that is in force since.
	ToRunStrategy RunStrategy
	// instanceUID is the UID of the VirtualMachineInstance that the operation was meant for. It is empty for a machine
	// that had none.
	InstanceUID types.UID
	// paused starts the machine paused.
	Paused bool
	// gracePeriodSeconds is how long the guest may take to shut down; 0 kills it.
	GracePeriodSeconds *int64
	// message says what the operation waits for.
	Message string
}

// OperationResult is how an operation ended.
// +enum
type OperationResult string

const (
	// OperationSucceeded is an operation that was carried out.
	OperationSucceeded OperationResult = "Succeeded"
	// OperationFailed is an operation that could not be carried out.
	OperationFailed OperationResult = "Failed"
	// OperationSuperseded is an operation that a later one replaced.
	OperationSuperseded OperationResult = "Superseded"
)

// OperationRecord is an operation that ended.
type OperationRecord struct {
	// id identifies the operation.
	ID types.UID
	// type is Start, Stop or Restart.
	Type OperationType
	// requestedBy is the user who asked for it, or "kubevirt" for an operation on the VirtualMachine that was adopted.
	RequestedBy string
	// requestedAt is when it was accepted.
	RequestedAt metav1.MicroTime
	// completedAt is when it ended.
	CompletedAt metav1.MicroTime
	// fromRunStrategy is the strategy that was in force before.
	FromRunStrategy RunStrategy
	// toRunStrategy is the strategy that was in force after.
	ToRunStrategy RunStrategy
	// result is Succeeded, Failed or Superseded.
	Result OperationResult
	// message says more about the result.
	Message string
}

// MachineFailure is an unexpected end of a machine.
type MachineFailure struct {
	// instanceUID is the UID of the VirtualMachineInstance that ended.
	InstanceUID types.UID
	// reason is the cause in one word, such as OOMKilled, GuestCrashed or NodeLost.
	Reason string
	// message is the cause for people.
	Message string
	// time is when it was seen.
	Time metav1.Time
	// count is the number of such ends since the machine was last started by a person.
	Count int32
}

// PhaseTransition says when a printableStatus was last reached.
type PhaseTransition struct {
	// phase is the printableStatus.
	Phase PrintableStatus
	// time is when it was last reached.
	Time metav1.Time
}
