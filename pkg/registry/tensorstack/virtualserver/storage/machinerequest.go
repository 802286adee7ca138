package storage

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/stream"
)

// Gateway carries streams and operations to the machine. It authorizes the user for them. stream.Gateway is one.
type Gateway interface {
	Stream(call stream.Call, responder rest.Responder) http.Handler
	Operate(call stream.OperationCall, responder rest.Responder) http.Handler
}

// OperationREST is a subresource whose requests are passed on to KubeVirt.
type OperationREST struct {
	gateway   Gateway
	operation stream.Operation
}

var _ rest.Connecter = &OperationREST{}

// newOperationREST panics for an operation that does not exist, which is a mistake in this package.
func newOperationREST(gateway Gateway, name string) *OperationREST {
	operation, ok := stream.OperationNamed(name)
	if !ok {
		panic(fmt.Sprintf("no operation is named %q", name))
	}
	return &OperationREST{gateway: gateway, operation: operation}
}

// New implements rest.Storage.
func (r *OperationREST) New() runtime.Object { return &tensorstack.ProxyOptions{} }

// Destroy implements rest.Storage.
func (r *OperationREST) Destroy() {}

// NewConnectOptions implements rest.Connecter. There is no path below the subresource.
func (r *OperationREST) NewConnectOptions() (runtime.Object, bool, string) {
	return &tensorstack.ProxyOptions{}, false, ""
}

// ConnectMethods implements rest.Connecter. KubeVirt changes a machine with PUT only; POST is taken too, since other
// subresources of Kubernetes are posted to.
func (r *OperationREST) ConnectMethods() []string {
	if r.operation.Reads {
		return []string{http.MethodGet}
	}
	return []string{http.MethodPut, http.MethodPost}
}

// Connect implements rest.Connecter.
func (r *OperationREST) Connect(ctx context.Context, name string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	return r.gateway.Operate(stream.OperationCall{
		Operation: r.operation, Namespace: request.NamespaceValue(ctx), Name: name, Query: url.Values{},
	}, responder), nil
}

// openStream adds what all streams share to a call, whose wait in seconds has been checked, and returns its handler.
func openStream(ctx context.Context, gateway Gateway, call stream.Call, wait int64, responder rest.Responder) http.Handler {
	call.Namespace, call.Wait = request.NamespaceValue(ctx), time.Duration(wait)*time.Second
	return gateway.Stream(call, responder)
}

// invalidOptions is the error for options that break rules, or nil. It is 422 and not 400, at which clients of KubeVirt wait for
// a machine to come up.
func invalidOptions(kind, name string, problems field.ErrorList) error {
	if len(problems) == 0 {
		return nil
	}
	return apierrors.NewInvalid(v1beta1.SchemeGroupVersion.WithKind(kind).GroupKind(), name, problems)
}

// wrongOptions is the error for options of another kind, which the API server never passes.
func wrongOptions(options runtime.Object) error {
	return apierrors.NewInternalError(fmt.Errorf("unexpected options %T", options))
}
