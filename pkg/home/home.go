// Package home says which namespace a VirtualServer belongs to: the one that it was created in, told by its UID. A name is
// not enough. While the APIService is away kube-apiserver deletes namespaces without us, and whoever makes the next one of
// that name has nothing to do with the VirtualServers that were in the last.
package home

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Verdict is what is to be done with a VirtualServer that is in the store.
type Verdict string

const (
	// Stay leaves it: it is where it belongs.
	Stay Verdict = "Stay"
	// Stamp writes the UID of the present namespace down, as the one that it belongs to.
	Stamp Verdict = "Stamp"
	// Hold takes it out of the namespace and keeps it aside.
	Hold Verdict = "Hold"
	// Wait leaves it, because nothing can be said.
	Wait Verdict = "Wait"
)

// Reason is why a VirtualServer is held.
type Reason string

const (
	// Deleted is that no namespace has the name.
	Deleted Reason = "NamespaceDeleted"
	// Replaced is that another namespace has the name.
	Replaced Reason = "NamespaceReplaced"
	// Younger is that the namespace was made after the VirtualServer, of which nothing else is known.
	Younger Reason = "NamespaceYounger"
)

// Server is what the store says about a VirtualServer.
type Server struct {
	// NamespaceUID is the UID that was written down when the VirtualServer was created. It is empty if an older version
	// stored it.
	NamespaceUID types.UID
	// Created is when the VirtualServer was created.
	Created time.Time
}

// Namespace is what kube-apiserver says about the namespace of that name. The zero value is that there is none.
type Namespace struct {
	// UID is empty if there is no such namespace.
	UID types.UID
	// Created is when the namespace was created.
	Created time.Time
}

// Decide says what is to be done with a VirtualServer. The namespace must have been read after the VirtualServer was, and
// not from a cache: a UID never comes back, so one that is not there by then is gone. ourCluster says that the store is of the
// cluster that the namespace was read from; in another cluster no namespace has the UID that it had.
func Decide(ourCluster bool, server Server, namespace Namespace) (Verdict, Reason) {
	switch {
	case !ourCluster:
		return Wait, ""
	case namespace.UID == "":
		return Hold, Deleted
	case server.NamespaceUID == namespace.UID:
		return Stay, ""
	case server.NamespaceUID != "":
		return Hold, Replaced
	case namespace.Created.After(server.Created):
		return Hold, Younger
	default:
		return Stamp, ""
	}
}

// AtHome says whether anything may be done for a VirtualServer in a namespace that has the UID.
func AtHome(belongsTo, namespace types.UID) bool {
	return belongsTo != "" && belongsTo == namespace
}
