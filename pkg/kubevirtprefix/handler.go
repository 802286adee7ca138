package kubevirtprefix

import (
	"context"
	"net/http"
	"sync/atomic"

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

// Handler serves the paths below the prefix. It stands at the end of the filters of the API server, after authentication,
// authorization and audit, and in front of the handler of the API itself, which would claim every path of the group.
type Handler struct {
	gateway atomic.Pointer[Gateway]
	api     atomic.Pointer[http.Handler]
}

// NewHandler makes a Handler. It answers 503 until it has been given a gateway with Use.
func NewHandler() *Handler {
	return &Handler{}
}

// Use starts the service. The chain of filters is built before the storage that a gateway reads, so it comes later.
func (h *Handler) Use(gateway Gateway) {
	h.gateway.Store(&gateway)
}

// InFrontOf returns a handler that serves the paths below the prefix and leaves all others to api, the handler of the API
// itself. What a path below the prefix stands for is done by api too, so that admission sees it as it sees everything.
func (h *Handler) InFrontOf(api http.Handler) http.Handler {
	h.api.Store(&api)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if below(req.URL.Path) {
			h.ServeHTTP(w, req)
			return
		}
		api.ServeHTTP(w, req)
	})
}

// ServeHTTP answers one request below the prefix. It never redirects.
func (h *Handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	found, ok := parse(req.URL)
	gateway, api := h.gateway.Load(), h.api.Load()
	switch {
	case gateway == nil || api == nil:
		refuse(w, req, apierrors.NewServiceUnavailable("the KubeVirt prefix is not ready yet"))
	case !ok:
		refuse(w, req, failure(http.StatusNotFound, metav1.StatusReasonNotFound,
			"this path is not served below "+Prefix+""))
	case req.Method != found.method:
		w.Header().Set("Allow", found.method)
		refuse(w, req, failure(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "use "+found.method+" for this path"))
	default:
		exchange{gateway: *gateway, api: *api, writer: w, request: req, found: found}.serve()
	}
}

func failure(code int32, reason metav1.StatusReason, message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message,
	}}
}

// refuse answers an error, after which a client that asked for an upgrade must not be heard on this connection any more.
func refuse(w http.ResponseWriter, req *http.Request, err error) {
	if req.Header.Get("Upgrade") != "" && req.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
	writeError(w, err)
}
