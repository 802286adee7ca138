package translate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/resource"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/scratch"
)

func withEphemeral(claim string, readOnly bool) func(*v1beta1.VirtualServer) {
	return func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.Filesystems = []v1beta1.Filesystem{{Name: "data", VolumeSource: v1beta1.VolumeSource{
			Ephemeral: &v1beta1.EphemeralSource{PersistentVolumeClaim: &v1beta1.PersistentVolumeClaimSource{ClaimName: claim, ReadOnly: readOnly}}}}}
	}
}

// instanceOfMachine is what KubeVirt makes from the template.
func instanceOfMachine(vm *kubevirtv1.VirtualMachine) *kubevirtv1.VirtualMachineInstance {
	vmi := &kubevirtv1.VirtualMachineInstance{ObjectMeta: *vm.Spec.Template.ObjectMeta.DeepCopy(), Spec: *vm.Spec.Template.Spec.DeepCopy()}
	vmi.Name, vmi.UID = vm.Name, "instance"
	return vmi
}

func TestEphemeralFilesystemIsACopyForEachRun(t *testing.T) {
	vs := guideExample(t, withEphemeral("shared", false))
	vm, err := VirtualMachine(vs, Options{Copies: map[string]string{"data": "copy-1"}})
	require.NoError(t, err)
	assert.Equal(t, "copy-1", ClaimOf(&vm.Spec.Template.Spec, "data"))
	assert.Empty(t, ClaimOf(&vm.Spec.Template.Spec, "other"))
	vmi := instanceOfMachine(vm)
	assert.Equal(t, map[string]string{"data": "shared"}, CopiedClaims(vmi))

	next, err := VirtualMachine(vs, Options{Copies: map[string]string{"data": "copy-2"}})
	require.NoError(t, err)
	merged, changed := MergeVirtualMachine(vm, next)
	assert.True(t, changed)
	assert.Equal(t, "copy-2", ClaimOf(&merged.Spec.Template.Spec, "data"))
	assert.Empty(t, RestartRequired(merged, vmi), "the name of a copy is no change of the user's")

	first, err := VirtualMachine(vs, Options{})
	require.NoError(t, err)
	assert.True(t, scratch.Is(ClaimOf(&first.Spec.Template.Spec, "data"), vs.Status.VM.Name, "data"))
}

func TestEditsOfAnEphemeralFilesystemWaitForARestart(t *testing.T) {
	run := guideExample(t, withEphemeral("shared", false))
	vm, err := VirtualMachine(run, Options{Copies: map[string]string{"data": "copy-1"}})
	require.NoError(t, err)
	vmi := instanceOfMachine(vm)
	for name, test := range map[string]struct {
		edit func(*v1beta1.VirtualServer)
		want string
	}{
		"another claim": {withEphemeral("other", false), "spec.storage.filesystems[data]: ephemeral PVC shared -> ephemeral PVC other"},
		"read-only":     {withEphemeral("shared", true), "spec.storage.filesystems[data]: ephemeral PVC shared -> ephemeral PVC shared read-only"},
		"the claim itself": {func(vs *v1beta1.VirtualServer) {
			vs.Spec.Storage.Filesystems = []v1beta1.Filesystem{{Name: "data", VolumeSource: v1beta1.VolumeSource{
				PersistentVolumeClaim: &v1beta1.PersistentVolumeClaimSource{ClaimName: "shared"}}}}
		}, "spec.storage.filesystems[data]: ephemeral PVC shared -> PVC shared"},
		"none": {func(vs *v1beta1.VirtualServer) { vs.Spec.Storage.Filesystems = nil }, "spec.storage.filesystems[data]: ephemeral PVC shared -> none"},
		// KubeVirt plugs nothing into a machine whose template has other volumes than it runs with.
		"more memory": {func(vs *v1beta1.VirtualServer) {
			withEphemeral("shared", false)(vs)
			vs.Spec.Resources.Memory = resource.MustParse("2Gi")
		}, "spec.resources.memory: "},
	} {
		t.Run(name, func(t *testing.T) {
			edited, err := VirtualMachine(guideExample(t, test.edit), Options{Copies: map[string]string{"data": "copy-2"}})
			require.NoError(t, err)
			merged, _ := MergeVirtualMachine(vm, edited)
			changes := RestartRequired(merged, vmi)
			require.Len(t, changes, 1)
			assert.Contains(t, changes[0].String(), test.want)
		})
	}
}
