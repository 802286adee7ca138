package virtualserver

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// MaxOperations is the number of ended operations that status.operations keeps.
const MaxOperations = 10

// Supersede ends the pending operation, if there is one, and records why.
func Supersede(status *tensorstack.VirtualServerStatus, now time.Time, message string) {
	pending := status.PendingOperation
	if pending == nil {
		return
	}
	status.PendingOperation = nil
	record := tensorstack.OperationRecord{
		ID:              pending.ID,
		Type:            pending.Type,
		RequestedBy:     pending.RequestedBy,
		RequestedAt:     pending.RequestedAt,
		CompletedAt:     metav1.NewMicroTime(now),
		FromRunStrategy: pending.FromRunStrategy,
		ToRunStrategy:   pending.ToRunStrategy,
		Result:          tensorstack.OperationSuperseded,
		Message:         message,
	}
	operations := append([]tensorstack.OperationRecord{record}, status.Operations...)
	if len(operations) > MaxOperations {
		operations = operations[:MaxOperations]
	}
	status.Operations = operations
}
