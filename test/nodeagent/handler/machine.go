package handler

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/test/nodeagent/cluster"
	"tensorstack.dev/virtualserver/test/nodeagent/guest"
)

// claimSize returns the capacity in bytes of a claim, or 0.
type claimSize func(claim string) int64

// newMachine describes the guest of a machine. attach says that the guest is
// known to have run before.
func newMachine(vmi *kubevirtv1.VirtualMachineInstance, size claimSize, attach bool) guest.Machine {
	machine := guest.Machine{
		UID: vmi.UID, Namespace: vmi.Namespace, Name: vmi.Name,
		Hostname: vmi.Spec.Hostname,
		IP:       cluster.MachineAddress(vmi.UID),
		Disks:    disks(vmi, size),
		CPUs:     1,
		Attach:   attach,
	}
	if machine.Hostname == "" {
		machine.Hostname = vmi.Name
	}
	if cpu := vmi.Spec.Domain.CPU; cpu != nil {
		machine.CPUs = max(1, cpu.Sockets) * max(1, cpu.Cores) * max(1, cpu.Threads)
	}
	if memory := vmi.Spec.Domain.Memory; memory != nil && memory.Guest != nil {
		machine.MemoryBytes = memory.Guest.Value()
	}
	for _, device := range vmi.Spec.Domain.Devices.Interfaces {
		for _, port := range device.Ports {
			if port.Protocol == "" || strings.EqualFold(port.Protocol, "TCP") {
				machine.Ports = append(machine.Ports, port.Port)
			}
		}
	}
	switch {
	case attach:
		machine.Paused = condition(&vmi.Status, kubevirtv1.VirtualMachineInstancePaused) != nil
	case vmi.Spec.StartStrategy != nil:
		machine.Paused = *vmi.Spec.StartStrategy == kubevirtv1.StartStrategyPaused
	}
	return machine
}

// disks lists the block devices in their order, with the names that the guest
// gives them: every bus counts its own letters.
func disks(vmi *kubevirtv1.VirtualMachineInstance, size claimSize) []guest.Disk {
	claims := map[string]string{}
	for _, volume := range vmi.Spec.Volumes {
		switch source := volume.VolumeSource; {
		case source.PersistentVolumeClaim != nil:
			claims[volume.Name] = source.PersistentVolumeClaim.ClaimName
		case source.DataVolume != nil:
			claims[volume.Name] = source.DataVolume.Name
		case source.Ephemeral != nil && source.Ephemeral.PersistentVolumeClaim != nil:
			claims[volume.Name] = source.Ephemeral.PersistentVolumeClaim.ClaimName
		}
	}
	letters := map[string]int{}
	list := make([]guest.Disk, 0, len(vmi.Spec.Domain.Devices.Disks))
	for _, disk := range vmi.Spec.Domain.Devices.Disks {
		prefix := busPrefix(disk)
		found := guest.Disk{Name: disk.Name, Target: prefix + letter(letters[prefix]), Serial: disk.Serial}
		letters[prefix]++
		if claim := claims[disk.Name]; claim != "" {
			found.Bytes = size(claim)
		}
		list = append(list, found)
	}
	return list
}

func busPrefix(disk kubevirtv1.Disk) string {
	bus := kubevirtv1.DiskBus("")
	switch {
	case disk.Disk != nil:
		bus = disk.Disk.Bus
	case disk.LUN != nil:
		bus = disk.LUN.Bus
	case disk.CDRom != nil:
		bus = disk.CDRom.Bus
	}
	if bus == kubevirtv1.DiskBusVirtio {
		return "vd"
	}
	return "sd"
}

// letter counts a, b, ..., z, aa, ab and so on.
func letter(n int) string {
	name := ""
	for n >= 0 {
		name = string(rune('a'+n%26)) + name
		n = n/26 - 1
	}
	return name
}

// mac is the hardware address of an interface: the one that the specification
// asks for, or one in QEMU's range that follows from the machine's identity.
func mac(vmi *kubevirtv1.VirtualMachineInstance, device kubevirtv1.Interface, index int) string {
	if device.MacAddress != "" {
		return device.MacAddress
	}
	var sum uint32
	for _, b := range []byte(vmi.UID) {
		sum = sum*31 + uint32(b)
	}
	sum += uint32(index)
	return fmt.Sprintf("52:54:00:%02x:%02x:%02x", byte(sum>>16), byte(sum>>8), byte(sum))
}

// unsharedClaim is the first of the claims that two nodes cannot use
// at once; it is empty if there is none.
func unsharedClaim(vmi *kubevirtv1.VirtualMachineInstance) string {
	for _, status := range vmi.Status.VolumeStatus {
		info := status.PersistentVolumeClaimInfo
		if info == nil {
			continue
		}
		shared := false
		for _, mode := range info.AccessModes {
			shared = shared || mode == corev1.ReadWriteMany
		}
		if !shared {
			return info.ClaimName
		}
	}
	return ""
}
