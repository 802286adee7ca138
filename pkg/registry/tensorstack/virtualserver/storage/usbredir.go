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

// USBRedirREST serves the subresource usbredir, which lends a USB device of the client to the machine.
type USBRedirREST struct {
	gateway Gateway
}

var _ rest.Connecter = &USBRedirREST{}

// NewUSBRedirREST makes the subresource.
func NewUSBRedirREST(gateway Gateway) *USBRedirREST { return &USBRedirREST{gateway: gateway} }

// New implements rest.Storage.
func (r *USBRedirREST) New() runtime.Object { return &tensorstack.USBRedirOptions{} }

// Destroy implements rest.Storage.
func (r *USBRedirREST) Destroy() {}

// NewConnectOptions implements rest.Connecter.
func (r *USBRedirREST) NewConnectOptions() (runtime.Object, bool, string) {
	return &tensorstack.USBRedirOptions{}, false, ""
}

// ConnectMethods implements rest.Connecter. A websocket is a GET.
func (r *USBRedirREST) ConnectMethods() []string { return []string{http.MethodGet} }

// Connect implements rest.Connecter.
func (r *USBRedirREST) Connect(ctx context.Context, name string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	asked, ok := options.(*tensorstack.USBRedirOptions)
	if !ok {
		return nil, wrongOptions(options)
	}
	if err := invalidOptions("USBRedirOptions", name, validation.ValidateUSBRedirOptions(asked)); err != nil {
		return nil, err
	}
	call := stream.Call{Kind: stream.USBRedir, Name: name}
	return openStream(ctx, r.gateway, call, asked.Wait, responder), nil
}
