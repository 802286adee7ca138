package handler

import (
	"time"

	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/test/nodeagent/faults"
	"tensorstack.dev/virtualserver/test/nodeagent/guest"
)

// view is all that decides the next step of a machine.
type view struct {
	phase kubevirtv1.VirtualMachineInstancePhase
	// guest is nil while this agent runs none for the machine.
	guest *guest.Status
	// stopping is set while the machine or its launcher pod is being deleted;
	// left is what remains of the grace period then, grace its whole length.
	stopping    bool
	grace, left time.Duration
	settings    faults.Settings
	// causeShown tells whether the launcher pod shows why its guest ended.
	// virt-controller removes the pod as soon as the machine is final.
	causeShown bool
}

// verdict is the next step: at most one of launch, shutdown and kill, and the
// phase to go to, which is empty if the phase stays.
type verdict struct {
	phase                  kubevirtv1.VirtualMachineInstancePhase
	launch, shutdown, kill bool
	again                  time.Duration
}

// causePoll is how soon to look again for the cause in the launcher pod.
const causePoll = 50 * time.Millisecond

// next decides as virt-handler does. A machine that is not scheduled yet, or
// that is final, is not its business.
func next(v view) verdict {
	final := v.phase == kubevirtv1.Succeeded || v.phase == kubevirtv1.Failed
	scheduled := v.phase == kubevirtv1.Scheduled
	switch {
	case final:
		return verdict{kill: alive(v.guest)}
	case !scheduled && v.phase != kubevirtv1.Running:
		return verdict{}
	case v.guest != nil && v.guest.State == guest.Exited:
		if !v.causeShown {
			return verdict{again: causePoll}
		}
		return verdict{phase: endPhase(v.guest.Exit, v.grace)}
	case v.stopping:
		return stopNext(v)
	case scheduled:
		return bootNext(v)
	case v.guest == nil:
		// The agent is new and the guest is not: take it up again.
		return verdict{launch: true}
	}
	return verdict{}
}

func alive(status *guest.Status) bool { return status != nil && status.State != guest.Exited }

func bootNext(v view) verdict {
	switch {
	case v.settings.Boot == faults.Fail:
		return verdict{phase: kubevirtv1.Failed, kill: v.guest != nil}
	case v.guest == nil && v.settings.Boot == faults.Hang:
		return verdict{}
	case v.guest == nil:
		return verdict{launch: true}
	case v.guest.State != guest.Booting:
		return verdict{phase: kubevirtv1.Running}
	}
	return verdict{}
}

func stopNext(v view) verdict {
	switch {
	case v.guest == nil && v.phase == kubevirtv1.Scheduled:
		// The launcher went away before there was a guest.
		return verdict{phase: kubevirtv1.Failed}
	case v.guest == nil:
		return verdict{launch: true}
	case v.left <= 0:
		return verdict{kill: true}
	case v.settings.Stop == faults.Hang:
		return verdict{again: v.left}
	}
	return verdict{shutdown: true, again: v.left}
}

// endPhase is the phase of a machine whose guest ended. A kill after a grace
// period counts as a failure, without one as what was asked for.
func endPhase(exit guest.Exit, grace time.Duration) kubevirtv1.VirtualMachineInstancePhase {
	switch exit {
	case guest.PoweredOff:
		return kubevirtv1.Succeeded
	case guest.Destroyed:
		if grace == 0 {
			return kubevirtv1.Succeeded
		}
	}
	return kubevirtv1.Failed
}
