package storage

import "tensorstack.dev/virtualserver/pkg/stream"

// NewRemoveVolumeREST serves the subresource removevolume, which unplugs a volume that was added.
func NewRemoveVolumeREST(gateway Gateway) *OperationREST {
	return newOperationREST(gateway, stream.RemoveVolume)
}
