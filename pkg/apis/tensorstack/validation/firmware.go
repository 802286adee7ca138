package validation

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

const (
	// MaxFirmwareSerial is the longest serial number of a machine.
	MaxFirmwareSerial = 255
	// MaxKernelArgs is what the kernel reads of its command line on amd64.
	MaxKernelArgs = 2047
)

// uuidPattern is a UUID in the form that KubeVirt and libvirt write it in.
var uuidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// validateFirmware keeps the rules of KubeVirt's admission, and refuses what libvirt and QEMU cannot take.
func validateFirmware(spec *tensorstack.VirtualServerSpec, path *field.Path) field.ErrorList {
	firmware := spec.Firmware
	if firmware == nil {
		return nil
	}
	var errs field.ErrorList
	if uuid := string(firmware.UUID); uuid != "" && !uuidPattern.MatchString(uuid) {
		errs = append(errs, field.Invalid(path.Child("uuid"), uuid, "must be a UUID, such as 3d2a7e9c-5a1e-4b5e-9a53-2f0a3ce9b1d4"))
	}
	if loader := firmware.Bootloader; loader != nil && loader.BIOS != nil && loader.EFI != nil {
		errs = append(errs, field.Forbidden(path.Child("bootloader", "efi"), fmt.Sprintf("%s is set too: keep one of the two", path.Child("bootloader", "bios"))))
	}
	serial := path.Child("serial")
	switch {
	case len(firmware.Serial) > MaxFirmwareSerial:
		errs = append(errs, field.TooLong(serial, "", MaxFirmwareSerial))
	case !isPrintable(firmware.Serial):
		errs = append(errs, field.Invalid(serial, firmware.Serial, "must consist of printable ASCII characters"))
	}
	errs = append(errs, validateKernelBoot(firmware.KernelBoot, path.Child("kernelBoot"))...)
	return append(errs, validateACPI(firmware.ACPI, &spec.Storage, path.Child("acpi"))...)
}

func isPrintable(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) }) < 0
}

func validateKernelBoot(boot *tensorstack.KernelBoot, path *field.Path) field.ErrorList {
	if boot == nil {
		return nil
	}
	var errs field.ErrorList
	arguments := path.Child("kernelArgs")
	switch {
	case len(boot.KernelArgs) > MaxKernelArgs:
		errs = append(errs, field.TooLong(arguments, "", MaxKernelArgs))
	case !isPrintable(boot.KernelArgs):
		errs = append(errs, field.Invalid(arguments, boot.KernelArgs, "must consist of printable ASCII characters in one line"))
	}
	container, at := boot.Container, path.Child("container")
	if container == nil {
		if boot.KernelArgs != "" {
			errs = append(errs, field.Required(at, "arguments need a kernel: name the image that has it"))
		}
		return errs
	}
	errs = append(errs, validateImage(container.Image, at.Child("image"))...)
	errs = append(errs, validateOptionalName(container.ImagePullSecret, "Secret", at.Child("imagePullSecret"))...)
	if container.ImagePullPolicy != "" {
		errs = append(errs, validateEnum[corev1.PullPolicy](container.ImagePullPolicy, pullPolicies, at.Child("imagePullPolicy"))...)
	}
	if container.KernelPath == "" && container.InitrdPath == "" {
		errs = append(errs, field.Required(at.Child("kernelPath"), "name the kernel in the image, such as /boot/vmlinuz"))
	}
	for _, file := range []struct{ name, path string }{{"kernelPath", container.KernelPath}, {"initrdPath", container.InitrdPath}} {
		if file.path != "" && !isFilePath(file.path) {
			errs = append(errs, field.Invalid(at.Child(file.name), file.path, "must be the absolute path of a file in the image without . and .., "+
				"such as /boot/vmlinuz"))
		}
	}
	return errs
}

// validateACPI checks that tables come from Secrets that the machine has as disks or filesystems.
func validateACPI(acpi *tensorstack.ACPI, storage *tensorstack.Storage, path *field.Path) field.ErrorList {
	if acpi == nil {
		return nil
	}
	if acpi.SlicNameRef == "" && acpi.MsdmNameRef == "" {
		return field.ErrorList{field.Required(path.Child("slicNameRef"), "name an additional disk with a Secret in slicNameRef or msdmNameRef")}
	}
	secrets := map[string]bool{}
	for i := range storage.AdditionalDisks {
		secrets[storage.AdditionalDisks[i].Name] = storage.AdditionalDisks[i].Secret != nil
	}
	for i := range storage.Filesystems {
		secrets[storage.Filesystems[i].Name] = storage.Filesystems[i].Secret != nil
	}
	var errs field.ErrorList
	for _, table := range []struct{ field, name string }{{"slicNameRef", acpi.SlicNameRef}, {"msdmNameRef", acpi.MsdmNameRef}} {
		if table.name != "" && !secrets[table.name] {
			errs = append(errs, field.Invalid(path.Child(table.field), table.name, "must be the name of an additional disk with a Secret, which holds the table"))
		}
	}
	return errs
}
