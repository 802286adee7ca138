package storage

import "tensorstack.dev/virtualserver/pkg/stream"

// NewRemoveMemoryDumpREST serves the subresource removememorydump, which forgets the claim of a memory dump.
func NewRemoveMemoryDumpREST(gateway Gateway) *OperationREST {
	return newOperationREST(gateway, stream.RemoveMemoryDump)
}
