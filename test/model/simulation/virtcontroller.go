package simulation

import (
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

// virt-controller of KubeVirt 1.7, by pkg/virt-controller/watch/vm/vm.go: sync, syncRunStrategy, startVMI, stopVMI,
// updateStatus and isTrimFirstChangeRequestNeeded. Left out is the back-off after starts that fail.

const (
	// machineFinalizer keeps a machine until its instance is gone.
	machineFinalizer = "kubevirt.io/virtualMachineControllerFinalize"
	// nodeFinalizer keeps an instance until its pod is gone.
	nodeFinalizer = kubevirtv1.VirtualMachineInstanceFinalizer
)

// sight is what virt-controller looked at.
type sight struct {
	machine  *kubevirtv1.VirtualMachine
	instance *kubevirtv1.VirtualMachineInstance
}

// look lets virt-controller look at the objects.
func (k *KubeVirt) look() {
	k.seen, k.unseen = &sight{machine: k.machine, instance: k.instance}, false
}

// act lets virt-controller act on what it has looked at, which may have changed meanwhile.
func (k *KubeVirt) act() {
	s := k.seen
	k.seen = nil
	if s.machine == nil || k.machine == nil || k.machine.UID != s.machine.UID {
		return
	}
	if s.machine.DeletionTimestamp != nil {
		switch {
		case s.instance != nil:
			k.controllerDeletes(s)
		case k.instance == nil:
			k.dropMachine()
			return
		}
	} else if !k.syncRunStrategy(s) {
		// An error ends a pass before the status, but in this one case.
		k.unseen = true
	}
	k.updateStatus(s)
}

// controllerDeletes is stopVMI.
func (k *KubeVirt) controllerDeletes(s *sight) {
	if s.instance.DeletionTimestamp == nil {
		k.deleteInstance()
		if k.instance != nil {
			k.tell("VirtualMachine", "SuccessfulDelete",
				"Stopped the virtual machine by deleting the virtual machine instance "+string(s.instance.UID))
		}
	}
}

// syncRunStrategy returns false for an error.
func (k *KubeVirt) syncRunStrategy(s *sight) bool {
	vmi := s.instance
	asked := vmi != nil && hasStop(s.machine, vmi)
	switch strategy := strategyOf(s.machine); strategy {
	case kubevirtv1.RunStrategyAlways:
		if vmi == nil {
			return k.createInstance(s)
		}
		if asked || vmi.IsFinal() {
			k.controllerDeletes(s)
		}
	case kubevirtv1.RunStrategyRerunOnFailure:
		if vmi == nil {
			if hasStart(s.machine) || s.machine.Status.RunStrategy != strategy {
				return k.createInstance(s)
			}
			return true
		}
		if vmi.DeletionTimestamp == nil && (asked || vmi.IsFinal()) {
			k.controllerDeletes(s)
			if vmi.Status.Phase == kubevirtv1.Failed {
				k.addStart(s)
			}
		}
	case kubevirtv1.RunStrategyManual:
		if vmi == nil && hasStart(s.machine) {
			return k.createInstance(s)
		}
		if asked {
			k.controllerDeletes(s)
		}
	case kubevirtv1.RunStrategyHalted:
		if vmi != nil {
			k.controllerDeletes(s)
		} else if hasStart(s.machine) {
			return k.startHalted(s)
		}
	}
	return true
}

// addStart writes the queue without a test. What was in it since virt-controller looked is lost.
func (k *KubeVirt) addStart(s *sight) {
	vm := k.machine.DeepCopy()
	vm.Status.StateChangeRequests = append(slices.Clone(s.machine.Status.StateChangeRequests),
		kubevirtv1.VirtualMachineStateChangeRequest{Action: kubevirtv1.StartRequest})
	k.setMachine(vm)
}

// startHalted turns Halted into Always for a start that was queued.
func (k *KubeVirt) startHalted(s *sight) bool {
	if k.machine.ResourceVersion == s.machine.ResourceVersion {
		k.write(kubevirtv1.RunStrategyAlways)
	}
	return false
}

func hasStop(vm *kubevirtv1.VirtualMachine, vmi *kubevirtv1.VirtualMachineInstance) bool {
	requests := vm.Status.StateChangeRequests
	return len(requests) > 0 && requests[0].Action == kubevirtv1.StopRequest && ptr.Deref(requests[0].UID, "") == vmi.UID
}

func hasStart(vm *kubevirtv1.VirtualMachine) bool {
	requests := vm.Status.StateChangeRequests
	return len(requests) > 0 && requests[0].Action == kubevirtv1.StartRequest
}

// createInstance is startVMI. It returns false if an instance exists.
func (k *KubeVirt) createInstance(s *sight) bool {
	if k.instance != nil {
		return false
	}
	template := s.machine.Spec.Template
	vmi := &kubevirtv1.VirtualMachineInstance{ObjectMeta: *template.ObjectMeta.DeepCopy(), Spec: *template.Spec.DeepCopy()}
	vmi.Namespace, vmi.Name = s.machine.Namespace, s.machine.Name
	vmi.Finalizers = []string{nodeFinalizer, machineFinalizer}
	vmi.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(s.machine, kubevirtv1.VirtualMachineGroupVersionKind)}
	if requests := s.machine.Status.StateChangeRequests; hasStart(s.machine) &&
		requests[0].Data[kubevirtv1.StartRequestDataPausedKey] == kubevirtv1.StartRequestDataPausedTrue {
		vmi.Spec.StartStrategy = ptr.To(kubevirtv1.StartStrategyPaused)
	}
	k.setInstance(vmi)
	return true
}

// updateStatus writes the status, unless somebody wrote the machine meanwhile.
func (k *KubeVirt) updateStatus(s *sight) {
	vm, vmi := s.machine.DeepCopy(), s.instance
	status := &vm.Status
	status.Created = vmi != nil
	status.Ready = vmi != nil && vmi.Status.Phase == kubevirtv1.Running && !isPaused(vmi)
	if status.RunStrategy != "" || status.Created {
		status.RunStrategy = strategyOf(vm)
	}
	if status.Created {
		status.DesiredGeneration = vm.Generation
	}
	if trims(vm, vmi) {
		status.StateChangeRequests = slices.Clone(status.StateChangeRequests[1:])
		if len(status.StateChangeRequests) == 0 {
			status.StateChangeRequests = nil
		}
	}
	status.PrintableStatus = printable(vm, vmi, k.instance != nil)
	if !reflect.DeepEqual(*status, s.machine.Status) {
		if k.machine == nil || k.machine.ResourceVersion != s.machine.ResourceVersion {
			k.unseen = true
			return
		}
		k.setMachine(vm)
	}
	if vmi != nil && vmi.IsFinal() && k.instance != nil && k.instance.UID == vmi.UID {
		k.removeFinalizer(machineFinalizer)
	}
}

// trims is isTrimFirstChangeRequestNeeded.
func trims(vm *kubevirtv1.VirtualMachine, vmi *kubevirtv1.VirtualMachineInstance) bool {
	switch requests := vm.Status.StateChangeRequests; {
	case len(requests) == 0:
		return false
	case requests[0].Action == kubevirtv1.StopRequest:
		return vmi == nil || ptr.Deref(requests[0].UID, "") != vmi.UID
	default:
		return vmi != nil && vmi.DeletionTimestamp == nil && !vmi.IsFinal()
	}
}

func isPaused(vmi *kubevirtv1.VirtualMachineInstance) bool {
	return slices.ContainsFunc(vmi.Status.Conditions, func(c kubevirtv1.VirtualMachineInstanceCondition) bool {
		return c.Type == kubevirtv1.VirtualMachineInstancePaused && c.Status == corev1.ConditionTrue
	})
}

func printable(vm *kubevirtv1.VirtualMachine, vmi *kubevirtv1.VirtualMachineInstance, starts bool) kubevirtv1.VirtualMachinePrintableStatus {
	switch {
	case vm.DeletionTimestamp != nil:
		return kubevirtv1.VirtualMachineStatusTerminating
	case vmi == nil && starts:
		return kubevirtv1.VirtualMachineStatusStarting
	case vmi == nil || vmi.IsFinal():
		return kubevirtv1.VirtualMachineStatusStopped
	case vmi.DeletionTimestamp != nil:
		return kubevirtv1.VirtualMachineStatusStopping
	case isPaused(vmi):
		return kubevirtv1.VirtualMachineStatusPaused
	case vmi.Status.Phase == kubevirtv1.Running:
		return kubevirtv1.VirtualMachineStatusRunning
	default:
		return kubevirtv1.VirtualMachineStatusStarting
	}
}

func (k *KubeVirt) removeFinalizer(name string) {
	if !slices.Contains(k.instance.Finalizers, name) {
		return
	}
	vmi := k.instance.DeepCopy()
	vmi.Finalizers = slices.DeleteFunc(vmi.Finalizers, func(f string) bool { return f == name })
	k.setInstance(vmi)
	if len(vmi.Finalizers) == 0 && vmi.DeletionTimestamp != nil {
		k.dropInstance()
	}
}
