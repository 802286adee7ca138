package storage

import "tensorstack.dev/virtualserver/pkg/stream"

// NewResetREST serves the subresource reset, which presses the reset button of the machine.
func NewResetREST(gateway Gateway) *OperationREST {
	return newOperationREST(gateway, stream.Reset)
}
