package storage

import "tensorstack.dev/virtualserver/pkg/stream"

// NewGuestOSInfoREST serves the subresource guestosinfo, which asks the guest agent about the guest.
func NewGuestOSInfoREST(gateway Gateway) *OperationREST {
	return newOperationREST(gateway, stream.GuestOSInfo)
}
