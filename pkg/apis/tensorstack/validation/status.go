package validation

import (
	"fmt"
	"slices"
	"strings"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/naming"
)

// MaxOperations is how many operations the ledger in status keeps.
const MaxOperations = 10

var printableStatuses = []tensorstack.PrintableStatus{
	tensorstack.StatusStopped, tensorstack.StatusProvisioning, tensorstack.StatusStarting, tensorstack.StatusRunning,
	tensorstack.StatusPaused, tensorstack.StatusStopping, tensorstack.StatusTerminating, tensorstack.StatusCrashLoopBackOff,
	tensorstack.StatusMigrating, tensorstack.StatusUnknown, tensorstack.StatusFailedUnschedulable,
}

// ValidateVirtualServerStatusUpdate checks a change of a VirtualServer's status.
func ValidateVirtualServerStatusUpdate(updated, old *tensorstack.VirtualServer) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&updated.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	status, path := &updated.Status, field.NewPath("status")
	if status.ObservedGeneration < 0 {
		errs = append(errs, field.Invalid(path.Child("observedGeneration"), status.ObservedGeneration, "must not be negative"))
	}
	if status.RunStrategy != "" {
		errs = append(errs, validateRunStrategy(status.RunStrategy, path.Child("runStrategy"))...)
	}
	if status.PrintableStatus != "" {
		errs = append(errs, validateEnum(status.PrintableStatus, printableStatuses, path.Child("printableStatus"))...)
	}
	for i, transition := range status.PhaseTransitions {
		errs = append(errs, validateEnum(transition.Phase, printableStatuses, path.Child("phaseTransitions").Index(i).Child("phase"))...)
	}
	errs = append(errs, metav1validation.ValidateConditions(status.Conditions, path.Child("conditions"))...)
	errs = append(errs, validateVMReference(&status.VM, &old.Status.VM, path.Child("vm"))...)
	return append(errs, validateOperations(status, path)...)
}

func validateVMReference(updated, old *tensorstack.VirtualMachineReference, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	name := path.Child("name")
	// Another name would hand somebody else's machine to the streams and operations.
	if updated.Name != "" && (!strings.HasPrefix(updated.Name, naming.VMNamePrefix) || len(validation.IsDNS1123Label(updated.Name)) > 0) {
		errs = append(errs, field.Invalid(name, updated.Name, "must begin with "+naming.VMNamePrefix+" and be a DNS label"))
	}
	if updated.CollisionCount < old.CollisionCount {
		errs = append(errs, field.Invalid(path.Child("collisionCount"), updated.CollisionCount, "must not go back"))
	}
	// The name was recorded before anything was made under it: to forget it would leave a machine behind.
	if old.Name != "" && updated.Name != old.Name && updated.CollisionCount <= old.CollisionCount {
		errs = append(errs, field.Forbidden(name, "can change only with a higher collisionCount"))
	}
	return errs
}

// operationTypes are the operations that can be pending. The ledger has one more.
var operationTypes = []tensorstack.OperationType{
	tensorstack.OperationStart, tensorstack.OperationStop, tensorstack.OperationRestart,
}

func recordTypes() []tensorstack.OperationType {
	return append(slices.Clone(operationTypes), tensorstack.OperationEvict)
}

var operationResults = []tensorstack.OperationResult{
	tensorstack.OperationSucceeded, tensorstack.OperationFailed, tensorstack.OperationSuperseded,
}

func validateOperations(status *tensorstack.VirtualServerStatus, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if pending := status.PendingOperation; pending != nil {
		child := path.Child("pendingOperation")
		if pending.ID == "" {
			errs = append(errs, field.Required(child.Child("id"), ""))
		}
		errs = append(errs, validateEnum(pending.Type, operationTypes, child.Child("type"))...)
		errs = append(errs, validateGracePeriod(pending.GracePeriodSeconds, child.Child("gracePeriodSeconds"))...)
	}
	operations := path.Child("operations")
	if len(status.Operations) > MaxOperations {
		errs = append(errs, field.Forbidden(operations, fmt.Sprintf("keeps the last %d operations", MaxOperations)))
	}
	for i := range status.Operations {
		record, child := &status.Operations[i], operations.Index(i)
		if record.ID == "" {
			errs = append(errs, field.Required(child.Child("id"), ""))
		}
		errs = append(errs, validateEnum(record.Type, recordTypes(), child.Child("type"))...)
		errs = append(errs, validateEnum(record.Result, operationResults, child.Child("result"))...)
	}
	return errs
}
