package storage

import "tensorstack.dev/virtualserver/pkg/stream"

// NewPauseREST serves the subresource pause, which freezes a running machine.
func NewPauseREST(gateway Gateway) *OperationREST {
	return newOperationREST(gateway, stream.Pause)
}
