package storage

import "tensorstack.dev/virtualserver/pkg/stream"

// NewSoftRebootREST serves the subresource softreboot, which asks the guest to reboot.
func NewSoftRebootREST(gateway Gateway) *OperationREST {
	return newOperationREST(gateway, stream.SoftReboot)
}
