package storage

import "tensorstack.dev/virtualserver/pkg/stream"

// NewMemoryDumpREST serves the subresource memorydump, which writes the machine's memory to a claim.
func NewMemoryDumpREST(gateway Gateway) *OperationREST {
	return newOperationREST(gateway, stream.MemoryDump)
}
