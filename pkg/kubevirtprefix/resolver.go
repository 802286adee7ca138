package kubevirtprefix

import (
	"net/http"

	"k8s.io/apiserver/pkg/endpoints/request"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// RequestInfoResolver tells the filters of the API server what a request below the prefix is: one for a subresource of
// virtualservers, in the namespace of the path. Authorization, audit, priority and fairness and the long-running check so
// see it as they see the subresource itself. Everything else is left to the next resolver.
type RequestInfoResolver struct {
	// Next resolves all other requests.
	Next request.RequestInfoResolver
}

var _ request.RequestInfoResolver = RequestInfoResolver{}

// NewRequestInfo implements request.RequestInfoResolver.
func (r RequestInfoResolver) NewRequestInfo(req *http.Request) (*request.RequestInfo, error) {
	info, err := r.Next.NewRequestInfo(req)
	if err != nil || !below(req.URL.Path) {
		return info, err
	}
	found, ok := parse(req.URL)
	if !ok || found.action == actionGroup || found.action == actionVersion || found.action == actionVolume {
		// These stay requests for the resource "kubevirt", which the prefix role admits, and say nothing about a machine.
		return info, nil
	}
	info.APIGroup, info.APIVersion = v1beta1.GroupName, v1beta1.SchemeGroupVersion.Version
	info.Namespace, info.Name = found.namespace, found.name
	info.Resource, info.Subresource = "virtualservers", found.subresource
	info.Parts = []string{info.Resource, info.Name}
	if info.Subresource != "" {
		info.Parts = append(info.Parts, info.Subresource)
	}
	return info, nil
}
