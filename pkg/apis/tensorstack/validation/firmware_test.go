package validation

import (
	"strings"
	"testing"

	"k8s.io/utils/ptr"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

func TestFirmware(t *testing.T) {
	firmware := func(firmware tensorstack.Firmware) func(*tensorstack.VirtualServerSpec) {
		return func(spec *tensorstack.VirtualServerSpec) { spec.Firmware = &firmware }
	}
	loader := func(loader tensorstack.Bootloader) func(*tensorstack.VirtualServerSpec) {
		return firmware(tensorstack.Firmware{Bootloader: &loader})
	}
	boot := func(boot tensorstack.KernelBoot) func(*tensorstack.VirtualServerSpec) {
		return firmware(tensorstack.Firmware{KernelBoot: &boot})
	}
	from := func(container tensorstack.KernelBootContainer) func(*tensorstack.VirtualServerSpec) {
		return boot(tensorstack.KernelBoot{Container: &container, KernelArgs: "console=ttyS0"})
	}
	const image = "registry.example.com/kernel:1"
	checkRules(t, map[string]rule{
		"nothing":            {firmware(tensorstack.Firmware{}), nil},
		"a UUID":             {firmware(tensorstack.Firmware{UUID: "3D2A7e9c-5a1e-4b5e-9a53-2f0a3ce9b1d4"}), nil},
		"a UUID in one word": {firmware(tensorstack.Firmware{UUID: "3d2a7e9c5a1e4b5e9a532f0a3ce9b1d4"}), []string{"spec.firmware.uuid must be a UUID"}},
		"a serial":           {firmware(tensorstack.Firmware{Serial: "SN 0001, rack=4"}), nil},
		"a long serial":      {firmware(tensorstack.Firmware{Serial: strings.Repeat("s", 256)}), []string{"spec.firmware.serial Too long"}},
		"a broken serial":    {firmware(tensorstack.Firmware{Serial: "a\nb"}), []string{"spec.firmware.serial printable"}},
		"BIOS":               {loader(tensorstack.Bootloader{BIOS: &tensorstack.BIOS{UseSerial: ptr.To(true)}}), nil},
		"EFI":                {loader(tensorstack.Bootloader{EFI: &tensorstack.EFI{SecureBoot: ptr.To(false), Persistent: ptr.To(true)}}), nil},
		"neither":            {loader(tensorstack.Bootloader{}), nil},
		"both": {loader(tensorstack.Bootloader{BIOS: &tensorstack.BIOS{}, EFI: &tensorstack.EFI{}}),
			[]string{"spec.firmware.bootloader.efi spec.firmware.bootloader.bios is set too"}},
		"a kernel":              {from(tensorstack.KernelBootContainer{Image: image, KernelPath: "/boot/vmlinuz", InitrdPath: "/boot/initrd"}), nil},
		"arguments alone":       {boot(tensorstack.KernelBoot{KernelArgs: "quiet"}), []string{"spec.firmware.kernelBoot.container Required"}},
		"arguments in lines":    {boot(tensorstack.KernelBoot{KernelArgs: "a\nb", Container: &tensorstack.KernelBootContainer{Image: image, KernelPath: "/k"}}), []string{"spec.firmware.kernelBoot.kernelArgs one line"}},
		"no image":              {from(tensorstack.KernelBootContainer{KernelPath: "/k"}), []string{"spec.firmware.kernelBoot.container.image Required"}},
		"no kernel":             {from(tensorstack.KernelBootContainer{Image: image}), []string{"spec.firmware.kernelBoot.container.kernelPath Required"}},
		"a kernel from nowhere": {from(tensorstack.KernelBootContainer{Image: image, KernelPath: "k"}), []string{"spec.firmware.kernelBoot.container.kernelPath absolute"}},
		"a RAM disk from above": {from(tensorstack.KernelBootContainer{Image: image, KernelPath: "/k", InitrdPath: "/a/../b"}), []string{"spec.firmware.kernelBoot.container.initrdPath absolute"}},
		"tables of nothing":     {firmware(tensorstack.Firmware{ACPI: &tensorstack.ACPI{}}), []string{"spec.firmware.acpi.slicNameRef Required"}},
		"a table of no disk":    {firmware(tensorstack.Firmware{ACPI: &tensorstack.ACPI{SlicNameRef: "slic"}}), []string{"spec.firmware.acpi.slicNameRef with a Secret"}},
		"a table of a claim": {func(spec *tensorstack.VirtualServerSpec) {
			disks(tensorstack.AdditionalDisk{Name: "msdm", VolumeSource: claim("c")})(spec)
			spec.Firmware = &tensorstack.Firmware{ACPI: &tensorstack.ACPI{MsdmNameRef: "msdm"}}
		}, []string{"spec.firmware.acpi.msdmNameRef with a Secret"}},
		"a table of a Secret": {func(spec *tensorstack.VirtualServerSpec) {
			secret := tensorstack.VolumeSource{Secret: &tensorstack.SecretSource{SecretName: "windows"}}
			disks(tensorstack.AdditionalDisk{Name: "msdm", VolumeSource: secret})(spec)
			spec.Firmware = &tensorstack.Firmware{ACPI: &tensorstack.ACPI{MsdmNameRef: "msdm"}}
		}, nil},
	})
}
