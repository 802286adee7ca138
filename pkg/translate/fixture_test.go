package translate

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

const (
	testUID = "5e9dca6f-0a8f-4a3a-9a3c-0d7c1f0f6d11"
	testVM  = "managed-virtualserver-9dda9"
)

// guideExample returns the first example of the guide as the controller sees it: with defaults, a UID and a VM name.
func guideExample(t *testing.T, edits ...func(*v1beta1.VirtualServer)) *v1beta1.VirtualServer {
	t.Helper()
	text, err := os.ReadFile("../../test/testdata/guide/01-first-example.yaml")
	require.NoError(t, err)
	vs := &v1beta1.VirtualServer{}
	require.NoError(t, yaml.UnmarshalStrict(text, vs))
	v1beta1.SetObjectDefaults_VirtualServer(vs)
	vs.Namespace = "default"
	vs.UID = testUID
	vs.Status.VM.Name = testVM
	vs.Status.RunStrategy = v1beta1.RunStrategyAlways
	for _, edit := range edits {
		edit(vs)
	}
	return vs
}

// machine translates and expects success.
func machine(t *testing.T, vs *v1beta1.VirtualServer) *kubevirtv1.VirtualMachine {
	t.Helper()
	vm, err := VirtualMachine(vs, Options{RunStrategy: v1beta1.RunStrategyAlways})
	require.NoError(t, err)
	return vm
}

// admitted returns the VirtualMachine as it stands in the cluster after KubeVirt's webhook and virt-controller wrote their
// defaults (pkg/virt-api/webhooks/mutating-webhook/mutators/vm-mutator.go and pkg/defaults of KubeVirt v1.7.0).
func admitted(vm *kubevirtv1.VirtualMachine) *kubevirtv1.VirtualMachine {
	live := vm.DeepCopy()
	live.UID = "11111111-2222-3333-4444-555555555555"
	live.ResourceVersion = "42"
	live.Finalizers = []string{"kubevirt.io/virtualMachineControllerFinalize"}
	live.Annotations["kubevirt.io/latest-observed-api-version"] = "v1"
	live.Annotations["kubevirt.io/storage-observed-api-version"] = "v1"
	spec := &live.Spec.Template.Spec
	spec.Architecture = "amd64"
	spec.Domain.Machine = &kubevirtv1.Machine{Type: "q35"}
	if spec.Domain.Firmware == nil {
		spec.Domain.Firmware = &kubevirtv1.Firmware{UUID: "66666666-2222-3333-4444-555555555555"}
	}
	spec.Domain.Firmware.Serial = "77777777-2222-3333-4444-555555555555"
	live.Status.PrintableStatus = kubevirtv1.VirtualMachineStatusRunning
	return live
}

// running returns the instance that KubeVirt makes of the VirtualMachine, with the defaults of its webhook.
func running(vm *kubevirtv1.VirtualMachine) *kubevirtv1.VirtualMachineInstance {
	template := vm.Spec.Template.DeepCopy()
	vmi := &kubevirtv1.VirtualMachineInstance{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	vmi.ObjectMeta.Name, vmi.ObjectMeta.Namespace = vm.Name, vm.Namespace
	vmi.ObjectMeta.UID = types.UID("aaaaaaaa-2222-3333-4444-555555555555")
	if vmi.Spec.Domain.CPU.Model == "" {
		vmi.Spec.Domain.CPU.Model = kubevirtv1.CPUModeHostModel
	}
	vmi.Spec.TerminationGracePeriodSeconds = ptr.To[int64](30)
	vmi.Status.Phase = kubevirtv1.Running
	return vmi
}

// hotplugged adds what "kubectl virt addvolume" and other tools leave on a VirtualMachine.
func hotplugged(vm *kubevirtv1.VirtualMachine) *kubevirtv1.VirtualMachine {
	live := vm.DeepCopy()
	live.Labels["team"] = "blue"
	live.Annotations["description"] = "made by somebody else"
	template := live.Spec.Template
	template.ObjectMeta.Labels["backup"] = "daily"
	spec := &template.Spec
	spec.Volumes = append(spec.Volumes, kubevirtv1.Volume{Name: "hotplug", VolumeSource: kubevirtv1.VolumeSource{
		PersistentVolumeClaim: &kubevirtv1.PersistentVolumeClaimVolumeSource{
			PersistentVolumeClaimVolumeSource: corev1.PersistentVolumeClaimVolumeSource{ClaimName: "extra"},
			Hotpluggable:                      true,
		}}})
	spec.Domain.Devices.Disks = append(spec.Domain.Devices.Disks, kubevirtv1.Disk{
		Name:       "hotplug",
		DiskDevice: kubevirtv1.DiskDevice{Disk: &kubevirtv1.DiskTarget{Bus: kubevirtv1.DiskBusSCSI}},
	})
	spec.Domain.Devices.Disks[0].Cache = kubevirtv1.CacheNone
	spec.Domain.Devices.GPUs = append(spec.Domain.Devices.GPUs, kubevirtv1.GPU{Name: "other", DeviceName: "example.com/gpu"})
	spec.Domain.Devices.Interfaces[0].MacAddress = "02:11:22:33:44:55"
	spec.Domain.CPU.Features = []kubevirtv1.CPUFeature{{Name: "vmx"}}
	spec.NodeSelector = map[string]string{"zone": "a"}
	return live
}

func withAdditionalDisks(disks ...v1beta1.AdditionalDisk) func(*v1beta1.VirtualServer) {
	return func(vs *v1beta1.VirtualServer) { vs.Spec.Storage.AdditionalDisks = disks }
}

func claimDisk(name, claim string) v1beta1.AdditionalDisk {
	return v1beta1.AdditionalDisk{Name: name, VolumeSource: v1beta1.VolumeSource{
		PersistentVolumeClaim: &v1beta1.PersistentVolumeClaimSource{ClaimName: claim}}}
}

func deletedAt(vmi *kubevirtv1.VirtualMachineInstance) *kubevirtv1.VirtualMachineInstance {
	vmi.DeletionTimestamp = ptr.To(metav1.Now())
	return vmi
}
