package handler

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/test/nodeagent/faults"
	"tensorstack.dev/virtualserver/test/nodeagent/guest"
)

// setPhase moves a machine to a phase and remembers when: KubeVirt takes an
// end without a recorded Running for a failed start.
func setPhase(status *kubevirtv1.VirtualMachineInstanceStatus, phase kubevirtv1.VirtualMachineInstancePhase, now metav1.Time) {
	status.Phase = phase
	for _, stamp := range status.PhaseTransitionTimestamps {
		if stamp.Phase == phase {
			return
		}
	}
	status.PhaseTransitionTimestamps = append(status.PhaseTransitionTimestamps,
		kubevirtv1.VirtualMachineInstancePhaseTransitionTimestamp{Phase: phase, PhaseTransitionTimestamp: now})
}

// report writes what virt-handler knows of a live guest into the machine's
// status. Entries of other writers stay as they are. A positive result is when to look again.
func report(vmi *kubevirtv1.VirtualMachineInstance, g guest.Guest, settings faults.Settings, now metav1.Time) time.Duration {
	status, state, machine := &vmi.Status, g.Status(), g.Machine()
	status.Interfaces = interfaces(vmi, machine)
	// virt-controller makes no attachment pods before this is set.
	status.SelinuxContext = "none"
	status.Machine = &kubevirtv1.Machine{Type: "pc-q35-rhel9.6.0"}
	if machine.MemoryBytes > 0 {
		current := resource.NewQuantity(machine.MemoryBytes, resource.BinarySI)
		if status.Memory == nil {
			status.Memory = &kubevirtv1.MemoryStatus{GuestAtBoot: current, GuestRequested: current}
		}
		status.Memory.GuestCurrent = current
	}
	status.FSFreezeStatus = ""
	if state.Frozen {
		status.FSFreezeStatus = "frozen"
	}
	again := reportAgent(status, g, settings, now)
	reportPause(status, state.State == guest.Paused, now)
	reportMigration(vmi, now)
	for i := range status.VolumeStatus {
		reportVolume(vmi, &status.VolumeStatus[i], machine.Disks, now)
	}
	return again
}

func interfaces(vmi *kubevirtv1.VirtualMachineInstance, machine guest.Machine) []kubevirtv1.VirtualMachineInstanceNetworkInterface {
	var list []kubevirtv1.VirtualMachineInstanceNetworkInterface
	for i, device := range vmi.Spec.Domain.Devices.Interfaces {
		entry := kubevirtv1.VirtualMachineInstanceNetworkInterface{
			Name: device.Name, MAC: mac(vmi, device, i), InterfaceName: fmt.Sprintf("eth%d", i),
			PodInterfaceName: fmt.Sprintf("eth%d", i), InfoSource: "domain, guest-agent", QueueCount: 1, LinkState: "up",
		}
		if i == 0 {
			entry.IP, entry.IPs = machine.IP, []string{machine.IP}
		}
		list = append(list, entry)
	}
	return list
}

// agentDelay is how long after its boot the guest agent of a guest connects: some time after the machine is Running.
const agentDelay = 300 * time.Millisecond

func reportAgent(status *kubevirtv1.VirtualMachineInstanceStatus, g guest.Guest, settings faults.Settings, now metav1.Time) time.Duration {
	system := g.System()
	left := agentDelay - now.Sub(system.Booted)
	if settings.GuestAgent == faults.Absent || left > 0 && !g.Machine().Attach {
		removeCondition(status, kubevirtv1.VirtualMachineInstanceAgentConnected)
		status.GuestOSInfo = kubevirtv1.VirtualMachineInstanceGuestOSInfo{}
		return max(left, 0)
	}
	addCondition(status, kubevirtv1.VirtualMachineInstanceCondition{
		Type: kubevirtv1.VirtualMachineInstanceAgentConnected, Status: corev1.ConditionTrue,
	}, now)
	status.GuestOSInfo = osInfo(system)
	return 0
}

func osInfo(system guest.System) kubevirtv1.VirtualMachineInstanceGuestOSInfo {
	return kubevirtv1.VirtualMachineInstanceGuestOSInfo{
		ID: system.ID, Name: system.Name, Version: system.Version, VersionID: system.Version, PrettyName: system.Pretty,
		KernelRelease: system.KernelRelease, KernelVersion: system.KernelVersion, Machine: system.Machine,
	}
}

func reportPause(status *kubevirtv1.VirtualMachineInstanceStatus, paused bool, now metav1.Time) {
	if !paused {
		removeCondition(status, kubevirtv1.VirtualMachineInstancePaused)
		return
	}
	addCondition(status, kubevirtv1.VirtualMachineInstanceCondition{
		Type: kubevirtv1.VirtualMachineInstancePaused, Status: corev1.ConditionTrue,
		Reason: "PausedByUser", Message: "VMI was paused by user",
	}, now)
}

func reportMigration(vmi *kubevirtv1.VirtualMachineInstance, now metav1.Time) {
	live := kubevirtv1.VirtualMachineInstanceCondition{Type: kubevirtv1.VirtualMachineInstanceIsMigratable, Status: corev1.ConditionTrue}
	devices := vmi.Spec.Domain.Devices
	switch claim := unsharedClaim(vmi); {
	case len(devices.GPUs)+len(devices.HostDevices) > 0:
		live.Status, live.Reason = corev1.ConditionFalse, kubevirtv1.VirtualMachineInstanceReasonHostDeviceNotMigratable
		live.Message = "VMI uses a PCI host devices"
	case claim != "":
		live.Status, live.Reason = corev1.ConditionFalse, kubevirtv1.VirtualMachineInstanceReasonDisksNotMigratable
		live.Message = "cannot migrate VMI: PVC " + claim +
			" is not shared, live migration requires that all PVCs must be shared (using ReadWriteMany access mode)"
	}
	replaceCondition(&vmi.Status, live, now)
	storage := kubevirtv1.VirtualMachineInstanceCondition{
		Type: kubevirtv1.VirtualMachineInstanceIsStorageLiveMigratable, Status: corev1.ConditionTrue}
	if live.Reason == kubevirtv1.VirtualMachineInstanceReasonHostDeviceNotMigratable {
		storage.Status, storage.Reason, storage.Message = live.Status, live.Reason, live.Message
	}
	replaceCondition(&vmi.Status, storage, now)
}

// reportVolume names the device of a volume, and takes a hot-plugged one
// through attachment and removal, and a memory dump to its end.
func reportVolume(vmi *kubevirtv1.VirtualMachineInstance, volume *kubevirtv1.VolumeStatus, disks []guest.Disk, now metav1.Time) {
	at := slices.IndexFunc(disks, func(d guest.Disk) bool { return d.Name == volume.Name })
	if volume.HotplugVolume == nil {
		if at >= 0 {
			volume.Target = disks[at].Target
		}
		return
	}
	wanted := slices.ContainsFunc(vmi.Spec.Volumes, func(v kubevirtv1.Volume) bool { return v.Name == volume.Name })
	attached := volume.Phase == kubevirtv1.HotplugVolumeAttachedToNode || volume.Phase == kubevirtv1.HotplugVolumeMounted
	move := func(phase kubevirtv1.VolumePhase, reason, message string) {
		volume.Phase, volume.Reason, volume.Message = phase, reason, message
	}
	switch {
	case !wanted && volume.Phase != kubevirtv1.HotplugVolumeUnMounted:
		volume.Target = ""
		move(kubevirtv1.HotplugVolumeUnMounted, "VolumeUnMountedFromPod",
			fmt.Sprintf("Volume %s has been unmounted from virt-launcher pod", volume.Name))
	case wanted && attached && volume.MemoryDumpVolume != nil:
		volume.MemoryDumpVolume.TargetFileName = fmt.Sprintf("%s-%s-%s.memory.dump", vmi.Name, volume.Name, now.UTC().Format("20060102-150405"))
		volume.MemoryDumpVolume.StartTimestamp, volume.MemoryDumpVolume.EndTimestamp = &now, &now
		move(kubevirtv1.MemoryDumpVolumeCompleted, "VolumeReady",
			fmt.Sprintf("Memory dump to Volume %s has completed successfully", volume.Name))
	case wanted && attached && at >= 0:
		volume.Target = disks[at].Target
		move(kubevirtv1.VolumeReady, "VolumeReady", fmt.Sprintf("Successfully attach hotplugged volume %s to VM", volume.Name))
	}
}

func condition(status *kubevirtv1.VirtualMachineInstanceStatus, kind kubevirtv1.VirtualMachineInstanceConditionType) *kubevirtv1.VirtualMachineInstanceCondition {
	for i := range status.Conditions {
		if status.Conditions[i].Type == kind {
			return &status.Conditions[i]
		}
	}
	return nil
}

// addCondition leaves a condition that is there already as it is.
func addCondition(status *kubevirtv1.VirtualMachineInstanceStatus, added kubevirtv1.VirtualMachineInstanceCondition, now metav1.Time) {
	if condition(status, added.Type) != nil {
		return
	}
	added.LastProbeTime, added.LastTransitionTime = now, now
	status.Conditions = append(status.Conditions, added)
}

func replaceCondition(status *kubevirtv1.VirtualMachineInstanceStatus, wanted kubevirtv1.VirtualMachineInstanceCondition, now metav1.Time) {
	old := condition(status, wanted.Type)
	if old != nil && old.Status == wanted.Status && old.Reason == wanted.Reason && old.Message == wanted.Message {
		return
	}
	removeCondition(status, wanted.Type)
	addCondition(status, wanted, now)
}

func removeCondition(status *kubevirtv1.VirtualMachineInstanceStatus, kind kubevirtv1.VirtualMachineInstanceConditionType) {
	status.Conditions = slices.DeleteFunc(status.Conditions, func(c kubevirtv1.VirtualMachineInstanceCondition) bool { return c.Type == kind })
}

// defaultGrace is KubeVirt's grace period where a machine names none.
const defaultGrace = 30 * time.Second

func gracePeriod(vmi *kubevirtv1.VirtualMachineInstance) time.Duration {
	if vmi.Spec.TerminationGracePeriodSeconds == nil {
		return defaultGrace
	}
	return time.Duration(*vmi.Spec.TerminationGracePeriodSeconds) * time.Second
}

// stopStart is when the stop of a machine began: its own deletion, or that of
// its launcher pod, whose deletion time is a deadline.
func stopStart(vmi *kubevirtv1.VirtualMachineInstance, launchers []*corev1.Pod) (time.Time, bool) {
	if vmi.DeletionTimestamp != nil {
		return vmi.DeletionTimestamp.Time, true
	}
	for _, pod := range launchers {
		if pod.DeletionTimestamp == nil || pod.Spec.NodeName != vmi.Status.NodeName {
			continue
		}
		start := pod.DeletionTimestamp.Time
		if pod.DeletionGracePeriodSeconds != nil {
			start = start.Add(-time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second)
		}
		return start, true
	}
	return time.Time{}, false
}
