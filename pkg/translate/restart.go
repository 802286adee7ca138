package translate

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/sets"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

// Change is a field of the VirtualServer whose new value waits for a restart of the machine.
type Change struct {
	// Field is the path of the field in the VirtualServer.
	Field string
	// From is what the machine runs with. It is empty where the value must not be shown.
	From string
	// To is what the machine will run with after the restart. It is empty where the value must not be shown.
	To string
}

// String returns the change as "field: from -> to", or "field: changed" where the values must not be shown.
func (c Change) String() string {
	if c.From == "" && c.To == "" {
		return c.Field + ": changed"
	}
	return fmt.Sprintf("%s: %s -> %s", c.Field, c.From, c.To)
}

// fieldCloudInit is the field of the user data, whichever way it is given.
const fieldCloudInit = "spec.cloudInit"

// none stands for a value that is not set.
const none = "none"

// RestartRequired compares the machine that is wanted with the machine that runs, in the fields that we own, and returns
// what waits for a restart. vm comes from VirtualMachine or MergeVirtualMachine. It returns nothing without a running
// instance. What KubeVirt changes in a running machine is left out: more memory, where the machine can migrate, unless
// KubeVirt has begun and no migration comes. The user data of cloud-init is never part of a change.
func RestartRequired(vm *kubevirtv1.VirtualMachine, vmi *kubevirtv1.VirtualMachineInstance) []Change {
	if vm == nil || vm.Spec.Template == nil || vmi == nil || vmi.IsFinal() || vmi.DeletionTimestamp != nil {
		return nil
	}
	wantRecord := readRecord(vm.Spec.Template.ObjectMeta.Annotations)
	runRecord := readRecord(vmi.Annotations)
	want, runs := &vm.Spec.Template.Spec, &vmi.Spec

	var c changes
	c.add("spec.resources.cpu.cores", cpuCount(runs.Domain.CPU), cpuCount(want.Domain.CPU))
	c.add("spec.resources.cpu.model",
		textOf(runs.Domain.CPU, want.Domain.CPU, cpuModel, runRecord.CPUModel), cpuModel(want.Domain.CPU))
	c.add("spec.resources.gpu", gpuText(runs.Domain.Devices.GPUs), gpuText(want.Domain.Devices.GPUs))
	c.addAttachments(withoutKeysDisk(want, vm.Name, wantRecord), withoutKeysDisk(runs, vm.Name, runRecord),
		runRecord.ownVolumes().Union(wantRecord.ownVolumes()), wantRecord.Copied, runRecord.Copied)
	if runRecord.known() {
		c.addRecorded(runRecord, wantRecord)
	}
	wantNIC, runsNIC := ourInterface(want), ourInterface(runs)
	c.add("spec.network.macAddress",
		textOf(runsNIC, wantNIC, macAddress, normalMAC(runRecord.MACAddress)), macAddress(wantNIC))
	c.add("spec.network.dnsPolicy", dnsPolicy(runs), dnsPolicy(want))
	c.add("spec.network.dnsConfig", dnsText(runs.DNSConfig), dnsText(want.DNSConfig))
	secrets := sets.New(runRecord.SSHKeys, wantRecord.SSHKeys)
	c.add("spec.sshKeys", keysText(runs.AccessCredentials, secrets), keysText(want.AccessCredentials, secrets))
	if runRecord.known() && runRecord.CloudInit != wantRecord.CloudInit && !c.has(fieldCloudInit) {
		c = append(c, Change{Field: fieldCloudInit})
	}
	// KubeVirt changes nothing in a running machine as long as another change waits for a restart.
	has := memoryOf(vmi)
	// Nor in one whose next run has other volumes, as each run with a copy of a claim has.
	fixed := len(c) > 0 || len(wantRecord.Copied) > 0
	if !sameMemory(has, want.Domain.Memory) && (fixed || !memoryChangesLive(want, vmi)) {
		c.add("spec.resources.memory", memoryText(has), memoryText(want.Domain.Memory))
	}
	return c
}

// memoryOf returns the memory that the guest was given. Once KubeVirt means to plug in more, the spec of the instance tells
// only what it will have: until a migration has ended well, and for ever where nothing migrates the machine.
func memoryOf(vmi *kubevirtv1.VirtualMachineInstance) *kubevirtv1.Memory {
	memory := vmi.Spec.Domain.Memory
	if memory == nil || vmi.Status.Memory == nil || vmi.Status.Memory.GuestRequested == nil {
		return memory
	}
	memory = memory.DeepCopy()
	memory.Guest = vmi.Status.Memory.GuestRequested
	return memory
}

type changes []Change

func (c *changes) add(field, from, to string) {
	if from != to {
		*c = append(*c, Change{Field: field, From: orNone(from), To: orNone(to)})
	}
}

func (c changes) has(field string) bool {
	for _, change := range c {
		if change.Field == field {
			return true
		}
	}
	return false
}

func orNone(text string) string {
	if text == "" {
		return none
	}
	return text
}

// textOf returns what the machine runs with, for a text that others fill in if the user gives none. Without a wanted value
// only the value that the user gave before counts.
func textOf[T any](runs, want T, text func(T) string, before string) string {
	if text(want) == "" {
		return before
	}
	return text(runs)
}

func cpuModel(cpu *kubevirtv1.CPU) string {
	if cpu == nil {
		return ""
	}
	return cpu.Model
}

func cpuCount(cpu *kubevirtv1.CPU) string {
	if cpu == nil {
		return "1"
	}
	return fmt.Sprint(uint64(max(cpu.Cores, 1)) * uint64(max(cpu.Sockets, 1)) * uint64(max(cpu.Threads, 1)))
}

func memoryText(memory *kubevirtv1.Memory) string {
	if memory == nil || memory.Guest == nil {
		return ""
	}
	return memory.Guest.String()
}

// sameMemory compares amounts, which may be written in different ways.
func sameMemory(a, b *kubevirtv1.Memory) bool {
	if memoryText(a) == "" || memoryText(b) == "" {
		return memoryText(a) == memoryText(b)
	}
	return a.Guest.Cmp(*b.Guest) == 0
}

// memoryChangesLive says whether KubeVirt is about to plug the memory into the running machine, or does so now: the rules are
// those of its pkg/virt-controller/watch/vm, function handleMemoryHotplugRequest, and pkg/liveupdate/memory. It plugs memory
// while it migrates the machine.
func memoryChangesLive(want *kubevirtv1.VirtualMachineInstanceSpec, vmi *kubevirtv1.VirtualMachineInstance) bool {
	runs := vmi.Spec.Domain.Memory
	if runs == nil || runs.Guest == nil || runs.MaxGuest == nil || want.Domain.Memory == nil || want.Domain.Memory.Guest == nil {
		return false
	}
	if hasCondition(vmi, kubevirtv1.VirtualMachineInstanceMemoryChange, corev1.ConditionTrue) {
		return migrates(vmi)
	}
	guest := want.Domain.Memory.Guest
	if booted := vmi.Status.Memory; booted != nil && booted.GuestAtBoot != nil && guest.Cmp(*booted.GuestAtBoot) < 0 {
		return false
	}
	return guest.Cmp(*runs.Guest) > 0 && guest.Cmp(*runs.MaxGuest) <= 0 &&
		guest.Value() >= hotplugMinimum && guest.Value()%hotplugAlignment == 0 && vmi.Spec.Architecture == hotplugArchitecture &&
		hasCondition(vmi, kubevirtv1.VirtualMachineInstanceIsMigratable, corev1.ConditionTrue) &&
		!hasCondition(vmi, kubevirtv1.VirtualMachineInstanceMemoryChange, corev1.ConditionFalse)
}

// migrates says whether the machine is being moved to another node.
func migrates(vmi *kubevirtv1.VirtualMachineInstance) bool {
	state := vmi.Status.MigrationState
	return state != nil && state.StartTimestamp != nil && state.EndTimestamp == nil && !state.Completed && !state.Failed
}

// Limits of KubeVirt's memory hotplug (pkg/liveupdate/memory of KubeVirt), in bytes, and the only architecture that has it.
const (
	hotplugAlignment    = 2 << 20
	hotplugMinimum      = 1 << 30
	hotplugArchitecture = "amd64"
)

func hasCondition(vmi *kubevirtv1.VirtualMachineInstance, kind kubevirtv1.VirtualMachineInstanceConditionType,
	status corev1.ConditionStatus) bool {
	for _, condition := range vmi.Status.Conditions {
		if condition.Type == kind {
			return condition.Status == status
		}
	}
	return false
}

// gpuText counts our GPUs by type. GPUs of others are not ours to compare.
func gpuText(gpus []kubevirtv1.GPU) string {
	count := map[string]int{}
	var types []string
	for _, gpu := range gpus {
		if !strings.HasPrefix(gpu.Name, gpuPrefix) {
			continue
		}
		if count[gpu.DeviceName] == 0 {
			types = append(types, gpu.DeviceName)
		}
		count[gpu.DeviceName]++
	}
	texts := make([]string, 0, len(types))
	for _, name := range types {
		texts = append(texts, fmt.Sprintf("%d x %s", count[name], name))
	}
	return strings.Join(texts, ", ")
}

func ourInterface(spec *kubevirtv1.VirtualMachineInstanceSpec) kubevirtv1.Interface {
	ours := kubevirtv1.DefaultMasqueradeNetworkInterface().Name
	for _, nic := range spec.Domain.Devices.Interfaces {
		if nic.Name == ours {
			return nic
		}
	}
	return kubevirtv1.Interface{}
}

func macAddress(nic kubevirtv1.Interface) string { return normalMAC(nic.MacAddress) }

func dnsPolicy(spec *kubevirtv1.VirtualMachineInstanceSpec) string {
	if spec.DNSPolicy == "" {
		return string(corev1.DNSClusterFirst)
	}
	return string(spec.DNSPolicy)
}

func dnsText(config *corev1.PodDNSConfig) string {
	if config == nil || equality.Semantic.DeepEqual(*config, corev1.PodDNSConfig{}) {
		return ""
	}
	var texts []string
	if len(config.Nameservers) > 0 {
		texts = append(texts, "nameservers "+strings.Join(config.Nameservers, " "))
	}
	if len(config.Searches) > 0 {
		texts = append(texts, "searches "+strings.Join(config.Searches, " "))
	}
	for _, option := range config.Options {
		text := "option " + option.Name
		if option.Value != nil {
			text += ":" + *option.Value
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", ")
}
