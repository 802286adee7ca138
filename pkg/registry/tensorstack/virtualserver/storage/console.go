package storage

import (
	"context"
	"net/http"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/validation"
	"tensorstack.dev/virtualserver/pkg/stream"
)

// ConsoleREST serves the subresource console, the serial console of the machine.
type ConsoleREST struct {
	gateway Gateway
}

var _ rest.Connecter = &ConsoleREST{}

// NewConsoleREST makes the subresource.
func NewConsoleREST(gateway Gateway) *ConsoleREST { return &ConsoleREST{gateway: gateway} }

// New implements rest.Storage.
func (r *ConsoleREST) New() runtime.Object { return &tensorstack.ConsoleOptions{} }

// Destroy implements rest.Storage.
func (r *ConsoleREST) Destroy() {}

// NewConnectOptions implements rest.Connecter.
func (r *ConsoleREST) NewConnectOptions() (runtime.Object, bool, string) {
	return &tensorstack.ConsoleOptions{}, false, ""
}

// ConnectMethods implements rest.Connecter. A websocket is a GET.
func (r *ConsoleREST) ConnectMethods() []string { return []string{http.MethodGet} }

// Connect implements rest.Connecter.
func (r *ConsoleREST) Connect(ctx context.Context, name string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	asked, ok := options.(*tensorstack.ConsoleOptions)
	if !ok {
		return nil, wrongOptions(options)
	}
	if err := invalidOptions("ConsoleOptions", name, validation.ValidateConsoleOptions(asked)); err != nil {
		return nil, err
	}
	call := stream.Call{Kind: stream.Console, Name: name, TakeOver: asked.TakeOver, PreserveSession: asked.PreserveSession}
	return openStream(ctx, r.gateway, call, asked.Wait, responder), nil
}
