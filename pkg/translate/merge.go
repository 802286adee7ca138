package translate

import (
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

// MergeVirtualMachine writes the fields that we own over a copy of the live VirtualMachine, and says whether that changed
// anything. desired comes from VirtualMachine.
//
// Ours are: our labels and annotations, the run strategy if desired has one, and in the template the CPU topology and
// model, the memory of the guest, our disks, filesystems, volumes, GPUs, network and interface by their names, the slots
// for USB redirection, the DNS settings, the public keys and the eviction strategy; and of the firmware and the placement what the
// user says, see record. Everything else stays: defaults of webhooks, labels of other tools, hotplugged volumes, the UUID of the
// firmware, the hostname.
func MergeVirtualMachine(live, desired *kubevirtv1.VirtualMachine) (*kubevirtv1.VirtualMachine, bool) {
	merged := live.DeepCopy()
	desired = desired.DeepCopy()
	mergeMeta(&merged.ObjectMeta, &desired.ObjectMeta)
	if desired.Spec.RunStrategy != nil {
		merged.Spec.RunStrategy = desired.Spec.RunStrategy
		// KubeVirt refuses both.
		merged.Spec.Running = nil
	}
	if desired.Spec.Template != nil {
		if merged.Spec.Template == nil {
			merged.Spec.Template = &kubevirtv1.VirtualMachineInstanceTemplateSpec{}
		}
		mergeTemplate(merged.Spec.Template, desired.Spec.Template)
	}
	return merged, !equality.Semantic.DeepEqual(live, merged)
}

// mergeMeta writes our labels and annotations over those of the live object.
func mergeMeta(live, desired *metav1.ObjectMeta) {
	live.Labels = overlay(live.Labels, desired.Labels)
	live.Annotations = overlay(live.Annotations, desired.Annotations)
}

func mergeTemplate(live, desired *kubevirtv1.VirtualMachineInstanceTemplateSpec) {
	before := readRecord(live.ObjectMeta.Annotations)
	after := readRecord(desired.ObjectMeta.Annotations)
	mergeMeta(&live.ObjectMeta, &desired.ObjectMeta)

	spec, want := &live.Spec, &desired.Spec
	mergeDomain(&spec.Domain, &want.Domain, before, after)
	spec.Volumes = mergeNamed(spec.Volumes, want.Volumes, volumeName, before.ownVolumes(), mergeVolume)
	spec.Networks = mergeNamed(spec.Networks, want.Networks, networkName, nil, mergeNetwork)
	spec.AccessCredentials = mergeAccessCredentials(spec.AccessCredentials, want.AccessCredentials, before)
	spec.DNSPolicy = want.DNSPolicy
	spec.DNSConfig = want.DNSConfig
	spec.EvictionStrategy = want.EvictionStrategy
	mergePlacement(live, desired, before, after)
}

func mergeDomain(live, want *kubevirtv1.DomainSpec, before, after record) {
	live.CPU = mergeCPU(live.CPU, want.CPU, before)
	live.Memory = mergeMemory(live.Memory, want.Memory)
	mergeFirmware(live, want, before, after)

	devices, wanted := &live.Devices, &want.Devices
	own := before.ownVolumes()
	// A name that is ours now must not stay on the other list, where it was or where somebody put it.
	devices.Disks = mergeNamed(devices.Disks, wanted.Disks, diskName, own.Union(after.ownVolumes()), mergeDisk)
	devices.Filesystems = mergeNamed(devices.Filesystems, wanted.Filesystems, filesystemName,
		own.Union(after.ownVolumes()), mergeFilesystem)
	devices.GPUs = mergeNamed(devices.GPUs, wanted.GPUs, gpuName, before.ownGPUs(), mergeGPU)
	devices.Interfaces = mergeNamed(devices.Interfaces, wanted.Interfaces, interfaceName, nil,
		func(live, want kubevirtv1.Interface) kubevirtv1.Interface { return mergeInterface(live, want, before) })
	if devices.ClientPassthrough == nil {
		devices.ClientPassthrough = wanted.ClientPassthrough
	}
}

func mergeMemory(live, want *kubevirtv1.Memory) *kubevirtv1.Memory {
	switch {
	case want == nil || want.Guest == nil:
		return live
	case live == nil:
		return want
	}
	if live.Guest == nil || live.Guest.Cmp(*want.Guest) != 0 {
		live.Guest = want.Guest
	}
	return live
}

func mergeCPU(live, want *kubevirtv1.CPU, before record) *kubevirtv1.CPU {
	switch {
	case want == nil:
		return live
	case live == nil:
		return want
	}
	live.Cores, live.Sockets, live.MaxSockets, live.Threads = want.Cores, want.Sockets, want.MaxSockets, want.Threads
	live.Model = mergeText(live.Model, want.Model, before.CPUModel)
	return live
}

// mergeText returns the wanted text. If nothing is wanted it removes only what we wrote before, and keeps what somebody
// else filled in.
func mergeText(live, want, before string) string {
	if want == "" && live != before {
		return live
	}
	return want
}

func mergeInterface(live, want kubevirtv1.Interface, before record) kubevirtv1.Interface {
	live.InterfaceBindingMethod = kubevirtv1.InterfaceBindingMethod{Masquerade: want.Masquerade}
	live.Binding = nil
	if !sameMAC(live.MacAddress, want.MacAddress) {
		live.MacAddress = mergeText(normalMAC(live.MacAddress), want.MacAddress, normalMAC(before.MACAddress))
	}
	return live
}

func mergeNetwork(live, want kubevirtv1.Network) kubevirtv1.Network {
	if live.Pod == nil {
		live.NetworkSource = want.NetworkSource
	}
	return live
}

func mergeDisk(live, want kubevirtv1.Disk) kubevirtv1.Disk {
	if live.Disk == nil {
		live.DiskDevice = want.DiskDevice
	} else {
		live.LUN, live.CDRom = nil, nil
		live.Disk.Bus, live.Disk.ReadOnly = want.Disk.Bus, want.Disk.ReadOnly
	}
	live.Serial = want.Serial
	if want.BootOrder != nil {
		live.BootOrder = ptr.To(*want.BootOrder)
	}
	return live
}

func mergeFilesystem(live, want kubevirtv1.Filesystem) kubevirtv1.Filesystem {
	if live.Virtiofs == nil {
		live.Virtiofs = want.Virtiofs
	}
	return live
}

// mergeVolume takes our source whole, unless it means the same as the live one.
func mergeVolume(live, want kubevirtv1.Volume) kubevirtv1.Volume {
	if !equality.Semantic.DeepEqual(live.VolumeSource, want.VolumeSource) {
		live.VolumeSource = want.VolumeSource
	}
	return live
}

func mergeGPU(live, want kubevirtv1.GPU) kubevirtv1.GPU {
	live.DeviceName = want.DeviceName
	return live
}

func diskName(disk kubevirtv1.Disk) string                   { return disk.Name }
func filesystemName(filesystem kubevirtv1.Filesystem) string { return filesystem.Name }
func volumeName(volume kubevirtv1.Volume) string             { return volume.Name }
func gpuName(gpu kubevirtv1.GPU) string                      { return gpu.Name }
func networkName(network kubevirtv1.Network) string          { return network.Name }
func interfaceName(nic kubevirtv1.Interface) string          { return nic.Name }
