package storage

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/validation"
	"tensorstack.dev/virtualserver/pkg/registry/tensorstack/virtualserver"
)

// StartREST is the operation start.
type StartREST struct {
	produces
	operator *operator
}

var (
	_ rest.Storage                  = &StartREST{}
	_ rest.NamedCreater             = &StartREST{}
	_ rest.GroupVersionKindProvider = &StartREST{}
	_ rest.StorageMetadata          = &StartREST{}
)

// New returns empty options, which is what the body of a request holds.
func (*StartREST) New() runtime.Object { return &tensorstack.StartOptions{} }

// Destroy does nothing: the store belongs to the main resource.
func (*StartREST) Destroy() {}

// GroupVersionKind is the kind of the body, also if the body does not name it.
func (*StartREST) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return v1beta1.SchemeGroupVersion.WithKind("StartOptions")
}

// Create starts the machine and returns the VirtualServer.
func (r *StartREST) Create(ctx context.Context, name string, obj runtime.Object, validate rest.ValidateObjectFunc,
	options *metav1.CreateOptions) (runtime.Object, error) {
	start, ok := obj.(*tensorstack.StartOptions)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the body is a %T, not StartOptions", obj))
	}
	return r.operator.operate(ctx, call{
		name: name, kind: "StartOptions", body: obj, problems: validation.ValidateStartOptions(start),
		dryRun: start.DryRun, validate: validate, options: options,
		request: virtualserver.Request{
			Type: tensorstack.OperationStart, Paused: start.Paused,
		},
	})
}
