package storage

import "tensorstack.dev/virtualserver/pkg/stream"

// NewUserListREST serves the subresource userlist, which asks the guest agent who is logged in.
func NewUserListREST(gateway Gateway) *OperationREST {
	return newOperationREST(gateway, stream.UserList)
}
