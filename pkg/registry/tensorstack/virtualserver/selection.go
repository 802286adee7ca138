package virtualserver

import (
	"fmt"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/client-go/tools/cache"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// The fields that a field selector may use, beside name and namespace. Package v1beta1 lists them too, for the error that
// an unknown field gets.
const (
	fieldSpecRunStrategy   = "spec.runStrategy"
	fieldStatusRunStrategy = "status.runStrategy"
	fieldPrintableStatus   = "status.printableStatus"
	fieldVMName            = "status.vm.name"
)

// GetAttrs returns the labels and the selectable fields of a VirtualServer.
func GetAttrs(obj runtime.Object) (labels.Set, fields.Set, error) {
	vs, ok := obj.(*tensorstack.VirtualServer)
	if !ok {
		return nil, nil, fmt.Errorf("not a VirtualServer: %T", obj)
	}
	return vs.Labels, selectableFields(vs), nil
}

func selectableFields(vs *tensorstack.VirtualServer) fields.Set {
	set := make(fields.Set, 7)
	set[fieldSpecRunStrategy] = string(vs.Spec.RunStrategy)
	set[fieldStatusRunStrategy] = string(vs.Status.RunStrategy)
	set[fieldPrintableStatus] = string(vs.Status.PrintableStatus)
	set[fieldVMName] = vs.Status.VM.Name
	set[fieldClaims] = claimsOf(vs)
	return generic.AddObjectMetaFieldsSet(set, &vs.ObjectMeta, true)
}

// Match returns the predicate of a label selector and a field selector. Lookups by the name of the virtual machine use
// an index of the watch cache.
func Match(label labels.Selector, field fields.Selector) storage.SelectionPredicate {
	return storage.SelectionPredicate{
		Label: label, Field: field, GetAttrs: GetAttrs, IndexFields: []string{fieldVMName},
	}
}

// Indexers are the indexes of the watch cache.
func Indexers() *cache.Indexers {
	return &cache.Indexers{storage.FieldIndex(fieldVMName): func(obj any) ([]string, error) {
		vs, ok := obj.(*tensorstack.VirtualServer)
		if !ok {
			return nil, fmt.Errorf("not a VirtualServer: %T", obj)
		}
		return []string{vs.Status.VM.Name}, nil
	}}
}

// Triggers let the watch cache wake only the watchers of one virtual machine when that changes.
func Triggers() map[string]storage.IndexerFunc {
	return map[string]storage.IndexerFunc{fieldVMName: func(obj runtime.Object) string {
		if vs, ok := obj.(*tensorstack.VirtualServer); ok {
			return vs.Status.VM.Name
		}
		return ""
	}}
}
