package translate

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// everything sets every field of the placement and the firmware.
func everything(vs *v1beta1.VirtualServer) {
	vs.Spec.UseVirtioTransitional = ptr.To(true)
	vs.Spec.Firmware = &v1beta1.Firmware{
		UUID: "3d2a7e9c-5a1e-4b5e-9a53-2f0a3ce9b1d4", Serial: "SN-1", Bootloader: &v1beta1.Bootloader{EFI: &v1beta1.EFI{Persistent: ptr.To(true)}},
		KernelBoot: &v1beta1.KernelBoot{KernelArgs: "quiet", Container: &v1beta1.KernelBootContainer{Image: "k", ImagePullSecret: "s", ImagePullPolicy: "Always",
			KernelPath: "/k", InitrdPath: "/i"}},
		ACPI: &v1beta1.ACPI{SlicNameRef: "slic", MsdmNameRef: "msdm"},
	}
	vs.Spec.Placement = v1beta1.Placement{
		NodeSelector: map[string]string{"zone": "a"}, Tolerations: []corev1.Toleration{{Key: "gpu", Operator: "Exists"}}, PriorityClassName: "high",
		Affinity: &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{TopologyKey: "zone"}}}},
		TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: "zone", WhenUnsatisfiable: "DoNotSchedule",
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}}},
	}
	vs.Spec.Scheduler = &v1beta1.Scheduler{T9kScheduler: &v1beta1.T9kScheduler{Queue: "default"}}
}

func TestFirmwareAndPlacementOfAMachine(t *testing.T) {
	vs := guideExample(t, everything)
	template := machine(t, vs).Spec.Template
	spec := template.Spec
	assert.Equal(t, &kubevirtv1.Firmware{
		UUID: "3d2a7e9c-5a1e-4b5e-9a53-2f0a3ce9b1d4", Serial: "SN-1", Bootloader: &kubevirtv1.Bootloader{EFI: &kubevirtv1.EFI{Persistent: ptr.To(true)}},
		KernelBoot: &kubevirtv1.KernelBoot{KernelArgs: "quiet", Container: &kubevirtv1.KernelBootContainer{Image: "k", ImagePullSecret: "s", ImagePullPolicy: "Always",
			KernelPath: "/k", InitrdPath: "/i"}},
		ACPI: &kubevirtv1.ACPI{SlicNameRef: "slic", MsdmNameRef: "msdm"},
	}, spec.Domain.Firmware)
	assert.True(t, *spec.Domain.Features.SMM.Enabled, "EFI without a word is secure boot")
	assert.True(t, *spec.Domain.Devices.UseVirtioTransitional)
	assert.Equal(t, vs.Spec.NodeSelector, spec.NodeSelector)
	assert.Equal(t, vs.Spec.Tolerations, spec.Tolerations)
	assert.Equal(t, vs.Spec.Affinity, spec.Affinity)
	assert.Equal(t, vs.Spec.TopologySpreadConstraints, spec.TopologySpreadConstraints)
	assert.Equal(t, "high", spec.PriorityClassName)
	assert.Equal(t, "t9k-scheduler", spec.SchedulerName)
	assert.Equal(t, "default", template.ObjectMeta.Labels["scheduler.tensorstack.dev/queue"])

	for name, loader := range map[string]*v1beta1.Bootloader{
		"none": nil, "BIOS": {BIOS: &v1beta1.BIOS{UseSerial: ptr.To(true)}}, "neither": {}, "insecure": {EFI: &v1beta1.EFI{SecureBoot: ptr.To(false)}},
	} {
		vm := machine(t, guideExample(t, func(vs *v1beta1.VirtualServer) { vs.Spec.Firmware = &v1beta1.Firmware{Bootloader: loader} }))
		assert.Nil(t, vm.Spec.Template.Spec.Domain.Features, name)
		assert.NotEmpty(t, vm.Spec.Template.Spec.Domain.Firmware.UUID, name)
	}
	plain := machine(t, guideExample(t)).Spec.Template
	assert.Empty(t, plain.Spec.SchedulerName)
	assert.NotContains(t, plain.ObjectMeta.Labels, LabelQueue)
	other := machine(t, guideExample(t, func(vs *v1beta1.VirtualServer) { vs.Spec.SchedulerName = "other" })).Spec.Template
	assert.Equal(t, "other", other.Spec.SchedulerName)
}

// A machine of an earlier release keeps its hostname, its record and its address, however they were written.
func TestAnUpgradeChangesNothing(t *testing.T) {
	vs := guideExample(t, func(vs *v1beta1.VirtualServer) { vs.Spec.Network.MACAddress = "DE:AD:00:00:BE:AF" })
	live := admitted(machine(t, vs))
	live.Spec.Template.Spec.Hostname = ""
	live.Spec.Template.Spec.Domain.Devices.Interfaces[0].MacAddress = "DE:AD:00:00:BE:AF"
	merged, changed := MergeVirtualMachine(live, machine(t, vs))
	assert.False(t, changed)
	assert.Empty(t, merged.Spec.Template.Spec.Hostname)
	instance := running(live)
	assert.Empty(t, RestartRequired(merged, instance))
	assert.NotContains(t, live.Spec.Template.ObjectMeta.Annotations[AnnotationApplied], "fields")
}

func TestHostnames(t *testing.T) {
	for name, want := range map[string]string{
		"web": "web", "1st": "1st", strings.Repeat("n", 63): strings.Repeat("n", 63), strings.Repeat("n", 64): "", "web.example.com": "",
	} {
		vm := machine(t, guideExample(t, func(vs *v1beta1.VirtualServer) { vs.Name = name }))
		assert.Equal(t, want, vm.Spec.Template.Spec.Hostname, name)
	}
}

// What the user said goes when they say it no more, and what others put there stays.
func TestMergeOfFirmwareAndPlacement(t *testing.T) {
	plain := machine(t, guideExample(t))
	foreign := admitted(plain)
	spec := &foreign.Spec.Template.Spec
	spec.NodeSelector = map[string]string{"foreign": "yes"}
	spec.Tolerations = []corev1.Toleration{{Key: "foreign"}}
	spec.PriorityClassName, spec.SchedulerName = "foreign", "foreign"
	spec.Domain.Features = &kubevirtv1.Features{ACPI: kubevirtv1.FeatureState{Enabled: ptr.To(true)}}
	spec.Domain.Firmware.Bootloader = &kubevirtv1.Bootloader{BIOS: &kubevirtv1.BIOS{}}
	_, changed := MergeVirtualMachine(foreign, plain)
	require.False(t, changed, "nothing of it is ours")

	full := machine(t, guideExample(t, everything))
	taken, changed := MergeVirtualMachine(foreign, full)
	require.True(t, changed)
	assert.Equal(t, map[string]string{"foreign": "yes", "zone": "a"}, taken.Spec.Template.Spec.NodeSelector)
	assert.Equal(t, "high", taken.Spec.Template.Spec.PriorityClassName)
	assert.Equal(t, full.Spec.Template.Spec.Domain.Firmware, taken.Spec.Template.Spec.Domain.Firmware)
	assert.True(t, *taken.Spec.Template.Spec.Domain.Features.ACPI.Enabled)
	_, changed = MergeVirtualMachine(taken, full)
	require.False(t, changed)

	back, changed := MergeVirtualMachine(taken, plain)
	require.True(t, changed)
	spec = &back.Spec.Template.Spec
	assert.Equal(t, map[string]string{"foreign": "yes"}, spec.NodeSelector)
	assert.Empty(t, spec.Tolerations)
	assert.Nil(t, spec.Affinity)
	assert.Empty(t, spec.TopologySpreadConstraints)
	assert.Empty(t, spec.PriorityClassName+spec.SchedulerName)
	assert.NotContains(t, back.Spec.Template.ObjectMeta.Labels, LabelQueue)
	assert.Nil(t, spec.Domain.Features.SMM)
	assert.True(t, *spec.Domain.Features.ACPI.Enabled)
	assert.Equal(t, &kubevirtv1.Firmware{UUID: "3d2a7e9c-5a1e-4b5e-9a53-2f0a3ce9b1d4"}, spec.Domain.Firmware, "a machine keeps its UUID")
	assert.Nil(t, spec.Domain.Devices.UseVirtioTransitional)
	_, changed = MergeVirtualMachine(back, plain)
	require.False(t, changed)
}

func TestFieldsThatWaitForARestart(t *testing.T) {
	without := running(admitted(machine(t, guideExample(t))))
	with := running(admitted(machine(t, guideExample(t, everything))))
	texts := func(vs *v1beta1.VirtualServer, vmi *kubevirtv1.VirtualMachineInstance) string {
		var lines []string
		for _, change := range RestartRequired(machine(t, vs), vmi) {
			lines = append(lines, change.String())
		}
		return strings.Join(lines, "\n")
	}
	assert.Equal(t, strings.TrimSpace(`
spec.useVirtioTransitional: none -> true
spec.firmware.bootloader: none -> EFI with secure boot, persistent
spec.firmware.uuid: none -> 3d2a7e9c-5a1e-4b5e-9a53-2f0a3ce9b1d4
spec.firmware.serial: none -> SN-1
spec.firmware.kernelBoot: changed
spec.firmware.acpi: changed
spec.nodeSelector: changed
spec.tolerations: changed
spec.affinity: changed
spec.topologySpreadConstraints: changed
spec.priorityClassName: none -> high
spec.scheduler.t9kScheduler.queue: none -> default`), texts(guideExample(t, everything), without))
	assert.Empty(t, texts(guideExample(t, everything), with))
	assert.NotContains(t, texts(guideExample(t), with), "spec.firmware.uuid", "a machine keeps its UUID")
	assert.Contains(t, texts(guideExample(t), with), "spec.priorityClassName: high -> none")

	// KubeVirt writes the placement into an instance that runs, which moves nothing.
	for _, vmi := range []*kubevirtv1.VirtualMachineInstance{without.DeepCopy()} {
		vmi.Spec.NodeSelector = map[string]string{"zone": "a"}
		moved := guideExample(t, func(vs *v1beta1.VirtualServer) { vs.Spec.NodeSelector = map[string]string{"zone": "a"} })
		assert.Equal(t, "spec.nodeSelector: changed", texts(moved, vmi))
	}

	bus := guideExample(t, func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.Root.Bus, vs.Spec.Storage.AdditionalDisks[0].Bus = v1beta1.DiskBusSATA, v1beta1.DiskBusSCSI
	})
	assert.Equal(t, "spec.storage.root: persistent -> persistent, bus sata\n"+
		"spec.storage.additionalDisks[disk-name]: PVC pvc-as-disk, serial disk-name -> PVC pvc-as-disk, bus scsi, serial disk-name", texts(bus, without))
	assert.Empty(t, texts(guideExample(t, func(vs *v1beta1.VirtualServer) { vs.Spec.Storage.Root.Bus = v1beta1.DiskBusVirtio }), without))
}

func TestMACAddressesInBothForms(t *testing.T) {
	const normal = "de:ad:00:00:be:af"
	with := func(address string) *v1beta1.VirtualServer {
		return guideExample(t, func(vs *v1beta1.VirtualServer) { vs.Spec.Network.MACAddress = address })
	}
	live := admitted(machine(t, with(normal)))
	for _, address := range []string{normal, "DE-AD-00-00-BE-AF", "de-ad-00-00-be-af", "DE:AD:00:00:BE:AF", "De-aD-00-00-bE-Af"} {
		vm := machine(t, with(address))
		assert.Equal(t, normal, vm.Spec.Template.Spec.Domain.Devices.Interfaces[0].MacAddress, address)
		merged, _ := MergeVirtualMachine(live, vm)
		assert.Equal(t, live.Spec.Template.Spec, merged.Spec.Template.Spec, address)
		assert.Empty(t, RestartRequired(merged, running(live)), address)
	}
	other := RestartRequired(machine(t, with("DE-AD-00-00-BE-AE")), running(live))
	require.Len(t, other, 1)
	assert.Equal(t, "spec.network.macAddress: de:ad:00:00:be:af -> de:ad:00:00:be:ae", other[0].String())
	// An address that was taken out goes, in whatever form it was written.
	dashed := admitted(machine(t, with("DE-AD-00-00-BE-AF")))
	merged, _ := MergeVirtualMachine(dashed, machine(t, with("")))
	assert.Empty(t, merged.Spec.Template.Spec.Domain.Devices.Interfaces[0].MacAddress)
}

func TestPortsWithNames(t *testing.T) {
	vs := guideExample(t, func(vs *v1beta1.VirtualServer) {
		vs.Spec.Network.TCP = []int32{80}
		vs.Spec.Network.Ports = []v1beta1.Port{{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}, {Name: "admin", Port: 8080}}
	})
	service := Service(vs)
	var got []string
	for _, port := range service.Spec.Ports {
		got = append(got, port.Name+"/"+string(port.Protocol)+"/"+port.TargetPort.String())
	}
	assert.Equal(t, []string{"tcp-80/TCP/80", "admin/TCP/8080", "dns/UDP/53"}, got)

	live := service.DeepCopy()
	for i := range live.Spec.Ports {
		live.Spec.Ports[i].NodePort = 30000 + int32(i)
	}
	vs.Spec.Network.TCP = nil
	vs.Spec.Network.Ports = append(vs.Spec.Network.Ports, v1beta1.Port{Name: "web", Port: 80})
	merged, changed := MergeService(live, Service(vs))
	assert.True(t, changed)
	assert.Equal(t, "web", merged.Spec.Ports[2].Name)
	assert.EqualValues(t, 30000, merged.Spec.Ports[2].NodePort, "a port that gets a name keeps its node port")

	only := guideExample(t, func(vs *v1beta1.VirtualServer) {
		vs.Spec.Network = v1beta1.Network{Ports: []v1beta1.Port{{Name: "ssh", Port: 22}}}
	})
	require.NotNil(t, Service(only))
}

func TestDisksOnOtherBuses(t *testing.T) {
	empty := func(name string, bus v1beta1.DiskBus) v1beta1.AdditionalDisk {
		return v1beta1.AdditionalDisk{Name: name, Bus: bus, EmptyDisk: &v1beta1.EmptyDiskSource{}}
	}
	vs := guideExample(t, func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.Root.Bus = v1beta1.DiskBusSATA
		vs.Spec.Storage.AdditionalDisks = []v1beta1.AdditionalDisk{empty("a", "scsi"), empty("b", "virtio"), empty("c", "sata"), empty("d", ""), empty("e", "scsi")}
	})
	var buses []string
	for _, disk := range machine(t, vs).Spec.Template.Spec.Domain.Devices.Disks {
		buses = append(buses, disk.Name+" "+string(disk.Disk.Bus))
	}
	assert.Equal(t, []string{"root sata", "a scsi", "b virtio", "c sata", "d virtio", "e scsi", "cloudinit sata"}, buses)
	var found []string
	for _, disk := range Disks(vs) {
		found = append(found, disk.Name+" "+disk.Device+" "+disk.ByID)
	}
	assert.Equal(t, []string{
		"root /dev/sda /dev/disk/by-id/ata-QEMU_HARDDISK_root",
		"a /dev/sdc /dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_a",
		"b /dev/vda /dev/disk/by-id/virtio-b",
		"c /dev/sdb /dev/disk/by-id/ata-QEMU_HARDDISK_c",
		"d /dev/vdb /dev/disk/by-id/virtio-d",
		"e /dev/sdd /dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_e",
	}, found)
}

func TestRootDisksThatAreNotMade(t *testing.T) {
	image := guideExample(t, func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.Root = v1beta1.RootDisk{Bus: "scsi", ContainerDisk: &v1beta1.ContainerDiskSource{Image: "i", Path: "/disk/a", ImagePullSecret: "s", ImagePullPolicy: "Never"}}
	})
	assert.Nil(t, DataVolume(image))
	assert.Empty(t, RootClaimName(image))
	volume := machine(t, image).Spec.Template.Spec.Volumes[0]
	assert.Equal(t, &kubevirtv1.ContainerDiskSource{Image: "i", Path: "/disk/a", ImagePullSecret: "s", ImagePullPolicy: "Never"}, volume.ContainerDisk)

	claim := guideExample(t, func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.Root = v1beta1.RootDisk{PersistentVolumeClaim: &v1beta1.RootDiskVolume{ClaimName: "boot"}}
	})
	assert.Nil(t, DataVolume(claim))
	vm := machine(t, claim)
	assert.Equal(t, "boot", vm.Spec.Template.Spec.Volumes[0].PersistentVolumeClaim.ClaimName)
	assert.EqualValues(t, 1, *vm.Spec.Template.Spec.Domain.Devices.Disks[0].BootOrder)
	live := running(admitted(vm))
	claim.Spec.Storage.Root.PersistentVolumeClaim.ClaimName = "other"
	changes := RestartRequired(machine(t, claim), live)
	require.Len(t, changes, 1)
	assert.Equal(t, "spec.storage.root: PVC boot -> PVC other", changes[0].String())
	claim.Spec.Storage.Root.Ephemeral = true
	assert.Equal(t, "other", machine(t, claim).Spec.Template.Spec.Volumes[0].Ephemeral.PersistentVolumeClaim.ClaimName)
	assert.Equal(t, testVM, RootClaimName(guideExample(t)))
}
