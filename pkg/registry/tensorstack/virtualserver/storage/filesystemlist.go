package storage

import "tensorstack.dev/virtualserver/pkg/stream"

// NewFilesystemListREST serves the subresource filesystemlist, which asks the guest agent for the guest's filesystems.
func NewFilesystemListREST(gateway Gateway) *OperationREST {
	return newOperationREST(gateway, stream.FilesystemList)
}
