// Package spec says what start, stop, restart and everything else that happens to a machine must lead to. It is written
// from the user's guide, docs/operations.md and KubeVirt's documented behaviour, and imports nothing of the product: the
// product and this page can only agree by both being right.
//
// A State is what counts about a VirtualServer. Answer says whether an operation is accepted in it. Do says what an
// action makes of it, and Steps what happens next by itself. Things that happen at the same time have several outcomes,
// so both return sets. A state from which no step leads anywhere is settled, and is what the machine must come to.
package spec

// Strategy is a run strategy.
type Strategy string

// The run strategies.
const (
	Always         Strategy = "Always"
	RerunOnFailure Strategy = "RerunOnFailure"
	Manual         Strategy = "Manual"
	Halted         Strategy = "Halted"
)

// Strategies are all run strategies.
func Strategies() []Strategy { return []Strategy{Always, RerunOnFailure, Manual, Halted} }

// Phase is what the machine does.
type Phase string

// The phases.
const (
	// Absent is a machine without an instance.
	Absent Phase = "Absent"
	// Ended is a machine whose last instance has ended but is still there, as under Manual.
	Ended Phase = "Ended"
	// Live is a machine that starts or runs.
	Live Phase = "Live"
	// Paused is a machine that runs and is paused.
	Paused Phase = "Paused"
	// Stopping is a machine that shuts down.
	Stopping Phase = "Stopping"
)

// active says that the machine starts or runs and that nothing ends it.
func (p Phase) active() bool { return p == Live || p == Paused }

// gone says that the machine has no instance that has not ended.
func (p Phase) gone() bool { return p == Absent || p == Ended }

// Kind is a kind of action.
type Kind string

// The actions.
const (
	// Start, Stop and Restart are the operations of a VirtualServer.
	Start   Kind = "start"
	Stop    Kind = "stop"
	Restart Kind = "restart"
	// Edit sets spec.runStrategy of the VirtualServer.
	Edit Kind = "edit"
	// Shutdown, Crash and Reboot happen inside the guest.
	Shutdown Kind = "guest shutdown"
	Crash    Kind = "guest crash"
	Reboot   Kind = "guest reboot"
	// Evict takes the pod of the machine away, as a drain of its node does.
	Evict Kind = "eviction"
	// Pause and Unpause are the operations of that name.
	Pause   Kind = "pause"
	Unpause Kind = "unpause"
	// MachineEdit sets spec.runStrategy of KubeVirt's VirtualMachine; MachineStart, MachineStop and MachineRestart are
	// what "virtctl start" and so on do.
	MachineEdit    Kind = "edit of the VirtualMachine"
	MachineStart   Kind = "virtctl start"
	MachineStop    Kind = "virtctl stop"
	MachineRestart Kind = "virtctl restart"
	// DeleteInstance and DeleteMachine delete KubeVirt's objects by hand.
	DeleteInstance Kind = "delete of the VirtualMachineInstance"
	DeleteMachine  Kind = "delete of the VirtualMachine"
)

// Action is something that somebody does, or that happens, to a machine.
type Action struct {
	Kind Kind
	// Strategy is the new one of Edit and MachineEdit.
	Strategy Strategy
	// Forced kills the guest at once: Stop and Restart.
	Forced bool
	// Paused starts the machine paused: Start.
	Paused bool
}

// String shows the action to people.
func (a Action) String() string {
	text := string(a.Kind)
	if a.Strategy != "" {
		text += " to " + string(a.Strategy)
	}
	if a.Forced {
		text += " with force"
	}
	if a.Paused {
		text += " paused"
	}
	return text
}

// IsOperation says that the action is start, stop or restart of the VirtualServer.
func (a Action) IsOperation() bool { return a.Kind == Start || a.Kind == Stop || a.Kind == Restart }

// Pending is an operation that was accepted and is not carried out yet. Its zero value is none.
type Pending struct {
	Kind           Kind
	Forced, Paused bool
	// Instance is the number of the last instance when it was accepted, and Lagged says that KubeVirt might not have known
	// the strategy in force then.
	Instance int
	Lagged   bool
	// Seen says that the machine ran for a start, which may have been seen, before the guest ended.
	Seen bool
}

// State is what counts about a VirtualServer. States can be compared.
type State struct {
	// Strategy is the one in force, Wanted the one in the spec.
	Strategy, Wanted Strategy
	Machine          Phase
	// Instances is how many instances the machine has had. The last one has this number.
	Instances int
	Pending   Pending
	// Queued says that KubeVirt starts the machine once more as soon as it has no instance, and QueuedPaused that it then
	// starts paused. Doomed says that KubeVirt ends that instance at once, for a strategy that is in force no more.
	Queued, QueuedPaused, Doomed bool
	// Late is Start or Restart if a request for it may still be on its way to KubeVirt, and LatePaused says that the start is
	// a paused one. KubeVirt restarts whatever instance there is then (RestartVMRequestHandler).
	Late       Kind
	LatePaused bool
	// Lags says that KubeVirt may not know the strategy in force yet.
	Lags bool
}

// New is the state of a VirtualServer that was just created with the strategy.
func New(strategy Strategy) State {
	return State{Strategy: strategy, Wanted: strategy, Machine: Absent, Queued: strategy == RerunOnFailure}
}
