// Package request reads VirtualServers out of the attributes that admission plugins get.
package request

import (
	"k8s.io/apiserver/pkg/admission"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// VirtualServers returns the VirtualServer that a request creates or changes, and the one before, which is nil for a
// creation. ok is false for every other request: another kind, a subresource such as status, a deletion.
func VirtualServers(a admission.Attributes) (updated, old *tensorstack.VirtualServer, ok bool) {
	if a.GetResource().GroupResource() != tensorstack.Resource("virtualservers") || a.GetSubresource() != "" {
		return nil, nil, false
	}
	updated, ok = a.GetObject().(*tensorstack.VirtualServer)
	if !ok {
		return nil, nil, false
	}
	switch a.GetOperation() {
	case admission.Create:
		return updated, nil, true
	case admission.Update:
		old, ok = a.GetOldObject().(*tensorstack.VirtualServer)
		return updated, old, ok
	default:
		return nil, nil, false
	}
}
