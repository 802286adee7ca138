// Package virtualserver says how VirtualServers are created, updated, selected and shown.
package virtualserver

import (
	"context"
	"fmt"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/utils/clock"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/validation"
)

// Strategy decides about writes to the main resource: the user owns the spec, the system owns the status.
type Strategy struct {
	runtime.ObjectTyper
	names.NameGenerator
	clock clock.PassiveClock
}

var (
	_ rest.RESTCreateUpdateStrategy = Strategy{}
	_ rest.RESTDeleteStrategy       = Strategy{}
	_ rest.ResetFieldsStrategy      = Strategy{}
)

// NewStrategy returns the strategy of the main resource. The clock dates operations that an edit of the spec ends.
func NewStrategy(typer runtime.ObjectTyper, clock clock.PassiveClock) Strategy {
	return Strategy{ObjectTyper: typer, NameGenerator: names.SimpleNameGenerator, clock: clock}
}

// NamespaceScoped is true: a VirtualServer lives in a namespace.
func (Strategy) NamespaceScoped() bool { return true }

// AllowCreateOnUpdate is false: PUT does not create, as with most kinds of Kubernetes.
func (Strategy) AllowCreateOnUpdate(context.Context) bool { return false }

// AllowUnconditionalUpdate is true, as with the kinds of Kubernetes itself: "kubectl replace" of a manifest without a
// resourceVersion works.
func (Strategy) AllowUnconditionalUpdate(context.Context) bool { return true }

// Canonicalize does nothing: defaults are set when an object is decoded.
func (Strategy) Canonicalize(runtime.Object) {}

// PrepareForCreate empties the status, whatever the user sent, and puts spec.runStrategy into force. The condition Ready is
// there from the beginning: what Helm, Flux and others use to wait takes an object without conditions for ready. The UID of
// the namespace stays: the storage has set it just before, whatever the user sent.
func (s Strategy) PrepareForCreate(ctx context.Context, obj runtime.Object) {
	vs := obj.(*tensorstack.VirtualServer)
	defaultSourceNamespace(ctx, &vs.Spec)
	vs.Generation = 1
	vs.Status = tensorstack.VirtualServerStatus{
		NamespaceUID: vs.Status.NamespaceUID,
		RunStrategy:  vs.Spec.RunStrategy,
		Conditions: []metav1.Condition{{
			Type: tensorstack.ConditionReady, Status: metav1.ConditionUnknown, LastTransitionTime: metav1.NewTime(s.clock.Now()),
			Reason: reasonPending, Message: "The controller has not seen this VirtualServer yet.",
		}},
	}
}

// reasonPending is the reason of the condition Ready until the controller says more.
const reasonPending = "Pending"

// PrepareForUpdate keeps the status and moves the generation when the spec changes. An edit of spec.runStrategy puts the
// new value into force as if the machine had just been created; an operation that is pending then has lost its meaning
// and ends as superseded.
func (s Strategy) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	newVS, oldVS := obj.(*tensorstack.VirtualServer), old.(*tensorstack.VirtualServer)
	newVS.Status = oldVS.Status
	defaultSourceNamespace(ctx, &newVS.Spec)
	if newVS.Spec.RunStrategy != oldVS.Spec.RunStrategy {
		newVS.Status = *oldVS.Status.DeepCopy()
		newVS.Status.RunStrategy = newVS.Spec.RunStrategy
		Supersede(&newVS.Status, s.clock.Now(), "spec.runStrategy was set to "+string(newVS.Spec.RunStrategy))
		if newVS.Status.RunStrategy != oldVS.Status.RunStrategy || oldVS.Status.PendingOperation != nil {
			s.editOperation(ctx, &newVS.Status, oldVS.Status.RunStrategy)
			// The message of before is about the strategy of before.
			newVS.Status.Message = fmt.Sprintf("spec.runStrategy was set to %s, about to be carried out", newVS.Spec.RunStrategy)
		}
	}
	if !apiequality.Semantic.DeepEqual(newVS.Spec, oldVS.Spec) {
		newVS.Generation = oldVS.Generation + 1
	}
}

// defaultSourceNamespace lets a source that names no namespace be one of the VirtualServer's own. It is done here and not where
// other defaults are, because the body of a request need not name the namespace that the path names.
func defaultSourceNamespace(ctx context.Context, spec *tensorstack.VirtualServerSpec) {
	namespace := genericapirequest.NamespaceValue(ctx)
	if pvc := spec.Storage.Root.Source.PVC; pvc != nil && pvc.Namespace == "" {
		pvc.Namespace = namespace
	}
	if snapshot := spec.Storage.Root.Source.Snapshot; snapshot != nil && snapshot.Namespace == "" {
		snapshot.Namespace = namespace
	}
}

// editOperation makes an edit that changes the strategy in force, or takes the place of an operation, one itself: a stop if
// it becomes Halted, and a start if it becomes Always or RerunOnFailure, as it would be for a VirtualServer that was just
// created. KubeVirt alone would leave a machine stopped whose last run is still shutting down, and would obey an older
// operation that it holds in its queue.
func (s Strategy) editOperation(ctx context.Context, status *tensorstack.VirtualServerStatus, from tensorstack.RunStrategy) {
	operation := tensorstack.OperationStart
	switch status.RunStrategy {
	case tensorstack.RunStrategyManual:
		return
	case tensorstack.RunStrategyHalted:
		operation = tensorstack.OperationStop
	}
	status.PendingOperation = &tensorstack.Operation{
		ID:              uuid.NewUUID(),
		Type:            operation,
		RequestedAt:     metav1.NewMicroTime(s.clock.Now()),
		FromRunStrategy: from,
		ToRunStrategy:   status.RunStrategy,
		InstanceUID:     status.VM.InstanceUID,
	}
	if user, ok := genericapirequest.UserFrom(ctx); ok {
		status.PendingOperation.RequestedBy = user.GetName()
	}
}

// Validate checks a new object.
func (Strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateVirtualServer(obj.(*tensorstack.VirtualServer))
}

// ValidateUpdate checks a changed object.
func (Strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateVirtualServerUpdate(obj.(*tensorstack.VirtualServer), old.(*tensorstack.VirtualServer))
}

// WarningsOnCreate tells the user what is accepted but probably not meant.
func (Strategy) WarningsOnCreate(_ context.Context, obj runtime.Object) []string {
	return validation.Warnings(obj.(*tensorstack.VirtualServer))
}

// WarningsOnUpdate tells the user what is accepted but probably not meant, if they touched the spec: nobody wants to hear
// about it again with every label.
func (Strategy) WarningsOnUpdate(_ context.Context, obj, old runtime.Object) []string {
	newVS, oldVS := obj.(*tensorstack.VirtualServer), old.(*tensorstack.VirtualServer)
	if apiequality.Semantic.DeepEqual(newVS.Spec, oldVS.Spec) {
		return nil
	}
	return validation.Warnings(newVS)
}

// GetResetFields names what a write to the main resource cannot set, so that server-side apply does not make the writer
// its owner.
func (Strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return resetFields(fieldpath.MakePathOrDie("status"))
}

func resetFields(paths ...fieldpath.Path) map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(v1beta1.SchemeGroupVersion.String()): fieldpath.NewSet(paths...),
	}
}
