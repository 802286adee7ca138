package kubevirt

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

func TestMergePatchHoldsOnlyTheDifference(t *testing.T) {
	live := &kubevirtv1.VirtualMachine{
		ObjectMeta: metav1.ObjectMeta{
			Name: "m", UID: "u", ResourceVersion: "7",
			Annotations: map[string]string{"theirs": "1", "ours": "1"},
		},
		Spec: kubevirtv1.VirtualMachineSpec{RunStrategy: ptr.To(kubevirtv1.RunStrategyAlways)},
	}
	modified := live.DeepCopy()
	modified.Annotations["ours"] = "2"
	modified.Spec.RunStrategy = ptr.To(kubevirtv1.RunStrategyHalted)

	patch, err := MergePatch(live, modified)
	require.NoError(t, err)
	var content map[string]any
	require.NoError(t, json.Unmarshal(patch, &content))
	assert.Equal(t, map[string]any{
		"metadata": map[string]any{
			"annotations": map[string]any{"ours": "2"}, "resourceVersion": "7", "uid": "u",
		},
		"spec": map[string]any{"runStrategy": "Halted"},
	}, content)
}

func TestStreamConfigIsACopyThatCanUpgrade(t *testing.T) {
	client, err := NewClient(&rest.Config{Host: "https://10.0.0.1:6443", UserAgent: "test"})
	require.NoError(t, err)
	stream := client.StreamConfig()
	assert.Equal(t, []string{"http/1.1"}, stream.NextProtos)
	assert.Equal(t, "https://10.0.0.1:6443", stream.Host)
	stream.Host = "changed"
	assert.Equal(t, "https://10.0.0.1:6443", client.StreamConfig().Host)
}
