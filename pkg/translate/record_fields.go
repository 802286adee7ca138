package translate

import (
	"encoding/json"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/naming"
)

// Fields of the VirtualServer that are recorded, because others may set what becomes of them too, or because KubeVirt changes
// it in an instance that runs without any effect on that run.
const (
	fieldNodeSelector   = "spec.nodeSelector"
	fieldTolerations    = "spec.tolerations"
	fieldAffinity       = "spec.affinity"
	fieldTopologySpread = "spec.topologySpreadConstraints"
	fieldPriorityClass  = "spec.priorityClassName"
	fieldSchedulerName  = "spec.schedulerName"
	fieldQueue          = "spec.scheduler.t9kScheduler.queue"
	fieldFirmwareUUID   = "spec.firmware.uuid"
	fieldFirmwareSerial = "spec.firmware.serial"
	fieldBootloader     = "spec.firmware.bootloader"
	fieldKernelBoot     = "spec.firmware.kernelBoot"
	fieldACPI           = "spec.firmware.acpi"
	fieldTransitional   = "spec.useVirtioTransitional"
)

// digestMark begins a recorded value that stands for one that is too long to record.
const digestMark = "#"

// recordedFields returns what the user says in the fields above: short values as they are, long ones as a digest.
func recordedFields(vs *v1beta1.VirtualServer, template *kubevirtv1.VirtualMachineInstanceTemplateSpec) map[string]string {
	fields := map[string]string{}
	text := func(field, value string) {
		if value != "" {
			fields[field] = value
		}
	}
	digest := func(field string, set bool, value any) {
		if set {
			fields[field] = digestOf(value)
		}
	}
	spec, firmware := &template.Spec, template.Spec.Domain.Firmware
	digest(fieldNodeSelector, len(spec.NodeSelector) > 0, spec.NodeSelector)
	digest(fieldTolerations, len(spec.Tolerations) > 0, spec.Tolerations)
	digest(fieldAffinity, spec.Affinity != nil, spec.Affinity)
	digest(fieldTopologySpread, len(spec.TopologySpreadConstraints) > 0, spec.TopologySpreadConstraints)
	text(fieldPriorityClass, spec.PriorityClassName)
	text(fieldSchedulerName, spec.SchedulerName)
	text(fieldQueue, queueOf(vs))
	if vs.Spec.Firmware != nil {
		text(fieldFirmwareUUID, string(vs.Spec.Firmware.UUID))
	}
	text(fieldFirmwareSerial, firmware.Serial)
	text(fieldBootloader, bootloaderText(firmware.Bootloader))
	digest(fieldKernelBoot, firmware.KernelBoot != nil, firmware.KernelBoot)
	digest(fieldACPI, firmware.ACPI != nil, firmware.ACPI)
	if is := spec.Domain.Devices.UseVirtioTransitional; is != nil {
		text(fieldTransitional, strconv.FormatBool(*is))
	}
	if len(fields) == 0 {
		return nil
	}
	return fields
}

func digestOf(value any) string {
	const digits = 12
	// The types of an API always marshal.
	encoded, _ := json.Marshal(value)
	return digestMark + naming.Hash(string(encoded), digits)
}

// bootloaderText says which bootloader it is, in the words of the guide.
func bootloaderText(loader *kubevirtv1.Bootloader) string {
	switch {
	case loader == nil:
		return ""
	case loader.EFI != nil:
		text := "EFI"
		if ptr.Deref(loader.EFI.SecureBoot, true) {
			text += " with secure boot"
		}
		if ptr.Deref(loader.EFI.Persistent, false) {
			text += ", persistent"
		}
		return text
	case loader.BIOS != nil && ptr.Deref(loader.BIOS.UseSerial, false):
		return "BIOS on the serial console"
	default:
		return "BIOS"
	}
}

// owns says whether the user said something in the field.
func (r record) owns(field string) bool {
	_, found := r.Fields[field]
	return found
}

// mergeOwned returns the wanted value where the user has one, nothing where the user had one before, and else what is there.
func mergeOwned[T any](field string, live, want T, before, after record) T {
	var nothing T
	switch {
	case after.owns(field):
		if equality.Semantic.DeepEqual(live, want) {
			return live
		}
		return want
	case before.owns(field):
		return nothing
	default:
		return live
	}
}

// addRecorded adds the recorded fields that differ between two records.
func (c *changes) addRecorded(runs, want record) {
	for _, field := range []string{
		fieldTransitional, fieldBootloader, fieldFirmwareUUID, fieldFirmwareSerial, fieldKernelBoot, fieldACPI, fieldNodeSelector, fieldTolerations,
		fieldAffinity, fieldTopologySpread, fieldPriorityClass, fieldQueue, fieldSchedulerName,
	} {
		from, to := runs.Fields[field], want.Fields[field]
		switch {
		case from == to, field == fieldFirmwareUUID && to == "":
			// A machine keeps the UUID that it has.
		case field == fieldSchedulerName && c.has(fieldQueue):
			// Told by the queue.
		case strings.HasPrefix(from, digestMark) || strings.HasPrefix(to, digestMark):
			*c = append(*c, Change{Field: field})
		default:
			c.add(field, from, to)
		}
	}
}
