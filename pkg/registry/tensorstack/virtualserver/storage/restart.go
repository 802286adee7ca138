package storage

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
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
	dry, err := dryRun("RestartOptions", name, restart.DryRun, options.DryRun)
	if err != nil {
		return nil, err
	}
	grace, errs := gracePeriod(restart.Force, restart.GracePeriodSeconds)
	if grace != nil && *grace > 0 {
		// KubeVirt knows a graceful restart and an immediate one, nothing between.
		errs = append(errs, field.Invalid(field.NewPath("gracePeriodSeconds"), *grace,
			"must be 0, or absent for a graceful restart"))
	}
	if len(errs) > 0 {
		return nil, apierrors.NewInvalid(tensorstack.Kind("RestartOptions"), name, errs)
	}
	if validate != nil {
		if err := validate(ctx, obj.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	request := virtualserver.Request{Type: tensorstack.OperationRestart, GracePeriodSeconds: grace}
	return r.operator.operate(ctx, name, request, dry)
}
