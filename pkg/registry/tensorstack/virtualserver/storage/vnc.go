package storage

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/validation"
	"tensorstack.dev/virtualserver/pkg/stream"
)

// VNCREST serves the subresource vnc, the graphical console of the machine, and below it vnc/screenshot.
type VNCREST struct {
	gateway Gateway
}

var _ rest.Connecter = &VNCREST{}

// NewVNCREST makes the subresource.
func NewVNCREST(gateway Gateway) *VNCREST { return &VNCREST{gateway: gateway} }

// New implements rest.Storage.
func (r *VNCREST) New() runtime.Object { return &tensorstack.VNCOptions{} }

// Destroy implements rest.Storage.
func (r *VNCREST) Destroy() {}

// NewConnectOptions implements rest.Connecter. The path below the subresource is empty or "screenshot".
func (r *VNCREST) NewConnectOptions() (runtime.Object, bool, string) {
	return &tensorstack.VNCOptions{}, true, "path"
}

// ConnectMethods implements rest.Connecter. A websocket is a GET.
func (r *VNCREST) ConnectMethods() []string { return []string{http.MethodGet} }

// Connect implements rest.Connecter.
func (r *VNCREST) Connect(ctx context.Context, name string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	asked, ok := options.(*tensorstack.VNCOptions)
	if !ok {
		return nil, wrongOptions(options)
	}
	if err := invalidOptions("VNCOptions", name, validation.ValidateVNCOptions(asked)); err != nil {
		return nil, err
	}
	switch asked.Path {
	case "":
		return r.stream(ctx, name, asked, responder), nil
	case "/screenshot":
		operation, _ := stream.OperationNamed(stream.Screenshot)
		return r.gateway.Operate(stream.OperationCall{
			Operation: operation, Namespace: request.NamespaceValue(ctx), Name: name,
			Query: url.Values{"moveCursor": {strconv.FormatBool(asked.MoveCursor)}},
		}, responder), nil
	default:
		return nil, apierrors.NewNotFound(tensorstack.Resource("virtualservers/vnc"+asked.Path), name)
	}
}

func (r *VNCREST) stream(ctx context.Context, name string, asked *tensorstack.VNCOptions, responder rest.Responder) http.Handler {
	call := stream.Call{Kind: stream.VNC, Name: name, TakeOver: asked.TakeOver, PreserveSession: asked.PreserveSession}
	return openStream(ctx, r.gateway, call, asked.Wait, responder)
}
