package translate

import (
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// Disks says where each disk is found in the guest: the root disk first, then the additional disks in the order of the
// spec. The device is what a guest usually calls the disk; the path by id is sure. Linux counts virtio disks by themselves, and
// all others together: those on SATA before those on SCSI, whose driver is loaded later.
func Disks(vs *v1beta1.VirtualServer) []v1beta1.DiskStatus {
	serial := serials(vs)
	disks := []v1beta1.DiskStatus{{Name: RootDiskName}}
	buses := []v1beta1.DiskBus{vs.Spec.Storage.Root.Bus}
	for _, disk := range vs.Spec.Storage.AdditionalDisks {
		disks = append(disks, v1beta1.DiskStatus{Name: disk.Name})
		buses = append(buses, disk.Bus)
	}
	next := map[v1beta1.DiskBus]int{}
	for i, bus := range buses {
		bus = v1beta1.DiskBus(busOf(bus))
		buses[i] = bus
		if bus == v1beta1.DiskBusSATA {
			next[v1beta1.DiskBusSCSI]++
		}
	}
	for i := range disks {
		disk, bus := &disks[i], buses[i]
		disk.Serial = serial[disk.Name]
		disk.Device = devicePrefix(bus) + letters(next[bus])
		disk.ByID = byIDPrefix(bus) + disk.Serial
		next[bus]++
	}
	return disks
}

func devicePrefix(bus v1beta1.DiskBus) string {
	if bus == v1beta1.DiskBusVirtio {
		return "/dev/vd"
	}
	return "/dev/sd"
}

// byIDPrefix is what udev makes of the vendor and the model that QEMU gives a disk, in Linux's 60-persistent-storage.rules.
func byIDPrefix(bus v1beta1.DiskBus) string {
	const folder = "/dev/disk/by-id/"
	switch bus {
	case v1beta1.DiskBusSATA:
		return folder + "ata-QEMU_HARDDISK_"
	case v1beta1.DiskBusSCSI:
		return folder + "scsi-0QEMU_QEMU_HARDDISK_"
	default:
		return folder + "virtio-"
	}
}

// letters counts as Linux names disks: a to z, then aa, ab and so on.
func letters(i int) string {
	const alphabet = 26
	name := string(rune('a' + i%alphabet))
	for i = i/alphabet - 1; i >= 0; i = i/alphabet - 1 {
		name = string(rune('a'+i%alphabet)) + name
	}
	return name
}
