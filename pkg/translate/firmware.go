package translate

import (
	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// firmwareOf returns the firmware of the machine, which has a UUID in any case.
func firmwareOf(vs *v1beta1.VirtualServer) *kubevirtv1.Firmware {
	firmware := &kubevirtv1.Firmware{UUID: firmwareUUID(vs.UID)}
	from := vs.Spec.Firmware
	if from == nil {
		return firmware
	}
	if from.UUID != "" {
		firmware.UUID = from.UUID
	}
	firmware.Serial = from.Serial
	if loader := from.Bootloader; loader != nil {
		firmware.Bootloader = &kubevirtv1.Bootloader{}
		if loader.BIOS != nil {
			firmware.Bootloader.BIOS = &kubevirtv1.BIOS{UseSerial: copyOf(loader.BIOS.UseSerial)}
		}
		if loader.EFI != nil {
			firmware.Bootloader.EFI = &kubevirtv1.EFI{SecureBoot: copyOf(loader.EFI.SecureBoot), Persistent: copyOf(loader.EFI.Persistent)}
		}
	}
	if boot := from.KernelBoot; boot != nil {
		firmware.KernelBoot = &kubevirtv1.KernelBoot{KernelArgs: boot.KernelArgs}
		if container := boot.Container; container != nil {
			firmware.KernelBoot.Container = &kubevirtv1.KernelBootContainer{
				Image:           container.Image,
				ImagePullSecret: container.ImagePullSecret,
				ImagePullPolicy: container.ImagePullPolicy,
				KernelPath:      container.KernelPath,
				InitrdPath:      container.InitrdPath,
			}
		}
	}
	if acpi := from.ACPI; acpi != nil {
		firmware.ACPI = &kubevirtv1.ACPI{SlicNameRef: acpi.SlicNameRef, MsdmNameRef: acpi.MsdmNameRef}
	}
	return firmware
}

// featuresOf returns what the firmware needs of the machine: secure boot needs System Management Mode, in which the firmware
// keeps its variables from the guest.
func featuresOf(vs *v1beta1.VirtualServer) *kubevirtv1.Features {
	if !bootsSecurely(vs.Spec.Firmware) {
		return nil
	}
	return &kubevirtv1.Features{SMM: &kubevirtv1.FeatureState{Enabled: ptr.To(true)}}
}

// bootsSecurely follows KubeVirt, for which EFI without a word is secure.
func bootsSecurely(firmware *v1beta1.Firmware) bool {
	return firmware != nil && firmware.Bootloader != nil && firmware.Bootloader.EFI != nil && ptr.Deref(firmware.Bootloader.EFI.SecureBoot, true)
}

// firmwareUUID derives the UUID of the firmware from the UID of the VirtualServer. Cloud-init takes it for the identity of
// the machine: with a new one it would set the machine up anew. KubeVirt would choose a random UUID at creation, which
// would be lost when somebody deletes the VirtualMachine and we make it again.
func firmwareUUID(uid types.UID) types.UID {
	space := uuid.NewSHA1(uuid.NameSpaceDNS, []byte("virtualservers."+v1beta1.GroupName))
	return types.UID(uuid.NewSHA1(space, []byte(uid)).String())
}

// mergeFirmware sets the UUID only if there is none, or if the user chose it. A machine keeps the one it has, also when a new
// VirtualServer adopts it: the guest takes the UUID for its identity.
func mergeFirmware(live, want *kubevirtv1.DomainSpec, before, after record) {
	if want.Firmware == nil {
		return
	}
	if live.Firmware == nil {
		live.Firmware = &kubevirtv1.Firmware{}
	}
	firmware, wanted := live.Firmware, want.Firmware
	if firmware.UUID == "" || after.owns(fieldFirmwareUUID) {
		firmware.UUID = wanted.UUID
	}
	firmware.Serial = mergeOwned(fieldFirmwareSerial, firmware.Serial, wanted.Serial, before, after)
	firmware.Bootloader = mergeOwned(fieldBootloader, firmware.Bootloader, wanted.Bootloader, before, after)
	firmware.KernelBoot = mergeOwned(fieldKernelBoot, firmware.KernelBoot, wanted.KernelBoot, before, after)
	firmware.ACPI = mergeOwned(fieldACPI, firmware.ACPI, wanted.ACPI, before, after)
	live.Devices.UseVirtioTransitional = mergeOwned(fieldTransitional, live.Devices.UseVirtioTransitional, want.Devices.UseVirtioTransitional,
		before, after)
	mergeSMM(live, want, before)
}

// mergeSMM turns System Management Mode on where secure boot needs it, and off where only that needed it.
func mergeSMM(live, want *kubevirtv1.DomainSpec, before record) {
	switch {
	case want.Features != nil && want.Features.SMM != nil:
		if live.Features == nil {
			live.Features = &kubevirtv1.Features{}
		}
		live.Features.SMM = want.Features.SMM
	case before.SMM && live.Features != nil:
		live.Features.SMM = nil
	}
}
