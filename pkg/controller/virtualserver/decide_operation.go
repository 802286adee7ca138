package virtualserver

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/status"
)

// operationAction says what to do next for a pending operation.
type operationAction string

const (
	// actionWait waits for the machine or for KubeVirt. A change of either starts the next pass.
	actionWait operationAction = "wait"
	// actionStart, actionStop and actionRestart ask KubeVirt for an operation.
	actionStart   operationAction = "start"
	actionStop    operationAction = "stop"
	actionRestart operationAction = "restart"
	// actionCancel takes back requests that KubeVirt holds and that stand against the operation. KubeVirt keeps a queued
	// start even under Halted and would start the machine again.
	actionCancel operationAction = "cancel"
	// actionDone ends the operation, which has been carried out.
	actionDone operationAction = "done"
	// actionFail ends the operation, which cannot be carried out any more.
	actionFail operationAction = "fail"
)

// messageAsked stands in a pending operation after KubeVirt has accepted it.
const messageAsked = "KubeVirt has been asked and carries it out."

// messageNotWritten stands there until the VirtualMachine has the run strategy that the operation needs.
const messageNotWritten = "It waits for the run strategy to be written to the VirtualMachine."

// messageNotTaken stands there while KubeVirt may still act on the strategy before: virt-controller works on what it has
// seen, and under RerunOnFailure it puts a start of its own into its queue.
const messageNotTaken = "It waits for KubeVirt to act on the run strategy."

// messageOldSpec ends a restart while the VirtualMachine cannot be made what the spec says. A restart is not kept waiting for
// that: a guest that hangs has to be restarted all the same.
const messageOldSpec = "The machine runs with what it had before, since the spec is not in force: see the condition Reconciled."

// operationDecision is what to do next for a pending operation.
type operationDecision struct {
	action operationAction
	// holdStrategy keeps the controller from writing the run strategy: KubeVirt must still see the present one.
	holdStrategy bool
	// message says what the operation waits for, or why it ended.
	message string
}

func waitFor(message string) operationDecision {
	return operationDecision{action: actionWait, message: message}
}

func done(message string) operationDecision {
	return operationDecision{action: actionDone, message: message}
}

// decideOperation decides what to do next for a pending operation. It looks only at the operation and at the present
// state, so a process that was killed at any point decides right when it comes back: what KubeVirt was asked for stands in
// its queue, or shows in the instance, whose UID tells one run of the machine from the next. vmi is nil if there is none.
func decideOperation(
	op *v1beta1.Operation, vm *kubevirtv1.VirtualMachine, vmi *kubevirtv1.VirtualMachineInstance,
) operationDecision {
	if vm == nil && vmi == nil && op.Type == v1beta1.OperationStop {
		// It may never be created: an image that does not exist is imported without end.
		return done("")
	}
	if vm == nil {
		return waitFor("It waits for the VirtualMachine to be created.")
	}
	if vm.DeletionTimestamp != nil {
		return waitFor("It waits for the VirtualMachine, which somebody deleted, to be made again.")
	}
	m := newMachineState(vm, vmi)
	switch op.Type {
	case v1beta1.OperationStart:
		if op.ToRunStrategy == v1beta1.RunStrategyAlways {
			return decideStartAlways(op, m)
		}
		return decideStart(op, m)
	case v1beta1.OperationStop:
		if op.ToRunStrategy == v1beta1.RunStrategyHalted {
			return decideHalt(op, m)
		}
		return decideStop(op, m)
	case v1beta1.OperationRestart:
		return decideRestart(op, m)
	default:
		return operationDecision{action: actionFail, message: fmt.Sprintf("The operation %q is not known.", op.Type)}
	}
}

// machineState is what the decisions look at.
type machineState struct {
	strategy v1beta1.RunStrategy
	// taken says that KubeVirt has acted on the strategy, if there is an instance. Before, it may still stop the machine for
	// the one before. outdated says that it has acted on another one, for which it may still start the machine.
	taken, outdated bool
	// exists says that there is an instance, ended or not; live that it has not ended; deleting that it is being deleted.
	exists, live, deleting bool
	uid                    types.UID
	failed                 bool
	// grace is the grace period of the instance in seconds.
	grace int64
	// startQueued and stopQueued say what KubeVirt was asked for and has not finished: to start the machine, and to stop
	// this very instance. startPaused says that it is to start paused.
	startQueued, startPaused, stopQueued bool
	// startBlocked says that KubeVirt has failed to create the instance, which it tries again and again.
	startBlocked bool
}

func newMachineState(vm *kubevirtv1.VirtualMachine, vmi *kubevirtv1.VirtualMachineInstance) machineState {
	m := machineState{strategy: strategyOf(vm)}
	same := v1beta1.RunStrategy(vm.Status.RunStrategy) == m.strategy
	// The strategy alone does not tell: it may have been another one for a moment, on which KubeVirt acts now. While there is
	// an instance, KubeVirt also writes the generation that it has acted on, unless it cannot tell that of an instance that
	// a much older release made (syncGenerationInfo).
	seen := vm.Status.DesiredGeneration
	m.taken = same && (seen == vm.Generation || seen == 0)
	// KubeVirt writes no strategy into the status before the machine has had an instance (updateStatus).
	m.outdated = !same && vm.Status.RunStrategy != ""
	if start := queuedStart(vm); start != nil {
		m.startQueued, m.startPaused = true, startsPaused(start)
	}
	m.startBlocked = status.MachineFailure(vm) != nil
	if vmi == nil {
		return m
	}
	m.exists, m.uid = true, vmi.UID
	m.live = !vmi.IsFinal()
	m.failed = vmi.Status.Phase == kubevirtv1.Failed
	m.deleting = vmi.DeletionTimestamp != nil
	m.grace = graceOf(vmi)
	m.stopQueued = slices.ContainsFunc(vm.Status.StateChangeRequests,
		func(r kubevirtv1.VirtualMachineStateChangeRequest) bool {
			return r.Action == kubevirtv1.StopRequest && r.UID != nil && *r.UID == vmi.UID
		})
	return m
}

// queuedStart returns the request to start the machine that KubeVirt has not finished, or nil.
func queuedStart(vm *kubevirtv1.VirtualMachine) *kubevirtv1.VirtualMachineStateChangeRequest {
	for i, request := range vm.Status.StateChangeRequests {
		if request.Action == kubevirtv1.StartRequest {
			return &vm.Status.StateChangeRequests[i]
		}
	}
	return nil
}

// strayStart says that KubeVirt holds a request to start a machine which is to be halted. KubeVirt leaves one behind when a
// machine under RerunOnFailure fails while it is being halted, and acts on it: it turns Halted into Always. Only a start
// with the option paused is a person's wish there; a plain one writes the strategy at once.
func strayStart(vm *kubevirtv1.VirtualMachine, wanted v1beta1.RunStrategy) bool {
	if wanted != v1beta1.RunStrategyHalted || strategyOf(vm) != v1beta1.RunStrategyHalted {
		return false
	}
	start := queuedStart(vm)
	return start != nil && !startsPaused(start)
}

func startsPaused(start *kubevirtv1.VirtualMachineStateChangeRequest) bool {
	return start.Data[kubevirtv1.StartRequestDataPausedKey] == kubevirtv1.StartRequestDataPausedTrue
}

// stopping says that the instance is on its way to end.
func (m machineState) stopping() bool {
	return m.live && (m.deleting || m.stopQueued)
}

// startStuck says that the instance ended before virt-controller saw it run. Under Manual KubeVirt then neither starts
// another one nor drops the start (syncRunStrategy and isTrimFirstChangeRequestNeeded).
func (m machineState) startStuck() bool {
	return m.startQueued && m.exists && !m.live && !m.deleting && !m.stopQueued && m.strategy == v1beta1.RunStrategyManual
}

// decideStartAlways starts a halted machine. Writing Always is enough, except for a paused start, which only KubeVirt's own
// operation can do.
func decideStartAlways(op *v1beta1.Operation, m machineState) operationDecision {
	if m.strategy == v1beta1.RunStrategyAlways {
		return done("")
	}
	if m.startQueued && m.startPaused && !op.Paused {
		// It was asked for by a start that is not wanted any more, and the next instance would obey it.
		return operationDecision{action: actionCancel, holdStrategy: true}
	}
	if !op.Paused || m.strategy != v1beta1.RunStrategyHalted {
		return waitFor(messageNotWritten)
	}
	decision := operationDecision{action: actionStart, holdStrategy: true}
	switch {
	case m.startQueued:
		decision.action, decision.message = actionWait, messageAsked
	case m.live:
		decision.action, decision.message = actionWait, "It waits for the machine to finish shutting down."
	}
	return decision
}

// decideStart starts a machine under RerunOnFailure or Manual.
func decideStart(op *v1beta1.Operation, m machineState) operationDecision {
	switch {
	case m.strategy != op.ToRunStrategy:
		return waitFor(messageNotWritten)
	case m.stopping():
		return waitFor("It waits for the machine to finish shutting down.")
	case m.live && !m.taken && op.FromRunStrategy != op.ToRunStrategy:
		return waitFor(messageNotTaken)
	case m.live && m.uid != op.InstanceUID:
		return done("")
	case m.live:
		return done("The machine was running.")
	case m.startQueued && m.startPaused != op.Paused:
		// It was asked for by a start that is not wanted any more.
		return operationDecision{action: actionCancel}
	case m.startStuck():
		// Asked anew, KubeVirt removes the ended instance first.
		return operationDecision{action: actionCancel}
	case m.startQueued:
		return waitFor(messageAsked)
	case m.strategy == v1beta1.RunStrategyRerunOnFailure && m.failed:
		return waitFor("The machine failed and KubeVirt restarts it by itself.")
	default:
		return operationDecision{action: actionStart}
	}
}

// decideHalt stops a machine by the run strategy Halted. With a grace period KubeVirt's own operation comes first: it
// writes the period into the instance.
func decideHalt(op *v1beta1.Operation, m machineState) operationDecision {
	halted := m.strategy == v1beta1.RunStrategyHalted
	end := waitFor(messageNotWritten)
	switch {
	case halted && m.outdated:
		end = waitFor(messageNotTaken)
	case halted:
		end = done("")
	}
	grace := op.GracePeriodSeconds
	switch {
	case m.startQueued:
		return operationDecision{action: actionCancel, holdStrategy: true}
	case grace == nil || !m.live:
		return end
	case m.grace == *grace, (halted || m.deleting) && m.grace < *grace:
		return end
	default:
		return operationDecision{action: actionStop, holdStrategy: true}
	}
}

// decideStop stops a machine under Manual. Whatever instance lives is stopped: under Manual none starts by itself, and a
// start that was asked for after the stop would have taken its place.
func decideStop(op *v1beta1.Operation, m machineState) operationDecision {
	grace := op.GracePeriodSeconds
	switch {
	case m.startQueued && !m.exists && !m.startBlocked:
		// Taken back now it could be too late: virt-controller works on what it has seen, and nothing shows when it has done so.
		// It makes the instance at once, also while the disk is imported: the instance itself waits for that. Under Manual it
		// knows no back-off either (syncRunStrategy).
		return waitFor("It waits for the machine, which KubeVirt was asked to start before.")
	case m.startQueued:
		return operationDecision{action: actionCancel}
	case !m.live && m.outdated:
		return waitFor(messageNotTaken)
	case !m.live:
		return done("")
	case m.strategy != op.ToRunStrategy:
		return waitFor(messageNotWritten)
	case m.stopping() && (grace == nil || m.grace <= *grace):
		return waitFor(fmt.Sprintf("The guest is shutting down and has %d seconds for it.", m.grace))
	default:
		return operationDecision{action: actionStop}
	}
}

// decideRestart restarts the one instance that the operation was meant for. If there is another one, there is nothing left
// to do.
func decideRestart(op *v1beta1.Operation, m machineState) operationDecision {
	forced := op.GracePeriodSeconds != nil
	asked := op.Message == messageAsked
	switch {
	case m.strategy == v1beta1.RunStrategyHalted && op.ToRunStrategy != v1beta1.RunStrategyHalted:
		// A stop before, whose place was taken, had halted it already.
		return waitFor(messageNotWritten)
	case m.exists && m.uid != op.InstanceUID:
		return done("")
	case !m.exists && m.startQueued:
		// Not done before the next instance is there: until then a stop must still find something to stop.
		return waitFor(messageAsked)
	case !m.exists && m.strategy == v1beta1.RunStrategyAlways:
		return waitFor("The machine has ended and KubeVirt restarts it by itself.")
	case !m.exists:
		// It ended by itself before it could be restarted, and the user wants it to run.
		return operationDecision{action: actionStart}
	case !m.live && (m.strategy == v1beta1.RunStrategyAlways || m.strategy == v1beta1.RunStrategyRerunOnFailure && m.failed):
		return waitFor("The machine has ended and KubeVirt restarts it by itself.")
	case m.startStuck():
		return operationDecision{action: actionCancel}
	case forced && !asked && (m.startQueued || m.stopQueued):
		// A graceful restart is under way. KubeVirt refuses a second one.
		return operationDecision{action: actionCancel}
	case m.startQueued || m.stopQueued:
		return waitFor(messageAsked)
	case m.deleting && m.strategy == v1beta1.RunStrategyAlways && (!forced || asked):
		return waitFor("The machine is shutting down and KubeVirt restarts it by itself.")
	default:
		return operationDecision{action: actionRestart}
	}
}
