package kubevirt

import (
	"encoding/json"
	"fmt"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MergePatch returns the JSON merge patch from the live object to the modified one. It also carries the live object's
// UID and resourceVersion, so that the server refuses it with a Conflict if somebody else was faster.
//
// The controller patches and never updates: an update would drop the fields of a newer KubeVirt that the types compiled
// in here do not know.
func MergePatch(live, modified metav1.Object) ([]byte, error) {
	before, err := json.Marshal(live)
	if err != nil {
		return nil, fmt.Errorf("encode the live object: %w", err)
	}
	after, err := json.Marshal(modified)
	if err != nil {
		return nil, fmt.Errorf("encode the modified object: %w", err)
	}
	difference, err := jsonpatch.CreateMergePatch(before, after)
	if err != nil {
		return nil, fmt.Errorf("compare the live and the modified object: %w", err)
	}
	patch := map[string]any{}
	if err := json.Unmarshal(difference, &patch); err != nil {
		return nil, fmt.Errorf("decode the difference: %w", err)
	}
	metadata, ok := patch["metadata"].(map[string]any)
	if !ok {
		metadata = map[string]any{}
	}
	metadata["uid"] = live.GetUID()
	metadata["resourceVersion"] = live.GetResourceVersion()
	patch["metadata"] = metadata
	return json.Marshal(patch)
}
