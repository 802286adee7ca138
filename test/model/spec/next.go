package spec

// Do returns the states that an action can lead to, given its answer. What a refused action leads to is the same state.
func (s State) Do(a Action, verdict Verdict) []State {
	if verdict != Accepted {
		return []State{s}
	}
	switch a.Kind {
	case Start, Stop, Restart:
		return s.accept(a)
	case Edit:
		return s.edit(a.Strategy)
	case MachineEdit:
		return s.machineEdit(a.Strategy)
	case Shutdown, Crash, Evict:
		// The guide brings a machine under RerunOnFailure back from anything but a shutdown from inside.
		return s.end(a.Kind != Shutdown)
	case Pause:
		s.Machine = Paused
	case Unpause:
		s.Machine = Live
	case MachineStart:
		if s.Strategy == Halted {
			s.Strategy = Always
		} else {
			s.Queued = true
		}
	case MachineStop:
		if s.Strategy == Always {
			s.Strategy = Halted
		} else {
			s.Machine = Stopping
		}
	case MachineRestart:
		s.Queued = true
		if s.Machine != Ended {
			s.Machine = Stopping
		}
	case DeleteInstance:
		s.Machine = stopped(s.Machine)
	case DeleteMachine:
		// It is made again as if its VirtualServer had just been created.
		s.Machine, s.Queued = stopped(s.Machine), s.Strategy == RerunOnFailure
	}
	return []State{s}
}

func stopped(phase Phase) Phase {
	if phase.gone() {
		return Absent
	}
	return Stopping
}

// accept makes an operation the pending one. What took place before it may have gone to KubeVirt already.
func (s State) accept(a Action) []State {
	var next []State
	for _, state := range s.superseded() {
		after := After(state.Strategy, a.Kind)
		if after == "" {
			after = state.Strategy
		}
		state.Pending = Pending{
			Kind: a.Kind, Forced: a.Forced, Paused: a.Paused, Instance: state.Instances, Lagged: state.Lags,
		}
		state.Lags = state.Lags || after != state.Strategy
		state.Strategy = after
		next = append(next, state)
	}
	return next
}

// superseded takes the place of the pending operation. Where the machine is to stop, KubeVirt may be at it already.
func (s State) superseded() []State {
	pending := s.Pending
	s.Pending = Pending{}
	states := []State{s}
	if pending.Kind == Start || pending.Kind == Restart {
		late := s
		late.Late, late.LatePaused = pending.Kind, pending.Paused
		states = append(states, late)
	}
	asked := s
	asked.Machine = Stopping
	switch {
	case !s.Machine.active() && s.Strategy == Always:
		// KubeVirt starts it again before it learns of another strategy.
		asked.Machine, asked.Queued = s.Machine, true
		return append(states, asked)
	case !s.Machine.active() && s.Strategy == Halted && s.Queued:
		// The guest ended before KubeVirt knew of Halted: its Always branch makes another instance, which Halted ends.
		asked.Machine, asked.Doomed = s.Machine, true
		return append(states, asked)
	case !s.Machine.active() && s.Strategy == Manual && s.Queued && pending.Kind == Stop:
		// The stop waited for the instance, and may have seen it just before its place was taken.
		asked.Machine, asked.Doomed = s.Machine, true
		return append(states, asked)
	case !s.Machine.active():
		return states
	case s.Strategy == Halted, pending.Kind == Stop:
		return append(states, asked)
	case pending.Kind == Restart && s.Instances == pending.Instance:
		asked.Queued = true
		return append(states, asked)
	default:
		return states
	}
}

// edit puts a strategy into force as if the VirtualServer had just been created with it: a start or a stop is asked for.
func (s State) edit(to Strategy) []State {
	if to == s.Wanted {
		return []State{s}
	}
	var next []State
	states := s.superseded()
	if to == Manual && s.Queued && (s.Machine == Ended || s.Lags && s.Machine == Absent) {
		// KubeVirt queues a start for what failed only if it sees that under RerunOnFailure (syncRunStrategy).
		for _, state := range states {
			dequeue(&state)
			states = append(states, state)
		}
	}
	for _, state := range states {
		state.Wanted = to
		kind := map[Strategy]Kind{Always: Start, RerunOnFailure: Start, Halted: Stop}[to]
		if kind != "" && (to != state.Strategy || s.Pending.Kind != "") {
			state.Pending = Pending{Kind: kind, Instance: state.Instances, Lagged: state.Lags}
		}
		state.Lags = state.Lags || to != state.Strategy
		state.Strategy = to
		next = append(next, state)
	}
	return next
}

// machineEdit is adopted. KubeVirt itself decides whether RerunOnFailure starts a machine whose last run has ended.
func (s State) machineEdit(to Strategy) []State {
	if to == s.Strategy {
		return []State{s}
	}
	from := s.Machine
	s.Strategy = to
	if to != RerunOnFailure || from.active() {
		return []State{s}
	}
	started := s
	started.Queued = true
	if from == Ended {
		s.Machine = Absent
		return []State{s, started}
	}
	return []State{started}
}

// end ends the instance from inside. A strategy that KubeVirt does not know yet leaves open whether it starts again.
func (s State) end(crashed bool) []State {
	if s.Machine != Live {
		return []State{s}
	}
	s.Machine = Ended
	states := []State{s}
	switch s.Pending.Kind {
	case Start:
		seen := s
		seen.Pending.Seen = true
		states = append(states, seen)
	case Restart:
		late := s
		late.Late = Restart
		states = append(states, late)
	}
	var next []State
	for _, state := range states {
		again := state
		again.Queued = true
		switch {
		case s.Strategy == RerunOnFailure && crashed:
			next = append(next, again)
		case s.Lags:
			gone := state
			gone.Machine = Absent
			next = append(next, state, gone, again)
		default:
			next = append(next, state)
		}
	}
	return next
}

// Steps returns the states that can follow by themselves. There is none if the state is settled.
func (s State) Steps() []State {
	var next []State
	add := func(change func(*State)) {
		state := s
		change(&state)
		next = append(next, state)
	}
	switch {
	case s.Machine == Stopping:
		add(func(n *State) { n.Machine = Absent })
	case s.Machine == Ended && (s.Strategy != Manual || s.Queued):
		add(func(n *State) { n.Machine = Absent })
	case s.Machine.active() && s.Strategy == Halted:
		add(func(n *State) { n.Machine = Stopping })
	}
	if s.Machine.gone() && (s.Queued || s.Strategy == Always && !s.mustStartPaused()) {
		s.stepsOfCreation(add)
	}
	if s.Machine.gone() && s.Late == Start && !s.Queued {
		add(func(n *State) {
			n.Queued, n.QueuedPaused = true, n.LatePaused
			arrived(n)
		})
	}
	if s.Queued && s.Machine.active() {
		// KubeVirt drops what is left in the queue of a machine that runs.
		add(dequeue)
	}
	if s.Queued && s.Strategy == Halted {
		add(dequeue)
	}
	switch s.Pending.Kind {
	case Start:
		s.stepsOfStart(add)
	case Stop:
		s.stepsOfStop(add)
	case Restart:
		s.stepsOfRestart(add)
	}
	return next
}

// stepsOfCreation are what can come of a new instance.
func (s State) stepsOfCreation(add func(func(*State))) {
	create := func(n *State) {
		n.Machine = Live
		if n.QueuedPaused {
			n.Machine = Paused
		}
		if n.Doomed {
			n.Machine = Stopping
		}
		dequeue(n)
		n.Instances++
		arrived(n)
	}
	add(create)
	if s.Queued && s.Strategy == RerunOnFailure && !s.Doomed {
		// The start stays in the queue until KubeVirt sees the instance run (isTrimFirstChangeRequestNeeded).
		add(func(n *State) { create(n); n.Queued = true })
	}
	if s.Late == Restart {
		add(func(n *State) { create(n); n.Machine, n.Queued = Stopping, true })
	}
}

// mustStartPaused says that the next instance has to be paused.
func (s State) mustStartPaused() bool {
	return s.Pending.Kind == Start && s.Pending.Paused && !s.Pending.Lagged
}

// arrived says that nothing is on its way any more.
func arrived(n *State) { n.Late, n.LatePaused = "", false }

// carriedOut ends the pending operation.
func carriedOut(n *State) {
	n.Pending = Pending{}
	// The controller waits for the answer to what it asked for.
	arrived(n)
}

// dequeue takes back what KubeVirt was asked for.
func dequeue(n *State) { n.Queued, n.QueuedPaused, n.Doomed = false, false, false }

func (s State) stepsOfStart(add func(func(*State))) {
	// KubeVirt alone can start a machine paused, and then turns Halted into Always by itself.
	asks := s.Strategy != Always || s.Pending.Paused
	if s.Machine.gone() && !s.Queued && asks {
		add(func(n *State) { n.Queued, n.QueuedPaused = true, n.Pending.Paused })
	}
	if s.Queued && s.QueuedPaused != s.Pending.Paused && asks {
		add(dequeue)
	}
	if s.Machine.active() || s.Pending.Seen || s.Strategy == Always && (s.Queued || !s.mustStartPaused()) {
		add(carriedOut)
	}
}

func (s State) stepsOfStop(add func(func(*State))) {
	if s.Queued {
		add(dequeue)
	}
	if s.Machine.active() && s.Strategy == Manual {
		add(func(n *State) { n.Machine = Stopping })
	}
	// Under Halted KubeVirt may still be at a start for the strategy before, which it ends at once: while there is no instance,
	// nothing shows which strategy it has seen.
	if s.Strategy == Halted || !s.Queued && s.Machine.gone() {
		add(carriedOut)
	}
}

func (s State) stepsOfRestart(add func(func(*State))) {
	switch {
	case s.Instances > s.Pending.Instance:
		add(carriedOut)
	case s.Machine.active():
		add(func(n *State) { n.Machine, n.Queued = Stopping, true })
		if s.Pending.Forced {
			// KubeVirt deletes the pod itself (RestartVMRequestHandler in pkg/virt-api/rest), so the instance can have ended
			// before virt-controller deletes it. Taken back then, it stays as it is under Manual.
			add(func(n *State) { n.Machine, n.Queued = Ended, true })
		}
	case !s.Queued:
		add(func(n *State) { n.Queued = true })
	case s.Machine == Stopping && s.Pending.Forced:
		// What a graceful restart asked for is taken back, and KubeVirt is asked anew.
		add(dequeue)
	}
}

// Closure returns the given states and all that can follow from them by themselves.
func Closure(states []State) []State {
	seen := map[State]bool{}
	var all []State
	for len(states) > 0 {
		state := states[0]
		states = states[1:]
		if seen[state] {
			continue
		}
		seen[state] = true
		all = append(all, state)
		states = append(states, state.Steps()...)
	}
	return all
}

// Settled returns the settled states that can follow from the given ones.
func Settled(states []State) []State {
	var settled []State
	for _, state := range Closure(states) {
		if len(state.Steps()) == 0 {
			// At rest KubeVirt knows the strategy, and nothing is on its way.
			state.Lags = false
			arrived(&state)
			settled = append(settled, state)
		}
	}
	return settled
}
