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

// StopREST is the operation stop.
type StopREST struct {
	produces
	operator *operator
}

var (
	_ rest.Storage                  = &StopREST{}
	_ rest.NamedCreater             = &StopREST{}
	_ rest.GroupVersionKindProvider = &StopREST{}
	_ rest.StorageMetadata          = &StopREST{}
)

// New returns empty options, which is what the body of a request holds.
func (*StopREST) New() runtime.Object { return &tensorstack.StopOptions{} }

// Destroy does nothing: the store belongs to the main resource.
func (*StopREST) Destroy() {}

// GroupVersionKind is the kind of the body, also if the body does not name it.
func (*StopREST) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return v1beta1.SchemeGroupVersion.WithKind("StopOptions")
}

// Create stops the machine and returns the VirtualServer.
func (r *StopREST) Create(ctx context.Context, name string, obj runtime.Object, validate rest.ValidateObjectFunc,
	options *metav1.CreateOptions) (runtime.Object, error) {
	stop, ok := obj.(*tensorstack.StopOptions)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the body is a %T, not StopOptions", obj))
	}
	return r.operator.operate(ctx, call{
		name: name, kind: "StopOptions", body: obj, problems: validation.ValidateStopOptions(stop),
		dryRun: stop.DryRun, validate: validate, options: options,
		request: virtualserver.Request{
			Type: tensorstack.OperationStop, GracePeriodSeconds: grace(stop.Force, stop.GracePeriodSeconds),
		},
	})
}
