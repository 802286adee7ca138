package storage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/registry/tensorstack/virtualserver"
)

// MachineReader tells in which state the machine behind a VirtualServer is.
type MachineReader interface {
	// Machine returns the state of the VirtualMachineInstance of that name. No such instance is the zero value and no
	// error; an error means that the state cannot be known now.
	Machine(ctx context.Context, namespace, name string) (virtualserver.Machine, error)
}

// retryAfterSeconds is when a client should try again after the state of a machine could not be read.
const retryAfterSeconds = 2

// operator carries an operation into the status of a VirtualServer.
type operator struct {
	store    *genericregistry.Store
	machines MachineReader
	clock    clock.PassiveClock
}

// operate checks the operation and writes it in one update in etcd. It returns the VirtualServer after it. With dryRun
// everything is checked and nothing is written.
func (o *operator) operate(ctx context.Context, name string, request virtualserver.Request, dryRun []string) (
	runtime.Object, error) {
	if user, ok := genericapirequest.UserFrom(ctx); ok {
		request.User = user.GetName()
	}
	obj, err := o.store.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	read := obj.(*tensorstack.VirtualServer)
	machine, err := o.machine(ctx, read)
	if err != nil {
		return nil, err
	}
	accept := func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		vs := old.(*tensorstack.VirtualServer).DeepCopy()
		if vs.UID != read.UID || vs.Status.VM.Name != read.Status.VM.Name {
			return nil, conflict(name, request, "the object changed meanwhile; try again")
		}
		if vs.DeletionTimestamp != nil {
			return nil, conflict(name, request, "the VirtualServer is being deleted")
		}
		if err := virtualserver.Accept(&vs.Status, machine, request, o.clock.Now()); err != nil {
			return nil, refusal(name, request, err)
		}
		return vs, nil
	}
	updated, _, err := o.store.Update(ctx, name, rest.DefaultUpdatedObjectInfo(nil, accept), nil,
		rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{DryRun: dryRun})
	if err != nil {
		return nil, err
	}
	vs := updated.(*tensorstack.VirtualServer)
	klog.FromContext(ctx).V(2).Info("Operation accepted", "virtualServer", klog.KObj(vs), "operation", request.Type,
		"user", request.User, "runStrategy", vs.Status.RunStrategy, "dryRun", len(dryRun) > 0)
	return updated, nil
}

// machine reads the state of the machine. Before the virtual machine has a name there is none.
func (o *operator) machine(ctx context.Context, vs *tensorstack.VirtualServer) (virtualserver.Machine, error) {
	if vs.Status.VM.Name == "" {
		return virtualserver.Machine{}, nil
	}
	machine, err := o.machines.Machine(ctx, vs.Namespace, vs.Status.VM.Name)
	if err == nil {
		return machine, nil
	}
	klog.FromContext(ctx).Error(err, "Cannot read the state of a machine", "virtualServer", klog.KObj(vs))
	return virtualserver.Machine{}, &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure,
		Code:   http.StatusServiceUnavailable,
		Reason: metav1.StatusReasonServiceUnavailable,
		Message: fmt.Sprintf("the state of machine %s cannot be read from KubeVirt now, so the operation was not "+
			"accepted; try again", vs.Status.VM.Name),
		Details: &metav1.StatusDetails{
			Group: v1beta1.GroupName, Kind: "virtualservers", Name: vs.Name, RetryAfterSeconds: retryAfterSeconds,
		},
	}}
}

// refusal turns a refused operation into 409 Conflict.
func refusal(name string, request virtualserver.Request, err error) error {
	var refused *virtualserver.ConflictError
	if errors.As(err, &refused) {
		return conflict(name, request, refused.Message)
	}
	return err
}

func conflict(name string, request virtualserver.Request, message string) error {
	resource := tensorstack.Resource("virtualservers/" + strings.ToLower(string(request.Type)))
	return apierrors.NewConflict(resource, name, errors.New(message))
}

// dryRun joins the two places where a client may ask for a dry run: the body and the query.
func dryRun(kind, name string, body, query []string) ([]string, error) {
	if errs := metav1validation.ValidateDryRun(field.NewPath("dryRun"), body); len(errs) > 0 {
		return nil, apierrors.NewInvalid(tensorstack.Kind(kind), name, errs)
	}
	return sets.List(sets.New(append(append([]string{}, body...), query...)...)), nil
}

// gracePeriod joins force and gracePeriodSeconds: force is a grace period of 0.
func gracePeriod(force bool, seconds *int64) (*int64, field.ErrorList) {
	path := field.NewPath("gracePeriodSeconds")
	switch {
	case seconds != nil && *seconds < 0:
		return nil, field.ErrorList{field.Invalid(path, *seconds, "must be 0 or more")}
	case seconds != nil && *seconds > maxGracePeriodSeconds:
		return nil, field.ErrorList{field.Invalid(path, *seconds,
			fmt.Sprintf("must be at most %d, which is a week", maxGracePeriodSeconds))}
	case force && seconds != nil && *seconds > 0:
		return nil, field.ErrorList{field.Invalid(path, *seconds, "must be 0 or absent together with force")}
	case force:
		var now int64
		return &now, nil
	default:
		return seconds, nil
	}
}

// maxGracePeriodSeconds is one week. KubeVirt has no limit of its own; a larger number is a mistake of unit.
const maxGracePeriodSeconds = 7 * 24 * 60 * 60

// produces tells the API documentation that an operation answers with a VirtualServer.
type produces struct{}

// ProducesMIMETypes adds no type to those of the group.
func (produces) ProducesMIMETypes(string) []string { return nil }

// ProducesObject is the VirtualServer after the operation.
func (produces) ProducesObject(string) any { return v1beta1.VirtualServer{} }
