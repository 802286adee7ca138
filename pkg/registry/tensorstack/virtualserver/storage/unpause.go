package storage

import "tensorstack.dev/virtualserver/pkg/stream"

// NewUnpauseREST serves the subresource unpause, which lets a paused machine go on.
func NewUnpauseREST(gateway Gateway) *OperationREST {
	return newOperationREST(gateway, stream.Unpause)
}
