package kubevirtprefix

import (
	"context"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/stream"
)

// Gateway is the part of stream.Gateway that is needed here.
type Gateway interface {
	Authorize(ctx context.Context, verb, namespace, name, subresource string) error
	Resolve(ctx context.Context, namespace, name string) (*tensorstack.VirtualServer, error)
	ReadMachine(ctx context.Context, server *tensorstack.VirtualServer, resource stream.Resource) (map[string]any, error)
	ReadVersion(ctx context.Context) (map[string]any, error)
	VolumeExists(ctx context.Context, resource schema.GroupVersionResource, namespace, name string) (bool, error)
}

var _ Gateway = &stream.Gateway{}

// InFrontOf returns a handler that serves the paths below the prefix and leaves all others to api, the handler of the API
// itself. It stands at the end of the filters of the API server, after authentication, authorization and audit. api would
// claim every path of the group. What a path below the prefix stands for is done by api too, so that admission sees it as it
// sees everything. No answer is a redirect.
func InFrontOf(api http.Handler, gateway Gateway) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !below(req.URL.Path) {
			api.ServeHTTP(w, req)
			return
		}
		found, ok := parse(req.URL)
		switch {
		case !ok:
			writeError(w, failure(http.StatusNotFound, metav1.StatusReasonNotFound, "this path is not served below "+Prefix))
		case req.Method != found.method:
			w.Header().Set("Allow", found.method)
			writeError(w, failure(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "use "+found.method+" for this path"))
		default:
			exchange{gateway: gateway, api: api, writer: w, request: req, found: found}.serve()
		}
	})
}

func failure(code int32, reason metav1.StatusReason, message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message,
	}}
}
