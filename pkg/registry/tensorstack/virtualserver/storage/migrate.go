package storage

import "tensorstack.dev/virtualserver/pkg/stream"

// NewMigrateREST serves the subresource migrate, which moves a running machine to another node.
func NewMigrateREST(gateway Gateway) *OperationREST {
	return newOperationREST(gateway, stream.Migrate)
}
