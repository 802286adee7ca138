package disruption

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

const storageGate = "EnableVirtioFsStorageVolumes"

// setGates writes the feature gates of the cluster's KubeVirt.
func setGates(ctx context.Context, e *framework.Environment, gates []string) error {
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"configuration": map[string]any{
		"developerConfiguration": map[string]any{"featureGates": gates}}}})
	if err != nil {
		return err
	}
	_, err = kubeVirts(e).Patch(ctx, "kubevirt", types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

func kubeVirts(e *framework.Environment) dynamic.ResourceInterface {
	return e.Dynamic.Resource(schema.GroupVersionResource{Group: "kubevirt.io", Version: "v1", Resource: "kubevirts"}).Namespace("kubevirt")
}

// A gate that is off is told when the machine is written, and again by the machine itself, which waits for it.
func TestPreflightNamesAMissingFeatureGate(t *testing.T) {
	e := framework.New(t)
	e.MustKubectl("apply", "-f", "artifacts/examples/prerequisites.yaml")
	kubeVirt, err := kubeVirts(e).Get(e.Context, "kubevirt", metav1.GetOptions{})
	require.NoError(t, err)
	before, _, err := unstructured.NestedStringSlice(kubeVirt.Object, "spec", "configuration", "developerConfiguration", "featureGates")
	require.NoError(t, err)
	require.Contains(t, before, storageGate)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		assert.NoError(t, setGates(ctx, e, before))
	})
	require.NoError(t, setGates(e.Context, e, []string{"HotplugVolumes"}))
	// The server remembers the gates for a while. A new one has to look.
	crash(e)

	share := func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.Filesystems = []v1beta1.Filesystem{{Name: "share",
			VolumeSource: v1beta1.VolumeSource{PersistentVolumeClaim: &v1beta1.PersistentVolumeClaimSource{ClaimName: "pvc-as-fs"}}}}
	}
	vs := framework.Minimal("machine", share)
	vs.TypeMeta = metav1.TypeMeta{APIVersion: v1beta1.SchemeGroupVersion.String(), Kind: "VirtualServer"}
	body, err := json.Marshal(vs)
	require.NoError(t, err)
	// The server does not wait for long for what KubeVirt can, and forgets after half a minute that it could not be read.
	e.Within(3*time.Minute, "the gate is named", func() error {
		result := e.KubectlInput(string(body), "apply", "--dry-run=server", "-f", "-")
		require.NoError(t, result.Err, "a warning is no refusal: %s", result.Stderr)
		for _, want := range []string{
			"Warning: spec.storage.filesystems[0]: KubeVirt refuses a PersistentVolumeClaim as a filesystem", storageGate,
		} {
			if !strings.Contains(result.Stderr, want) {
				return fmt.Errorf("no %q in %s", want, result.Stderr)
			}
		}
		return nil
	})

	e.Create(vs)
	e.Wait("machine", "says which gate it waits for", func(vs *v1beta1.VirtualServer) string {
		for _, condition := range vs.Status.Conditions {
			if condition.Type == v1beta1.ConditionReconciled && condition.Reason == "Refused" && strings.Contains(condition.Message, storageGate) {
				return ""
			}
		}
		return "no word of the gate"
	})
	require.NoError(t, setGates(e.Context, e, before))
	e.WaitFor(4*time.Minute, "machine", "runs once the gate is on", func(vs *v1beta1.VirtualServer) string {
		if vs.Status.PrintableStatus != v1beta1.StatusRunning {
			return "not running"
		}
		return ""
	})
}
