package spec

// Verdict is the answer to an action.
type Verdict string

// The verdicts.
const (
	// Accepted is any code below 300.
	Accepted Verdict = "accepted"
	// Merged is accepted too: the operation that is pending does what is asked already.
	Merged Verdict = "merged with the pending operation"
	// Refused is 409 Conflict.
	Refused Verdict = "refused"
)

// View is the part of a State that an answer depends on.
type View struct {
	Strategy Strategy
	Machine  Phase
	// Pending is the pending operation, if there is one, and Forced whether it is forced.
	Pending Kind
	Forced  bool
	// Newer says that the machine has a newer instance than the one that the pending operation was meant for.
	Newer bool
}

// View returns what an answer depends on.
func (s State) View() View {
	return View{
		Strategy: s.Strategy, Machine: s.Machine, Pending: s.Pending.Kind, Forced: s.Pending.Forced,
		Newer: s.Pending.Kind != "" && s.Instances > s.Pending.Instance && !s.Machine.gone(),
	}
}

// After is the table of the guide: the strategy after an operation, or "" if it is refused.
func After(strategy Strategy, operation Kind) Strategy {
	return map[Strategy]map[Kind]Strategy{
		Always:         {Start: "", Stop: Halted, Restart: Always},
		RerunOnFailure: {Start: RerunOnFailure, Stop: Halted, Restart: RerunOnFailure},
		Manual:         {Start: Manual, Stop: Manual, Restart: Manual},
		Halted:         {Start: Always, Stop: "", Restart: ""},
	}[strategy][operation]
}

// Answer says how an action is answered.
func (v View) Answer(a Action) Verdict {
	switch a.Kind {
	case Start:
		return v.start()
	case Stop:
		return v.stop(a.Forced)
	case Restart:
		return v.restart(a.Forced)
	case Pause:
		return acceptedIf(v.Machine == Live)
	case Unpause:
		return acceptedIf(v.Machine == Paused)
	case MachineStart, MachineStop, MachineRestart:
		return v.kubevirt(a.Kind)
	default:
		return Accepted
	}
}

func acceptedIf(condition bool) Verdict {
	if condition {
		return Accepted
	}
	return Refused
}

func (v View) start() Verdict {
	switch {
	case After(v.Strategy, Start) == "", v.Pending == Start, v.Pending == Restart:
		return Refused
	case v.Pending == Stop:
		return Accepted
	default:
		return acceptedIf(v.Strategy == Halted || !v.Machine.active())
	}
}

func (v View) stop(forced bool) Verdict {
	switch {
	case v.Pending == Stop && (!forced || v.Forced):
		return Refused
	case v.Strategy == Halted:
		// Only to end sooner what shuts down already.
		return acceptedIf(forced && !v.Machine.gone())
	case v.Strategy != Manual:
		return Accepted
	case v.Pending == Start, v.Pending == Restart:
		return Accepted
	case v.Machine.gone():
		return Refused
	default:
		return acceptedIf(v.Machine != Stopping || forced)
	}
}

func (v View) restart(forced bool) Verdict {
	hurries := forced && !v.Forced
	switch {
	case After(v.Strategy, Restart) == "", v.Pending == Stop:
		return Refused
	case v.Pending == Restart && !v.Newer && !hurries:
		return Merged
	case v.Machine.gone():
		return Refused
	case v.Machine == Stopping:
		// A guest that does not shut down is what force is for.
		return acceptedIf(v.Pending == Restart && hurries)
	default:
		return Accepted
	}
}

// kubevirt is KubeVirt's own table, for what people do to the VirtualMachine.
func (v View) kubevirt(kind Kind) Verdict {
	switch kind {
	case MachineStart:
		return acceptedIf(v.Strategy != Always && v.Machine.gone())
	case MachineStop:
		return acceptedIf(v.Strategy == Always || v.Strategy != Halted && !v.Machine.gone())
	default:
		return acceptedIf(v.Strategy != Halted && v.Machine != Absent)
	}
}
