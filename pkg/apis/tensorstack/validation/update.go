package validation

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// ValidateVirtualServerUpdate checks a change of a VirtualServer's metadata and spec. Everything may change but:
//   - root.pvc.volumeMode, accessModes and storageClassName never: a claim cannot change them;
//   - root.pvc.size may only grow;
//   - root.source may change only as long as the disk was never imported;
//   - root never changes between a disk that was made for the machine and one that was not.
//
// A change of runStrategy acts at once, one of the ports changes the Service at once, one of root.pvc.size grows the
// volume; the rest acts when the machine is started next.
func ValidateVirtualServerUpdate(updated, old *tensorstack.VirtualServer) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&updated.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	if equality.Semantic.DeepEqual(updated.Spec, old.Spec) {
		// Finalizers and labels must change even where a rule has become tighter since the object was made.
		return errs
	}
	errs = append(errs, validateObjectSize(updated, old)...)
	spec := field.NewPath("spec")
	errs = append(errs, newErrors(validateSpec(&updated.Spec, spec), validateSpec(&old.Spec, spec))...)
	return append(errs, validateRootUpdate(&updated.Spec.Storage.Root, old, spec.Child("storage", "root"))...)
}

// newErrors leaves out what was wrong before in the same place, with the same value, because a rule has become tighter since:
// it must not keep anybody from changing something else.
func newErrors(updated, old field.ErrorList) field.ErrorList {
	known := sets.New[string]()
	for _, err := range old {
		known.Insert(err.Error())
	}
	return slices.DeleteFunc(updated, func(err *field.Error) bool { return known.Has(err.Error()) })
}

func validateRootUpdate(updated *tensorstack.RootDisk, old *tensorstack.VirtualServer, path *field.Path) field.ErrorList {
	const advice = "cannot change after creation: make another VirtualServer, or restore the former value"
	var errs field.ErrorList
	before, claim := &old.Spec.Storage.Root, path.Child("pvc")
	if errs := validateRootKind(updated, before, path); len(errs) > 0 {
		return errs
	}
	if updated.PVC.VolumeMode != before.PVC.VolumeMode {
		errs = append(errs, field.Forbidden(claim.Child("volumeMode"), advice))
	}
	if !equality.Semantic.DeepEqual(updated.PVC.AccessModes, before.PVC.AccessModes) {
		errs = append(errs, field.Forbidden(claim.Child("accessModes"), advice))
	}
	if !equality.Semantic.DeepEqual(updated.PVC.StorageClassName, before.PVC.StorageClassName) {
		errs = append(errs, field.Forbidden(claim.Child("storageClassName"), advice))
	}
	if updated.PVC.Size.Cmp(before.PVC.Size) < 0 {
		errs = append(errs, field.Forbidden(claim.Child("size"), fmt.Sprintf("cannot shrink from %s to %s: use %s or more",
			before.PVC.Size.String(), updated.PVC.Size.String(), before.PVC.Size.String())))
	}
	if !equality.Semantic.DeepEqual(updated.Source, before.Source) &&
		meta.IsStatusConditionTrue(old.Status.Conditions, tensorstack.ConditionDataImported) {
		errs = append(errs, field.Forbidden(path.Child("source"), "cannot change, because the disk has been imported: make "+
			"another VirtualServer for another image, or restore the former value"))
	}
	return errs
}
