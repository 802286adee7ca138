package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Firmware is what the machine starts with before its operating system. It has the fields of KubeVirt's Firmware.
type Firmware struct {
	// uuid is the UUID of the machine that its firmware reports. Cloud-init takes it for the identity of the machine, and
	// sets the machine up anew when it changes. If it is empty, a stable one is derived.
	// +optional
	UUID types.UID `json:"uuid,omitempty"`
	// bootloader is BIOS or EFI. Defaults to BIOS.
	// +optional
	Bootloader *Bootloader `json:"bootloader,omitempty"`
	// serial is the serial number of the machine that its firmware reports. If it is empty, KubeVirt chooses one.
	// +optional
	Serial string `json:"serial,omitempty"`
	// kernelBoot boots a kernel from a container image instead of what the root disk boots.
	// +optional
	KernelBoot *KernelBoot `json:"kernelBoot,omitempty"`
	// acpi adds tables to those of the firmware, such as a licence of Windows.
	// +optional
	ACPI *ACPI `json:"acpi,omitempty"`
}

// Bootloader is BIOS or EFI. At most one may be set; without one it is BIOS.
type Bootloader struct {
	// bios boots by BIOS.
	// +optional
	BIOS *BIOS `json:"bios,omitempty"`
	// efi boots by EFI.
	// +optional
	EFI *EFI `json:"efi,omitempty"`
}

// BIOS boots a machine by BIOS.
type BIOS struct {
	// useSerial shows the output of the BIOS on the serial console.
	// +optional
	UseSerial *bool `json:"useSerial,omitempty"`
}

// EFI boots a machine by EFI.
type EFI struct {
	// secureBoot boots only what is signed. The machine gets the System Management Mode that this needs. Defaults to true.
	// +optional
	SecureBoot *bool `json:"secureBoot,omitempty"`
	// persistent keeps the EFI variables across restarts, in a small PersistentVolumeClaim that KubeVirt makes and that is
	// deleted with the machine. Defaults to false.
	// +optional
	Persistent *bool `json:"persistent,omitempty"`
}

// KernelBoot boots a kernel from a container image.
type KernelBoot struct {
	// kernelArgs are the arguments of the kernel, such as "console=ttyS0 root=/dev/vda1". They need a container.
	// +optional
	KernelArgs string `json:"kernelArgs,omitempty"`
	// container is the container image with the kernel.
	// +optional
	Container *KernelBootContainer `json:"container,omitempty"`
}

// KernelBootContainer is a container image with a kernel, an initial RAM disk, or both.
type KernelBootContainer struct {
	// image is the container image.
	Image string `json:"image"`
	// imagePullSecret names a Secret of the same namespace with the registry's credentials.
	// +optional
	ImagePullSecret string `json:"imagePullSecret,omitempty"`
	// imagePullPolicy is Always, Never or IfNotPresent.
	// +optional
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`
	// kernelPath is the absolute path of the kernel in the image.
	// +optional
	KernelPath string `json:"kernelPath,omitempty"`
	// initrdPath is the absolute path of the initial RAM disk in the image.
	// +optional
	InitrdPath string `json:"initrdPath,omitempty"`
}

// ACPI names disks with tables that are added to those of the firmware. At least one must be named.
type ACPI struct {
	// slicNameRef is the name of an additional disk with a Secret, which holds an SLIC table.
	// +optional
	SlicNameRef string `json:"slicNameRef,omitempty"`
	// msdmNameRef is the name of an additional disk with a Secret, which holds an MSDM table.
	// +optional
	MsdmNameRef string `json:"msdmNameRef,omitempty"`
}
