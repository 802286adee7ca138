package tensorstack

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Firmware is what the machine starts with before its operating system. It has the fields of KubeVirt's Firmware.
type Firmware struct {
	// uuid is the UUID of the machine that its firmware reports. Cloud-init takes it for the identity of the machine, and
	// sets the machine up anew when it changes. If it is empty, a stable one is derived.
	UUID types.UID
	// bootloader is BIOS or EFI. Defaults to BIOS.
	Bootloader *Bootloader
	// serial is the serial number of the machine that its firmware reports. If it is empty, KubeVirt chooses one.
	Serial string
	// kernelBoot boots a kernel from a container image instead of what the root disk boots.
	KernelBoot *KernelBoot
	// acpi adds tables to those of the firmware, such as a licence of Windows.
	ACPI *ACPI
}

// Bootloader is BIOS or EFI. At most one may be set; without one it is BIOS.
type Bootloader struct {
	// bios boots by BIOS.
	BIOS *BIOS
	// efi boots by EFI.
	EFI *EFI
}

// BIOS boots a machine by BIOS.
type BIOS struct {
	// useSerial shows the output of the BIOS on the serial console.
	UseSerial *bool
}

// EFI boots a machine by EFI.
type EFI struct {
	// secureBoot boots only what is signed. The machine gets the System Management Mode that this needs. Defaults to true.
	SecureBoot *bool
	// persistent keeps the EFI variables across restarts, in a small PersistentVolumeClaim that KubeVirt makes and that is
	// deleted with the machine. Defaults to false.
	Persistent *bool
}

// KernelBoot boots a kernel from a container image.
type KernelBoot struct {
	// kernelArgs are the arguments of the kernel, such as "console=ttyS0 root=/dev/vda1". They need a container.
	KernelArgs string
	// container is the container image with the kernel.
	Container *KernelBootContainer
}

// KernelBootContainer is a container image with a kernel, an initial RAM disk, or both.
type KernelBootContainer struct {
	// image is the container image.
	Image string
	// imagePullSecret names a Secret of the same namespace with the registry's credentials.
	ImagePullSecret string
	// imagePullPolicy is Always, Never or IfNotPresent.
	ImagePullPolicy corev1.PullPolicy
	// kernelPath is the absolute path of the kernel in the image.
	KernelPath string
	// initrdPath is the absolute path of the initial RAM disk in the image.
	InitrdPath string
}

// ACPI names disks with tables that are added to those of the firmware. At least one must be named.
type ACPI struct {
	// slicNameRef is the name of an additional disk with a Secret, which holds an SLIC table.
	SlicNameRef string
	// msdmNameRef is the name of an additional disk with a Secret, which holds an MSDM table.
	MsdmNameRef string
}
