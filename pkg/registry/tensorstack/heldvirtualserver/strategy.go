// Package heldvirtualserver serves VirtualServers that are held because their namespace is gone. They can be looked at,
// deleted and given back; nobody creates or changes one.
package heldvirtualserver

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metatable "k8s.io/apimachinery/pkg/api/meta/table"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/utils/clock"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// strategy is what the library wants to know of each resource.
type strategy struct {
	runtime.ObjectTyper
	names.NameGenerator
}

var (
	_ rest.RESTUpdateStrategy = strategy{}
	_ rest.RESTDeleteStrategy = strategy{}
)

// NamespaceScoped is false: a namespace that is gone has no administrators, and those of the next one have no right to it.
func (strategy) NamespaceScoped() bool { return false }

// AllowCreateOnUpdate, AllowUnconditionalUpdate and the others are never called: the resource has no verb for it.
func (strategy) AllowCreateOnUpdate(context.Context) bool { return false }

func (strategy) AllowUnconditionalUpdate(context.Context) bool { return false }

func (strategy) Canonicalize(runtime.Object) {}

func (strategy) PrepareForUpdate(context.Context, runtime.Object, runtime.Object) {}

func (strategy) ValidateUpdate(context.Context, runtime.Object, runtime.Object) field.ErrorList {
	return nil
}

func (strategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

// tableConvertor prints held VirtualServers as "kubectl get" shows them.
type tableConvertor struct {
	clock clock.PassiveClock
}

func columns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		{Name: "Name", Type: "string", Format: "name", Description: "UID of the VirtualServer."},
		{Name: "Namespace-Was", Type: "string", Description: "Name of the namespace that it was in."},
		{Name: "VirtualServer", Type: "string", Description: "Name of the VirtualServer."},
		{Name: "Reason", Type: "string", Description: "Why it is held."},
		{Name: "Age", Type: "string", Description: "How long it has been held."},
		{Name: "Expires-In", Type: "string", Description: "When it is deleted for good."},
	}
}

// ConvertToTable implements rest.TableConvertor.
func (c tableConvertor) ConvertToTable(_ context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	table := &metav1.Table{}
	if opts, ok := options.(*metav1.TableOptions); !ok || !opts.NoHeaders {
		table.ColumnDefinitions = columns()
	}
	if list, err := meta.ListAccessor(obj); err == nil {
		table.ResourceVersion, table.Continue = list.GetResourceVersion(), list.GetContinue()
		table.RemainingItemCount = list.GetRemainingItemCount()
	}
	var err error
	table.Rows, err = metatable.MetaToTableRow(obj, func(obj runtime.Object, _ metav1.Object, name, age string) ([]any, error) {
		held, ok := obj.(*tensorstack.HeldVirtualServer)
		if !ok {
			return nil, fmt.Errorf("cannot print a %T as a HeldVirtualServer", obj)
		}
		expires := ""
		if held.ExpiresAt != nil {
			expires = duration.HumanDuration(held.ExpiresAt.Sub(c.clock.Now()))
		}
		return []any{name, held.VirtualServer.Namespace, held.VirtualServer.Name, string(held.Reason), age, expires}, nil
	})
	return table, err
}
