package translate

import (
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/quantity"
)

// Options are what the controller says about a VirtualMachine beside the spec.
type Options struct {
	// RunStrategy is the strategy to write into the VirtualMachine, together with AnnotationAppliedRunStrategy. If it is
	// empty neither is set, and a merge keeps what the VirtualMachine has.
	RunStrategy v1beta1.RunStrategy
	// Copies are the claims that the next run uses in place of ephemeral claims, by the name of the filesystem; see package
	// scratch. Without one the filesystem gets the name of a first run.
	Copies map[string]string
}

// VirtualMachine returns the VirtualMachine that the VirtualServer describes. Its name is status.vm.name. The error is an
// aggregate of field errors and says what in the spec KubeVirt cannot realise.
func VirtualMachine(vs *v1beta1.VirtualServer, options Options) (*kubevirtv1.VirtualMachine, error) {
	var errs field.ErrorList
	if vs.Status.VM.Name == "" {
		errs = append(errs, field.Required(field.NewPath("status", "vm", "name"), "the machine has no name yet"))
	}
	cpu, err := cpuOf(vs.Spec.Resources.CPU)
	if err != nil {
		errs = append(errs, err)
	}
	attached, attachErrs := attachments(vs, options.Copies)
	errs = append(errs, attachErrs...)
	if len(errs) > 0 {
		return nil, errs.ToAggregate()
	}

	vm := &kubevirtv1.VirtualMachine{
		TypeMeta: metav1.TypeMeta{
			APIVersion: kubevirtv1.VirtualMachineGroupVersionKind.GroupVersion().String(),
			Kind:       kubevirtv1.VirtualMachineGroupVersionKind.Kind,
		},
		ObjectMeta: objectMeta(vs),
	}
	if strategy := options.RunStrategy; strategy != "" {
		vm.Spec.RunStrategy = ptr.To(kubevirtv1.VirtualMachineRunStrategy(strategy))
		vm.Annotations[AnnotationAppliedRunStrategy] = string(strategy)
	}

	network := vs.Spec.Network
	template := &kubevirtv1.VirtualMachineInstanceTemplateSpec{}
	template.ObjectMeta.Labels = Labels(vs)
	template.ObjectMeta.Labels[LabelMachine] = vs.Status.VM.Name
	template.Spec = kubevirtv1.VirtualMachineInstanceSpec{
		Domain: kubevirtv1.DomainSpec{
			CPU:      cpu,
			Memory:   &kubevirtv1.Memory{Guest: ptr.To(vs.Spec.Resources.Memory.DeepCopy())},
			Firmware: firmwareOf(vs),
			Features: featuresOf(vs),
			Devices: kubevirtv1.Devices{
				Disks:       attached.disks,
				Filesystems: attached.filesystems,
				GPUs:        gpus(vs.Spec.Resources.GPU),
				Interfaces:  []kubevirtv1.Interface{networkInterface(network)},
				// Without this KubeVirt refuses usbredir. It only adds empty slots; who may plug something in is a right of its own.
				ClientPassthrough:     &kubevirtv1.ClientPassthroughDevices{},
				UseVirtioTransitional: copyOf(vs.Spec.UseVirtioTransitional),
			},
		},
		Volumes:   attached.volumes,
		Networks:  []kubevirtv1.Network{*kubevirtv1.DefaultPodNetwork()},
		DNSPolicy: network.DNSPolicy,
		DNSConfig: dnsConfig(network),

		AccessCredentials: accessCredentials(vs.Spec.SSHKeys),
		// Live migration is not supported, so a drained node shuts the machine down as it would a pod.
		EvictionStrategy: ptr.To(kubevirtv1.EvictionStrategyNone),
		Hostname:         hostname(vs),
	}
	place(vs, template)
	template.ObjectMeta.Annotations = map[string]string{
		AnnotationName:    vs.Name,
		AnnotationApplied: recordOf(vs, template).String(),
	}
	vm.Spec.Template = template
	return vm, nil
}

// cpuOf puts the number of CPUs into cores. KubeVirt changes the number of sockets of a machine that runs, and migrates it
// to do so; migration is not supported here, and for most machines not possible. A change of cores waits for a restart
// and is reported. maxSockets 1 keeps KubeVirt from reserving four times the CPUs for such a change.
func cpuOf(cpu v1beta1.CPU) (*kubevirtv1.CPU, *field.Error) {
	cores, err := quantity.Cores(cpu.Cores)
	if err != nil {
		return nil, field.Invalid(field.NewPath("spec", "resources", "cpu", "cores"), cpu.Cores.String(), err.Error())
	}
	return &kubevirtv1.CPU{Cores: cores, Sockets: 1, MaxSockets: 1, Threads: 1, Model: cpu.Model}, nil
}

// gpuPrefix is what the names of our GPUs start with.
const gpuPrefix = "gpu-"

func gpus(gpu *v1beta1.GPU) []kubevirtv1.GPU {
	if gpu == nil {
		return nil
	}
	var devices []kubevirtv1.GPU
	for i := range gpu.Count {
		devices = append(devices, kubevirtv1.GPU{Name: gpuPrefix + strconv.Itoa(int(i)), DeviceName: gpu.Type})
	}
	return devices
}
