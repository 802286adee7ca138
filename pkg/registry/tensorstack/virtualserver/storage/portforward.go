package storage

import (
	"context"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/validation"
	"tensorstack.dev/virtualserver/pkg/stream"
)

// PortForwardREST serves the subresource portforward, a connection to a port of the machine.
type PortForwardREST struct {
	gateway Gateway
}

var _ rest.Connecter = &PortForwardREST{}

// NewPortForwardREST makes the subresource.
func NewPortForwardREST(gateway Gateway) *PortForwardREST { return &PortForwardREST{gateway: gateway} }

// New implements rest.Storage.
func (r *PortForwardREST) New() runtime.Object { return &tensorstack.PortForwardOptions{} }

// Destroy implements rest.Storage.
func (r *PortForwardREST) Destroy() {}

// NewConnectOptions implements rest.Connecter. The path below the subresource is the port.
func (r *PortForwardREST) NewConnectOptions() (runtime.Object, bool, string) {
	return &tensorstack.PortForwardOptions{}, true, "path"
}

// ConnectMethods implements rest.Connecter. A websocket is a GET.
func (r *PortForwardREST) ConnectMethods() []string { return []string{http.MethodGet} }

// Connect implements rest.Connecter.
func (r *PortForwardREST) Connect(ctx context.Context, name string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	asked, ok := options.(*tensorstack.PortForwardOptions)
	if !ok {
		return nil, wrongOptions(options)
	}
	if err := invalidOptions("PortForwardOptions", name, validation.ValidatePortForwardOptions(asked)); err != nil {
		return nil, err
	}
	port, protocol, err := validation.ForwardedPort(asked.Path)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	call := stream.Call{Kind: stream.PortForward, Name: name, Port: stream.Port{Number: int(port), Protocol: protocol}}
	return openStream(ctx, r.gateway, call, asked.Wait, responder), nil
}
