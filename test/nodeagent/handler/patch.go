package handler

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

// operation is one step of a JSON patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// machinePatch is a JSON patch of the fields of the status that differ and of the
// label that names the machine's node, bound to
// the version that it was made from: the API server answers Conflict if that has
// changed. Fields that this build does not know are left alone. A merge patch would not do: it drops the null times of
// statusFields.
func machinePatch(old, updated *kubevirtv1.VirtualMachineInstance) ([]byte, error) {
	before, err := statusFields(&old.Status)
	if err != nil {
		return nil, err
	}
	after, err := statusFields(&updated.Status)
	if err != nil {
		return nil, err
	}
	patch := []operation{{Op: "replace", Path: "/metadata/resourceVersion", Value: old.ResourceVersion}}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, kept := after[name]; !kept {
			patch = append(patch, operation{Op: "remove", Path: "/status/" + name})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if !reflect.DeepEqual(before[name], after[name]) {
			patch = append(patch, operation{Op: "add", Path: "/status/" + name, Value: after[name]})
		}
	}
	if node := updated.Labels[kubevirtv1.NodeNameLabel]; node != old.Labels[kubevirtv1.NodeNameLabel] {
		patch = append(patch, operation{Op: "add", Path: "/metadata/labels/" + escape(kubevirtv1.NodeNameLabel), Value: node})
	}
	return json.Marshal(patch)
}

// escape makes a key a part of a JSON pointer (RFC 6901).
func escape(key string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(key) }

// statusFields encodes a status as virt-controller does. Its own patches begin
// with a test that the conditions equal its encoding of them, in which unset
// times are null; if they were left out, every patch of virt-controller would
// be refused.
func statusFields(status *kubevirtv1.VirtualMachineInstanceStatus) (map[string]any, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(status)
	if err != nil {
		return nil, fmt.Errorf("encoding a machine's status: %w", err)
	}
	conditions, _ := fields["conditions"].([]any)
	for _, entry := range conditions {
		condition, ok := entry.(map[string]any)
		if !ok {
			continue
		}
		for _, name := range []string{"lastProbeTime", "lastTransitionTime"} {
			if _, set := condition[name]; !set {
				condition[name] = nil
			}
		}
	}
	return fields, nil
}
