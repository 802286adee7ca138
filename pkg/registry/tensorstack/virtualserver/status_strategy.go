package virtualserver

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/validation"
)

// StatusStrategy decides about writes to the subresource status, which only the controller has a right to.
type StatusStrategy struct {
	Strategy
}

var (
	_ rest.RESTUpdateStrategy  = StatusStrategy{}
	_ rest.ResetFieldsStrategy = StatusStrategy{}
)

// NewStatusStrategy returns the strategy of the subresource status.
func NewStatusStrategy(main Strategy) StatusStrategy {
	return StatusStrategy{Strategy: main}
}

// AllowUnconditionalUpdate is false: a status computed from an old object must not undo an operation.
func (StatusStrategy) AllowUnconditionalUpdate(context.Context) bool { return false }

// PrepareForUpdate keeps everything but the status, and in that the UID of the namespace: nobody moves a VirtualServer.
func (StatusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	newVS, oldVS := obj.(*tensorstack.VirtualServer), old.(*tensorstack.VirtualServer)
	newVS.Spec = oldVS.Spec
	newVS.Status.NamespaceUID = oldVS.Status.NamespaceUID
	metav1.ResetObjectMetaForStatus(&newVS.ObjectMeta, &oldVS.ObjectMeta)
}

// ValidateUpdate checks a changed status.
func (StatusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateVirtualServerStatusUpdate(obj.(*tensorstack.VirtualServer), old.(*tensorstack.VirtualServer))
}

// WarningsOnUpdate is empty: no person writes a status.
func (StatusStrategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

// GetResetFields names what a write to the status cannot set.
func (StatusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return resetFields(
		fieldpath.MakePathOrDie("spec"),
		fieldpath.MakePathOrDie("metadata", "annotations"),
		fieldpath.MakePathOrDie("metadata", "deletionTimestamp"),
		fieldpath.MakePathOrDie("metadata", "finalizers"),
		fieldpath.MakePathOrDie("metadata", "generation"),
		fieldpath.MakePathOrDie("metadata", "labels"),
		fieldpath.MakePathOrDie("metadata", "ownerReferences"),
		fieldpath.MakePathOrDie("metadata", "selfLink"),
		fieldpath.MakePathOrDie("status", "namespaceUID"),
	)
}

// OperationStrategy decides about the writes of start, stop and restart. The operation itself has already been checked
// against the table and the state of the machine; it changes nothing but the status.
type OperationStrategy struct {
	StatusStrategy
}

var _ rest.RESTUpdateStrategy = OperationStrategy{}

// NewOperationStrategy returns the strategy of the operations.
func NewOperationStrategy(status StatusStrategy) OperationStrategy {
	return OperationStrategy{StatusStrategy: status}
}
