package virtualserver

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// machine is a VirtualMachine with a strategy and what KubeVirt holds in its queue.
func machine(strategy v1beta1.RunStrategy, queue ...kubevirtv1.VirtualMachineStateChangeRequest) *kubevirtv1.VirtualMachine {
	return &kubevirtv1.VirtualMachine{
		Spec: kubevirtv1.VirtualMachineSpec{
			RunStrategy: ptr.To(kubevirtv1.VirtualMachineRunStrategy(strategy)),
		},
		Status: kubevirtv1.VirtualMachineStatus{StateChangeRequests: queue},
	}
}

// takenAs says which strategy KubeVirt has acted on.
func takenAs(strategy v1beta1.RunStrategy, vm *kubevirtv1.VirtualMachine) *kubevirtv1.VirtualMachine {
	vm.Status.RunStrategy = kubevirtv1.VirtualMachineRunStrategy(strategy)
	return vm
}

// atGeneration says which generation of the spec there is, and which one KubeVirt has acted on.
func atGeneration(generation, seen int64, vm *kubevirtv1.VirtualMachine) *kubevirtv1.VirtualMachine {
	vm.Generation, vm.Status.DesiredGeneration = generation, seen
	return vm
}

func queuedStop(uid types.UID) kubevirtv1.VirtualMachineStateChangeRequest {
	return kubevirtv1.VirtualMachineStateChangeRequest{Action: kubevirtv1.StopRequest, UID: &uid}
}

var startRequest = kubevirtv1.VirtualMachineStateChangeRequest{Action: kubevirtv1.StartRequest}

var pausedStart = kubevirtv1.VirtualMachineStateChangeRequest{
	Action: kubevirtv1.StartRequest,
	Data:   map[string]string{kubevirtv1.StartRequestDataPausedKey: kubevirtv1.StartRequestDataPausedTrue},
}

// instance is a VirtualMachineInstance in a phase.
func instance(uid types.UID, phase kubevirtv1.VirtualMachineInstancePhase) *kubevirtv1.VirtualMachineInstance {
	return &kubevirtv1.VirtualMachineInstance{
		ObjectMeta: metav1.ObjectMeta{UID: uid},
		Status:     kubevirtv1.VirtualMachineInstanceStatus{Phase: phase},
	}
}

func running(uid types.UID) *kubevirtv1.VirtualMachineInstance {
	return instance(uid, kubevirtv1.Running)
}

func deleting(vmi *kubevirtv1.VirtualMachineInstance) *kubevirtv1.VirtualMachineInstance {
	vmi.DeletionTimestamp = ptr.To(metav1.Now())
	return vmi
}

func withGrace(vmi *kubevirtv1.VirtualMachineInstance, seconds int64) *kubevirtv1.VirtualMachineInstance {
	vmi.Spec.TerminationGracePeriodSeconds = &seconds
	return vmi
}

type operationTest struct {
	name string
	op   v1beta1.Operation
	vm   *kubevirtv1.VirtualMachine
	vmi  *kubevirtv1.VirtualMachineInstance
	want operationAction
	hold bool
}

func runOperationTests(t *testing.T, tests []operationTest) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			decision := decideOperation(&test.op, test.vm, test.vmi)
			assert.Equal(t, test.want, decision.action, "message: %s", decision.message)
			assert.Equal(t, test.hold, decision.holdStrategy, "hold the strategy")
			if decision.action == actionWait || decision.action == actionFail {
				assert.NotEmpty(t, decision.message, "whoever waits wants to know for what")
			}
		})
	}
}

func TestDecideStartOperation(t *testing.T) {
	toAlways := v1beta1.Operation{Type: v1beta1.OperationStart, FromRunStrategy: halted, ToRunStrategy: always}
	paused := toAlways
	paused.Paused = true
	underManual := v1beta1.Operation{Type: v1beta1.OperationStart, FromRunStrategy: manual, ToRunStrategy: manual}
	pausedManual := underManual
	pausedManual.Paused = true
	afterStop := underManual
	afterStop.InstanceUID = "old"
	underRerun := v1beta1.Operation{Type: v1beta1.OperationStart, FromRunStrategy: rerun, ToRunStrategy: rerun}
	toRerun := v1beta1.Operation{Type: v1beta1.OperationStart, FromRunStrategy: halted, ToRunStrategy: rerun, InstanceUID: "old"}

	runOperationTests(t, []operationTest{
		{"no machine yet", toAlways, nil, nil, actionWait, false},
		{"halted", toAlways, machine(halted), nil, actionWait, false},
		{"halted and still shutting down", toAlways, machine(halted), deleting(running("old")), actionWait, false},
		{"the strategy is written", toAlways, machine(always), nil, actionDone, false},
		{"paused", paused, machine(halted), nil, actionStart, true},
		{"paused while the machine shuts down", paused, machine(halted), deleting(running("old")), actionWait, true},
		{"paused and asked", paused, machine(halted, startRequest), nil, actionWait, true},
		{"not paused after one that was", toAlways, machine(halted, pausedStart), nil, actionCancel, true},
		{"paused and KubeVirt has written the strategy", paused, machine(always, startRequest), nil, actionDone, false},

		{"manual without an instance", underManual, machine(manual), nil, actionStart, false},
		{"manual after the guest has shut down", underManual, machine(manual), instance("old", kubevirtv1.Succeeded), actionStart, false},
		{"manual and asked", underManual, machine(manual, startRequest), nil, actionWait, false},
		{"manual and asked for a start that was not paused", pausedManual, machine(manual, startRequest), nil, actionCancel, false},
		{"manual and asked to replace an ended instance", underManual,
			machine(manual, queuedStop("old"), startRequest), instance("old", kubevirtv1.Succeeded), actionWait, false},
		{"manual and the instance is there", underManual, machine(manual), instance("new", kubevirtv1.Scheduling), actionDone, false},
		{"manual while the machine shuts down", afterStop, machine(manual), deleting(running("old")), actionWait, false},
		{"manual while the machine is about to shut down", afterStop, machine(manual, queuedStop("old")), running("old"), actionWait, false},
		{"manual after a stop that never was carried out", afterStop, machine(manual), running("old"), actionDone, false},
		{"manual with another strategy on the machine", underManual, machine(always), nil, actionWait, false},

		{"rerun while KubeVirt may still halt the machine", toRerun, machine(rerun), running("old"), actionWait, false},
		{"rerun while KubeVirt acts on what was written in between", toRerun, atGeneration(3, 1, takenAs(rerun, machine(rerun))), running("old"), actionWait, false},
		{"rerun and KubeVirt does not tell what it has seen", toRerun, atGeneration(3, 0, takenAs(rerun, machine(rerun))), running("old"), actionDone, false},
		{"rerun and KubeVirt has seen it", toRerun, atGeneration(3, 3, takenAs(rerun, machine(rerun))), running("old"), actionDone, false},
		{"rerun after a shutdown", underRerun, machine(rerun), nil, actionStart, false},
		{"rerun after a failure", underRerun, machine(rerun), instance("old", kubevirtv1.Failed), actionWait, false},
	})
}

func TestDecideStopOperation(t *testing.T) {
	toHalted := v1beta1.Operation{Type: v1beta1.OperationStop, FromRunStrategy: always, ToRunStrategy: halted, InstanceUID: "a"}
	force := toHalted
	force.GracePeriodSeconds = ptr.To[int64](0)
	patient := toHalted
	patient.GracePeriodSeconds = ptr.To[int64](600)
	underManual := v1beta1.Operation{Type: v1beta1.OperationStop, FromRunStrategy: manual, ToRunStrategy: manual, InstanceUID: "a"}
	importing := machine(manual, startRequest)
	importing.Status.PrintableStatus = kubevirtv1.VirtualMachineStatusProvisioning
	failing := machine(manual, startRequest)
	failing.Status.Conditions = []kubevirtv1.VirtualMachineCondition{{
		Type: kubevirtv1.VirtualMachineFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate",
	}}
	manualForce := underManual
	manualForce.GracePeriodSeconds = ptr.To[int64](0)

	runOperationTests(t, []operationTest{
		{"no machine yet", toHalted, nil, nil, actionDone, false},
		{"somebody deleted the machine, and the guest still runs", toHalted, nil, running("a"), actionWait, false},
		{"the strategy is not written", toHalted, machine(always), running("a"), actionWait, false},
		{"the strategy is written", toHalted, machine(halted), running("a"), actionDone, false},
		{"KubeVirt has not seen the strategy", toHalted, takenAs(rerun, machine(halted)), nil, actionWait, false},
		{"KubeVirt has seen the strategy", toHalted, takenAs(halted, machine(halted)), running("a"), actionDone, false},
		{"a restart is queued", toHalted, machine(always, queuedStop("a"), startRequest), running("a"), actionCancel, true},
		{"KubeVirt would turn Halted into Always", toHalted, machine(halted, startRequest), nil, actionCancel, true},

		{"force", force, machine(always), running("a"), actionStop, true},
		{"force without an instance", force, machine(always), nil, actionWait, false},
		{"force without an instance and halted", force, machine(halted), nil, actionDone, false},
		{"force after the period was written", force, machine(always), withGrace(running("a"), 0), actionWait, false},
		{"force after all was written", force, machine(halted), withGrace(running("a"), 0), actionDone, false},
		{"force while a graceful stop runs", force, machine(halted), deleting(running("a")), actionStop, true},
		{"force under RerunOnFailure", force, machine(rerun), running("a"), actionStop, true},
		{"force when it has ended", force, machine(rerun), instance("a", kubevirtv1.Succeeded), actionWait, false},
		{"a long period", patient, machine(always), running("a"), actionStop, true},
		{"a long period that comes too late", patient, machine(halted), deleting(running("a")), actionDone, false},

		{"manual", underManual, machine(manual), running("a"), actionStop, false},
		{"manual and asked", underManual, machine(manual, queuedStop("a")), running("a"), actionWait, false},
		{"manual and shutting down", underManual, machine(manual), deleting(running("a")), actionWait, false},
		{"manual and ended", underManual, machine(manual), instance("a", kubevirtv1.Succeeded), actionDone, false},
		{"manual, and KubeVirt may restart what failed", underManual, takenAs(rerun, machine(manual)), instance("a", kubevirtv1.Failed), actionWait, false},
		{"manual and gone", underManual, machine(manual), nil, actionDone, false},
		{"manual while KubeVirt starts it", underManual, machine(manual, startRequest), nil, actionWait, false},
		{"manual while KubeVirt starts it and the disk is imported", underManual, importing, nil, actionWait, false},
		{"manual while no instance can be made", underManual, failing, nil, actionCancel, false},
		{"manual while a restart is queued", underManual, machine(manual, queuedStop("a"), startRequest), running("a"), actionCancel, false},
		{"manual after a restart that it took the place of", underManual, machine(manual), running("b"), actionStop, false},
		{"manual force while a graceful stop runs", manualForce, machine(manual), deleting(running("a")), actionStop, false},
		{"manual force asked", manualForce, machine(manual, queuedStop("a")), withGrace(running("a"), 0), actionWait, false},
		{"manual force half done", manualForce, machine(manual), withGrace(running("a"), 0), actionStop, false},
	})
}

func TestDecideRestartOperation(t *testing.T) {
	restart := v1beta1.Operation{Type: v1beta1.OperationRestart, FromRunStrategy: always, ToRunStrategy: always, InstanceUID: "a"}
	underManual := v1beta1.Operation{Type: v1beta1.OperationRestart, FromRunStrategy: manual, ToRunStrategy: manual, InstanceUID: "a"}
	force := underManual
	force.GracePeriodSeconds = ptr.To[int64](0)
	forceAsked := force
	forceAsked.Message = messageAsked

	runOperationTests(t, []operationTest{
		{"running", restart, machine(always), running("a"), actionRestart, false},
		{"asked", restart, machine(always, queuedStop("a"), startRequest), running("a"), actionWait, false},
		{"shutting down", restart, machine(always, startRequest), deleting(running("a")), actionWait, false},
		{"another instance runs", restart, machine(always), running("b"), actionDone, false},
		{"the instance has gone and comes back", restart, machine(always), nil, actionWait, false},
		{"the instance has failed by itself", restart, machine(always), instance("a", kubevirtv1.Failed), actionWait, false},
		{"somebody deleted the instance", restart, machine(always), deleting(running("a")), actionWait, false},
		{"a stop before has halted it", restart, machine(halted), deleting(running("a")), actionWait, false},

		{"manual", underManual, machine(manual), running("a"), actionRestart, false},
		{"manual and ended", underManual, machine(manual), instance("a", kubevirtv1.Succeeded), actionRestart, false},
		{"manual and the start is queued", underManual, machine(manual, startRequest), nil, actionWait, false},
		{"manual and ended before KubeVirt saw it run", underManual, machine(manual, startRequest), instance("a", kubevirtv1.Failed), actionCancel, false},
		{"manual and gone by itself", underManual, machine(manual), nil, actionStart, false},
		{"manual and somebody deleted the instance", underManual, machine(manual), deleting(running("a")), actionRestart, false},

		{"force while a graceful restart is queued", force, machine(manual, queuedStop("a"), startRequest), running("a"), actionCancel, false},
		{"force while a graceful restart shuts down", force, machine(manual, startRequest), deleting(running("a")), actionCancel, false},
		{"force after the requests were taken back", force, machine(manual), deleting(running("a")), actionRestart, false},
		{"force asked", forceAsked, machine(manual, queuedStop("a"), startRequest), running("a"), actionWait, false},
	})
}

func TestStartStuck(t *testing.T) {
	ended := instance("a", kubevirtv1.Succeeded)
	assert.True(t, newMachineState(machine(manual, startRequest), ended).startStuck())
	assert.False(t, newMachineState(machine(manual, queuedStop("a"), startRequest), ended).startStuck(), "KubeVirt removes the ended instance first")
	assert.False(t, newMachineState(machine(manual, startRequest), deleting(instance("a", kubevirtv1.Failed))).startStuck(), "it goes, and then it starts")
	assert.False(t, newMachineState(machine(manual, startRequest), nil).startStuck(), "it starts")
	assert.False(t, newMachineState(machine(manual, startRequest), running("a")).startStuck(), "KubeVirt drops it by itself")
	assert.False(t, newMachineState(machine(rerun, startRequest), ended).startStuck(), "KubeVirt removes the ended instance first")
}

func TestStrayStart(t *testing.T) {
	assert.True(t, strayStart(machine(halted, startRequest), halted))
	assert.False(t, strayStart(machine(halted), halted), "nothing is queued")
	assert.False(t, strayStart(machine(halted, pausedStart), halted), "somebody asked for it by virtctl start --paused")
	assert.False(t, strayStart(machine(always, startRequest), always), "the machine is to run")
	assert.False(t, strayStart(machine(always, startRequest), halted), "the strategy is not written yet")
}

// A guest can end before virt-controller has seen it run. KubeVirt then keeps the start and does nothing with it.
func TestStartOfAnInstanceThatEndedUnseen(t *testing.T) {
	op := v1beta1.Operation{
		Type: v1beta1.OperationStart, FromRunStrategy: v1beta1.RunStrategyManual, ToRunStrategy: v1beta1.RunStrategyManual,
	}
	manual := v1beta1.RunStrategyManual
	failed := instance("2", kubevirtv1.Failed)
	runOperationTests(t, []operationTest{
		{name: "the start is stuck", op: op, vm: machine(manual, startRequest), vmi: failed, want: actionCancel},
		{name: "then it is asked for anew", op: op, vm: machine(manual), vmi: failed, want: actionStart},
		{name: "KubeVirt removes the instance", op: op, vm: machine(manual, queuedStop("2"), startRequest), vmi: failed,
			want: actionWait},
		{name: "KubeVirt makes the instance", op: op, vm: machine(manual, startRequest), want: actionWait},
	})
}
