package tensorstack

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// HeldVirtualServer is a VirtualServer that was taken out of its namespace, because that namespace is gone: its name may
// belong to somebody else now. It is not served and nothing is done for it, until an administrator gives it back or it
// expires. Its name is the UID of the VirtualServer, and its creationTimestamp is when it was taken out.
type HeldVirtualServer struct {
	metav1.TypeMeta
	// Standard object metadata.
	metav1.ObjectMeta

	// reason says why the VirtualServer is held.
	Reason HeldReason
	// expiresAt is when the VirtualServer is deleted for good.
	ExpiresAt *metav1.Time
	// virtualServer is the VirtualServer as it was.
	VirtualServer VirtualServer
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// HeldVirtualServerList is a list of HeldVirtualServers.
type HeldVirtualServerList struct {
	metav1.TypeMeta
	// Standard list metadata.
	metav1.ListMeta

	// items is the list of HeldVirtualServers.
	Items []HeldVirtualServer
}

// HeldReason says why a VirtualServer is held.
// +enum
type HeldReason string

const (
	// HeldNamespaceDeleted is a VirtualServer whose namespace does not exist any more.
	HeldNamespaceDeleted HeldReason = "NamespaceDeleted"
	// HeldNamespaceReplaced is a VirtualServer whose namespace was deleted, and another one of that name was made.
	HeldNamespaceReplaced HeldReason = "NamespaceReplaced"
	// HeldNamespaceYounger is a VirtualServer of which it is not known which namespace it was created in, but not in the
	// present one of that name, which is younger. Version 0.1.0 did not write down what VirtualServers belong to.
	HeldNamespaceYounger HeldReason = "NamespaceYounger"
)
