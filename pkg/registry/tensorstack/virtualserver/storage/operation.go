package storage

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"
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

// call is one request for an operation.
type call struct {
	// name is the name of the VirtualServer.
	name string
	// kind is the kind of the body, body the body, and problems what is wrong with it.
	kind     string
	body     runtime.Object
	problems field.ErrorList
	// dryRun is what the body says about a dry run.
	dryRun []string
	// validate is the validating admission. It may be nil.
	validate rest.ValidateObjectFunc
	// options are the query options of the request.
	options *metav1.CreateOptions
	// request is the operation.
	request virtualserver.Request
}

// operate checks the operation and writes it in one update in etcd. It returns the VirtualServer after it. In a dry run
// everything is checked and nothing is written.
func (o *operator) operate(ctx context.Context, c call) (runtime.Object, error) {
	if len(c.problems) > 0 {
		return nil, apierrors.NewInvalid(tensorstack.Kind(c.kind), c.name, c.problems)
	}
	if c.validate != nil {
		if err := c.validate(ctx, c.body.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	// The user may ask for a dry run in the body or in the query.
	dryRun := c.dryRun
	if len(dryRun) == 0 {
		dryRun = c.options.DryRun
	}
	if user, ok := genericapirequest.UserFrom(ctx); ok {
		c.request.User = user.GetName()
	}
	vs, err := o.write(ctx, c, dryRun)
	for range maxMovedOn {
		if !errors.Is(err, errMovedOn) {
			break
		}
		vs, err = o.write(ctx, c, dryRun)
	}
	if errors.Is(err, errMovedOn) {
		return nil, conflict(c.name, "the machine changes too fast; try again")
	}
	if err != nil {
		return nil, err
	}
	if caution := virtualserver.Caution(&vs.Status, c.request); caution != "" {
		warning.AddWarning(ctx, "", caution)
	}
	klog.FromContext(ctx).V(2).Info("Operation accepted", "virtualServer", klog.KObj(vs), "operation", c.request.Type,
		"user", c.request.User, "runStrategy", vs.Status.RunStrategy, "dryRun", len(dryRun) > 0)
	return vs, nil
}

// errMovedOn says that an operation was carried out between the look at the machine and the write.
var errMovedOn = errors.New("the machine has moved on")

// maxMovedOn is how often the machine is looked at again after errMovedOn.
const maxMovedOn = 5

// write looks at the machine and writes the operation.
func (o *operator) write(ctx context.Context, c call, dryRun []string) (*tensorstack.VirtualServer, error) {
	obj, err := o.store.Get(ctx, c.name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	read := obj.(*tensorstack.VirtualServer)
	machine, err := o.machine(ctx, read)
	if err != nil {
		return nil, err
	}
	accept := func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		return o.accept(read, old.(*tensorstack.VirtualServer).DeepCopy(), machine, c.request)
	}
	updated, _, err := o.store.Update(ctx, c.name, rest.DefaultUpdatedObjectInfo(nil, accept), nil,
		rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{DryRun: dryRun})
	if err != nil {
		return nil, err
	}
	return updated.(*tensorstack.VirtualServer), nil
}

// accept writes the operation into vs, the object as it is in etcd now. The state of the machine was read for the object
// as it was a moment ago; if that has another machine now, the state means nothing. If another operation ended or another
// instance was seen meanwhile, the state may be that of an instance which is gone: a restart of it would be accepted and
// never carried out.
func (o *operator) accept(read, vs *tensorstack.VirtualServer, machine virtualserver.Machine, request virtualserver.Request) (
	runtime.Object, error) {
	if vs.UID != read.UID || vs.Status.VM.Name != read.Status.VM.Name {
		return nil, conflict(vs.Name, "the object changed meanwhile; try again")
	}
	if vs.DeletionTimestamp != nil {
		return nil, conflict(vs.Name, "the VirtualServer is being deleted")
	}
	if movedOn(&read.Status, &vs.Status) {
		return nil, errMovedOn
	}
	err := virtualserver.Accept(&vs.Status, machine, request, o.clock.Now())
	var refused *virtualserver.ConflictError
	if errors.As(err, &refused) {
		return nil, conflict(vs.Name, refused.Message)
	}
	return vs, err
}

// movedOn says whether an operation was accepted or ended, or another instance was seen, since before.
func movedOn(before, now *tensorstack.VirtualServerStatus) bool {
	return pendingID(before) != pendingID(now) || before.VM.InstanceUID != now.VM.InstanceUID
}

func pendingID(status *tensorstack.VirtualServerStatus) types.UID {
	if status.PendingOperation == nil {
		return ""
	}
	return status.PendingOperation.ID
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

// conflict is 409 with a message for people. The library's own begins with a sentence about updates.
func conflict(name, message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusConflict,
		Reason:  metav1.StatusReasonConflict,
		Message: fmt.Sprintf("virtualservers.%s %q: %s", v1beta1.GroupName, name, message),
		Details: &metav1.StatusDetails{Group: v1beta1.GroupName, Kind: "virtualservers", Name: name},
	}}
}

// grace joins force and gracePeriodSeconds: force is a grace period of 0.
func grace(force bool, seconds *int64) *int64 {
	if force {
		return new(int64)
	}
	return seconds
}

// produces tells the API documentation that an operation answers with a VirtualServer.
type produces struct{}

// ProducesMIMETypes adds no type to those of the group.
func (produces) ProducesMIMETypes(string) []string { return nil }

// ProducesObject is the VirtualServer after the operation.
func (produces) ProducesObject(string) any { return v1beta1.VirtualServer{} }
