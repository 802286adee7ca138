package storage

import "tensorstack.dev/virtualserver/pkg/stream"

// NewAddVolumeREST serves the subresource addvolume, which plugs a volume into the machine.
func NewAddVolumeREST(gateway Gateway) *OperationREST {
	return newOperationREST(gateway, stream.AddVolume)
}
