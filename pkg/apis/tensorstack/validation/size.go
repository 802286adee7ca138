package validation

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

const (
	// MaxSpecBytes is how large a spec may be in JSON.
	MaxSpecBytes = 1200 << 10
	// MaxObjectBytes is how large spec, labels and annotations may be together in JSON. etcd refuses requests above 1.5 MiB
	// (DefaultMaxRequestBytes of its embed package), and the API server hands that on as a fault of its own, which clients
	// repeat for ever. The rest is for the status and for the record of who set what.
	MaxObjectBytes = 1400 << 10
)

func validateSpecSize(spec *tensorstack.VirtualServerSpec, path *field.Path) *field.Error {
	// The internal types marshal with longer names than the external ones, so this errs on the safe side.
	encoded, err := json.Marshal(spec)
	if err != nil {
		return field.InternalError(path, fmt.Errorf("measure its size: %w", err))
	}
	if len(encoded) > MaxSpecBytes {
		return field.Forbidden(path, fmt.Sprintf("is %d bytes long in JSON and may have at most %d: move cloud-init data "+
			"into a Secret and name it in spec.cloudInitSecretRef", len(encoded), MaxSpecBytes))
	}
	return nil
}

// validateObjectSize refuses an object that would not fit into the store. old is nil for a new one; an object that is too
// large already may change as long as it does not grow. A spec that is too large by itself is told by validateSpecSize.
func validateObjectSize(vs, old *tensorstack.VirtualServer) field.ErrorList {
	path := field.NewPath("metadata", "annotations")
	spec, size, err := sizeOf(vs)
	if err != nil {
		return field.ErrorList{field.InternalError(path, err)}
	}
	if size <= MaxObjectBytes || spec > MaxSpecBytes {
		return nil
	}
	if old != nil {
		if _, before, err := sizeOf(old); err == nil && size <= before {
			return nil
		}
	}
	return field.ErrorList{field.Forbidden(path, fmt.Sprintf("are %d bytes long in JSON together with the labels and the spec, "+
		"and may have at most %d: \"kubectl apply --server-side\" needs no copy of the spec in an annotation, and cloud-init data "+
		"may be in a Secret that spec.cloudInitSecretRef names", size, MaxObjectBytes))}
}

// sizeOf returns how long the spec is in JSON, and the spec with labels and annotations.
func sizeOf(vs *tensorstack.VirtualServer) (spec, total int, err error) {
	for i, part := range []any{&vs.Spec, vs.Labels, vs.Annotations} {
		encoded, err := json.Marshal(part)
		if err != nil {
			return 0, 0, fmt.Errorf("measure the object: %w", err)
		}
		total += len(encoded)
		if i == 0 {
			spec = total
		}
	}
	return spec, total, nil
}
