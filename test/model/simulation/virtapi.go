package simulation

import (
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

// virt-api of KubeVirt 1.7, by pkg/virt-api/rest/lifecycle.go: StartVMRequestHandler, StopVMRequestHandler,
// RestartVMRequestHandler and getChangeRequestJson.

func (k *KubeVirt) refuse(name, why string) error {
	return apierrors.NewConflict(kubevirtv1.Resource("virtualmachine"), name, errors.New(why))
}

func (k *KubeVirt) strategy() kubevirtv1.VirtualMachineRunStrategy { return strategyOf(k.machine) }

func strategyOf(vm *kubevirtv1.VirtualMachine) kubevirtv1.VirtualMachineRunStrategy {
	strategy, err := vm.RunStrategy()
	if err != nil {
		return ""
	}
	return strategy
}

// request puts requests into the queue of the machine. A single stop takes the place of all.
func (k *KubeVirt) request(requests ...kubevirtv1.VirtualMachineStateChangeRequest) error {
	lonelyStop := len(requests) == 1 && requests[0].Action == kubevirtv1.StopRequest
	if len(k.machine.Status.StateChangeRequests) > 0 && !lonelyStop {
		return apierrors.NewInternalError(errors.New("unable to complete request: stop/start already underway"))
	}
	vm := k.machine.DeepCopy()
	vm.Status.StateChangeRequests = requests
	vm.Status.StartFailure = nil
	k.setMachine(vm)
	return nil
}

func (k *KubeVirt) stopRequest() kubevirtv1.VirtualMachineStateChangeRequest {
	uid := k.instance.UID
	return kubevirtv1.VirtualMachineStateChangeRequest{Action: kubevirtv1.StopRequest, UID: &uid}
}

func (k *KubeVirt) write(strategy kubevirtv1.VirtualMachineRunStrategy) {
	vm := k.machine.DeepCopy()
	vm.Spec.RunStrategy = &strategy
	k.setMachine(vm)
}

func (k *KubeVirt) missing(name string) error {
	if k.machine == nil || k.machine.Name != name {
		return apierrors.NewNotFound(kubevirtv1.Resource("virtualmachine"), name)
	}
	return nil
}

func (k *KubeVirt) start(name string, options kubevirtv1.StartOptions) error {
	if err := k.missing(name); err != nil {
		return err
	}
	vmi := k.instance
	if vmi != nil && !vmi.IsFinal() && vmi.Status.Phase != kubevirtv1.VmPhaseUnset {
		return k.refuse(name, "VM is already running")
	}
	start := kubevirtv1.VirtualMachineStateChangeRequest{Action: kubevirtv1.StartRequest, Data: map[string]string{}}
	if options.Paused {
		start.Data[kubevirtv1.StartRequestDataPausedKey] = kubevirtv1.StartRequestDataPausedTrue
	}
	switch strategy := k.strategy(); strategy {
	case kubevirtv1.RunStrategyHalted:
		if options.Paused {
			return k.request(start)
		}
		k.write(kubevirtv1.RunStrategyAlways)
		return nil
	case kubevirtv1.RunStrategyRerunOnFailure, kubevirtv1.RunStrategyManual:
		rerun := strategy == kubevirtv1.RunStrategyRerunOnFailure
		switch {
		case vmi != nil && rerun && vmi.Status.Phase == kubevirtv1.Failed:
			return k.refuse(name, "RerunOnFailure does not support starting VM from failed state")
		case vmi != nil && vmi.IsFinal():
			return k.request(k.stopRequest(), start)
		}
		return k.request(start)
	default:
		return k.refuse(name, string(strategy)+" does not support manual start requests")
	}
}

func (k *KubeVirt) stop(name string, options kubevirtv1.StopOptions) error {
	if err := k.missing(name); err != nil {
		return err
	}
	live := k.instance != nil && !k.instance.IsFinal()
	var before *int64
	if live && options.GracePeriod != nil {
		before = k.instance.Spec.TerminationGracePeriodSeconds
		if before == nil {
			return apierrors.NewInternalError(errors.New("replace operation does not apply: doc is missing key"))
		}
		vmi := k.instance.DeepCopy()
		grace := *options.GracePeriod
		vmi.Spec.TerminationGracePeriodSeconds = &grace
		k.setInstance(vmi)
	}
	switch k.strategy() {
	case kubevirtv1.RunStrategyHalted:
		switch {
		case !live:
			return k.refuse(name, "VM is not running")
		case options.GracePeriod == nil || *options.GracePeriod >= *before:
			return k.refuse(name, "Halted only supports manual stop requests with a shorter graceperiod")
		}
		return k.request(k.stopRequest())
	case kubevirtv1.RunStrategyRerunOnFailure, kubevirtv1.RunStrategyManual:
		if !live {
			return k.refuse(name, "VM is not running")
		}
		return k.request(k.stopRequest())
	default:
		k.write(kubevirtv1.RunStrategyHalted)
		return nil
	}
}

func (k *KubeVirt) restart(name string, options kubevirtv1.RestartOptions) error {
	if err := k.missing(name); err != nil {
		return err
	}
	if k.strategy() == kubevirtv1.RunStrategyHalted {
		return k.refuse(name, "RunStategy Halted does not support manual restart requests")
	}
	if k.instance == nil {
		return k.refuse(name, "VM is not running: Halted")
	}
	if err := k.request(k.stopRequest(), kubevirtv1.VirtualMachineStateChangeRequest{Action: kubevirtv1.StartRequest}); err != nil {
		return err
	}
	if options.GracePeriodSeconds != nil && !k.instance.IsFinal() {
		k.killed = true
		k.deletePod()
	}
	return nil
}
