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

// RestartREST is the operation restart.
type RestartREST struct {
	produces
	operator *operator
}

var (
	_ rest.Storage                  = &RestartREST{}
	_ rest.NamedCreater             = &RestartREST{}
	_ rest.GroupVersionKindProvider = &RestartREST{}
	_ rest.StorageMetadata          = &RestartREST{}
)

// New returns empty options, which is what the body of a request holds.
func (*RestartREST) New() runtime.Object { return &tensorstack.RestartOptions{} }

// Destroy does nothing: the store belongs to the main resource.
func (*RestartREST) Destroy() {}

// GroupVersionKind is the kind of the body, also if the body does not name it.
func (*RestartREST) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return v1beta1.SchemeGroupVersion.WithKind("RestartOptions")
}

// Create restarts the machine and returns the VirtualServer.
func (r *RestartREST) Create(ctx context.Context, name string, obj runtime.Object, validate rest.ValidateObjectFunc,
	options *metav1.CreateOptions) (runtime.Object, error) {
	restart, ok := obj.(*tensorstack.RestartOptions)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the body is a %T, not RestartOptions", obj))
	}
	return r.operator.operate(ctx, call{
		name: name, kind: "RestartOptions", body: obj, problems: validation.ValidateRestartOptions(restart),
		dryRun: restart.DryRun, validate: validate, options: options,
		request: virtualserver.Request{
			Type: tensorstack.OperationRestart, GracePeriodSeconds: grace(restart.Force, restart.GracePeriodSeconds),
		},
	})
}
