package handler

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

// statusPatch is a merge patch of the status alone, bound to the version that
// it was made from. Fields that this build does not know are left alone.
func statusPatch(old, updated *kubevirtv1.VirtualMachineInstance) ([]byte, error) {
	before, err := statusDocument(&old.Status, nil)
	if err != nil {
		return nil, err
	}
	after, err := statusDocument(&updated.Status, map[string]any{"resourceVersion": old.ResourceVersion})
	if err != nil {
		return nil, err
	}
	patch, err := jsonmergepatch.CreateThreeWayJSONMergePatch(before, after, before)
	if err != nil {
		return nil, fmt.Errorf("comparing two states of machine %s: %w", machineKey(old), err)
	}
	return patch, nil
}

// statusDocument encodes a status as virt-controller does. Its own patches
// begin with a test that the conditions equal its encoding of them, in which
// unset times are null; newer API types leave such times out, and then every
// patch of virt-controller would be refused.
func statusDocument(status *kubevirtv1.VirtualMachineInstanceStatus, metadata map[string]any) ([]byte, error) {
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
	document := map[string]any{"status": fields}
	if metadata != nil {
		document["metadata"] = metadata
	}
	return json.Marshal(document)
}
