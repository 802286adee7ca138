package translate

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func TestGuideExample(t *testing.T) {
	vm := machine(t, guideExample(t))
	assert.Equal(t, testVM, vm.Name)
	assert.Equal(t, "default", vm.Namespace)
	assert.Equal(t, kubevirtv1.RunStrategyAlways, *vm.Spec.RunStrategy)
	assert.Equal(t, map[string]string{
		"tensorstack.dev/virtualserver":     "vs-example",
		"tensorstack.dev/virtualserver-uid": testUID,
		"app.kubernetes.io/managed-by":      "virtualserver",
	}, vm.Labels)
	assert.Equal(t, map[string]string{
		"tensorstack.dev/virtualserver-name":   "vs-example",
		"tensorstack.dev/applied-run-strategy": "Always",
	}, vm.Annotations)
	assert.Empty(t, vm.OwnerReferences, "the garbage collector must never delete a machine")

	template := vm.Spec.Template
	assert.Equal(t, testUID, template.ObjectMeta.Labels[LabelUID])
	assert.Equal(t, testVM, template.ObjectMeta.Labels[LabelMachine])
	spec := template.Spec
	assert.Equal(t, &kubevirtv1.CPU{Cores: 1, Sockets: 1, MaxSockets: 1, Threads: 1}, spec.Domain.CPU)
	assert.True(t, resource.MustParse("8Gi").Equal(*spec.Domain.Memory.Guest))
	assert.Nil(t, spec.TerminationGracePeriodSeconds, "KubeVirt's default is left alone")
	assert.Equal(t, kubevirtv1.EvictionStrategyNone, *spec.EvictionStrategy)
	assert.Equal(t, corev1.DNSClusterFirst, spec.DNSPolicy)
	assert.Nil(t, spec.DNSConfig, "an empty dnsConfig means none")

	require.Len(t, spec.Domain.Devices.Disks, 3)
	for i, name := range []string{"root", "disk-name", "cloudinit"} {
		disk := spec.Domain.Devices.Disks[i]
		assert.Equal(t, name, disk.Name)
		assert.Equal(t, kubevirtv1.DiskBusVirtio, disk.Disk.Bus)
	}
	assert.Equal(t, uint(1), *spec.Domain.Devices.Disks[0].BootOrder)
	assert.Equal(t, []kubevirtv1.Filesystem{{Name: "my-filesys", Virtiofs: &kubevirtv1.FilesystemVirtiofs{}}},
		spec.Domain.Devices.Filesystems)
	require.Len(t, spec.Volumes, 4)
	assert.Equal(t, testVM, spec.Volumes[0].DataVolume.Name, "KubeVirt waits for the import of a dataVolume")
	assert.Equal(t, "pvc-as-disk", spec.Volumes[1].PersistentVolumeClaim.ClaimName)
	assert.Equal(t, "pvc-as-fs", spec.Volumes[2].PersistentVolumeClaim.ClaimName)
	assert.Equal(t, testVM, spec.Volumes[3].CloudInitNoCloud.UserDataSecretRef.Name)

	nic := spec.Domain.Devices.Interfaces[0]
	assert.NotNil(t, nic.Masquerade)
	assert.Empty(t, nic.Ports, "every port is forwarded to the guest")
	assert.NotNil(t, spec.Networks[0].Pod)
	assert.NotNil(t, spec.Domain.Devices.ClientPassthrough, "usbredir needs it")
}

func TestCoresAsAQuantity(t *testing.T) {
	for _, written := range []intstr.IntOrString{intstr.FromInt32(2), intstr.FromString("2"), intstr.FromString("2.0"), intstr.FromString("2000m")} {
		vm := machine(t, guideExample(t, func(vs *v1beta1.VirtualServer) { vs.Spec.Resources.CPU.Cores = written }))
		assert.EqualValues(t, 2, vm.Spec.Template.Spec.Domain.CPU.Cores, written.String())
	}
}

func TestCPUModelAndGPUs(t *testing.T) {
	vm := machine(t, guideExample(t, func(vs *v1beta1.VirtualServer) {
		vs.Spec.Resources.CPU.Model = "Conroe"
		vs.Spec.Resources.GPU = &v1beta1.GPU{Type: "nvidia.com/GA100_A100_PCIE_40GB", Count: 2}
	}))
	domain := vm.Spec.Template.Spec.Domain
	assert.Equal(t, "Conroe", domain.CPU.Model)
	assert.Equal(t, []kubevirtv1.GPU{
		{Name: "gpu-0", DeviceName: "nvidia.com/GA100_A100_PCIE_40GB"},
		{Name: "gpu-1", DeviceName: "nvidia.com/GA100_A100_PCIE_40GB"},
	}, domain.Devices.GPUs)
}

func TestOptions(t *testing.T) {
	for name, test := range map[string]struct {
		options  Options
		strategy *kubevirtv1.VirtualMachineRunStrategy
	}{
		"strategy":    {Options{RunStrategy: "Manual"}, ptr.To(kubevirtv1.RunStrategyManual)},
		"no strategy": {Options{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			vm, err := VirtualMachine(guideExample(t), test.options)
			require.NoError(t, err)
			assert.Equal(t, test.strategy, vm.Spec.RunStrategy)
			assert.Equal(t, string(ptr.Deref(test.strategy, "")), vm.Annotations[AnnotationAppliedRunStrategy])
		})
	}
}

func TestFirmwareUUIDFollowsTheVirtualServer(t *testing.T) {
	first := machine(t, guideExample(t)).Spec.Template.Spec.Domain.Firmware.UUID
	again := machine(t, guideExample(t, func(vs *v1beta1.VirtualServer) { vs.Spec.CloudInit = "#cloud-config\n" }))
	other := machine(t, guideExample(t, func(vs *v1beta1.VirtualServer) { vs.UID = "other" }))
	assert.Len(t, string(first), 36)
	assert.Equal(t, first, again.Spec.Template.Spec.Domain.Firmware.UUID)
	assert.NotEqual(t, first, other.Spec.Template.Spec.Domain.Firmware.UUID)
}

func TestVirtualMachineNamesWhatIsWrong(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*v1beta1.VirtualServer)
		want string
	}{
		"no name yet": {func(vs *v1beta1.VirtualServer) { vs.Status.VM.Name = "" }, "status.vm.name"},
		"cores": {func(vs *v1beta1.VirtualServer) { vs.Spec.Resources.CPU.Cores = intstr.FromString("x") },
			`spec.resources.cpu.cores: Invalid value: "x": must be a whole number`},
		"disk without source": {withAdditionalDisks(v1beta1.AdditionalDisk{Name: "empty"}),
			"spec.storage.additionalDisks[0]: Required value: one volume source must be set"},
		"two of a name":        {withAdditionalDisks(claimDisk("a", "x"), claimDisk("a", "y")), "spec.storage.additionalDisks[1].name: Duplicate"},
		"disk like filesystem": {withAdditionalDisks(claimDisk("my-filesys", "x")), "spec.storage.filesystems[0].name: Duplicate"},
		"reserved name":        {withAdditionalDisks(claimDisk("root", "x")), "the name is reserved"},
		"ephemeral filesystem without claim": {func(vs *v1beta1.VirtualServer) {
			vs.Spec.Storage.Filesystems[0].VolumeSource = v1beta1.VolumeSource{Ephemeral: &v1beta1.EphemeralSource{}}
		}, "one volume source must be set"},
		"ephemeral disk without claim": {withAdditionalDisks(v1beta1.AdditionalDisk{Name: "e",
			VolumeSource: v1beta1.VolumeSource{Ephemeral: &v1beta1.EphemeralSource{}}}), "one volume source must be set"},
	} {
		t.Run(name, func(t *testing.T) {
			vm, err := VirtualMachine(guideExample(t, test.edit), Options{})
			require.ErrorContains(t, err, test.want)
			assert.Nil(t, vm)
		})
	}
}

// TestCloudInitStaysOutOfTheMachine looks for the user's text in everything but the Secret.
func TestCloudInitStaysOutOfTheMachine(t *testing.T) {
	vs := guideExample(t, func(vs *v1beta1.VirtualServer) { vs.Spec.CloudInit = "#cloud-config\npassword: hunter2\n" })
	vm := machine(t, vs)
	text, err := json.Marshal(vm)
	require.NoError(t, err)
	assert.NotContains(t, string(text), "hunter2")
}
