// Package sequence carries out random sequences of actions on a machine and compares it with the specification after
// each. A seed and a number give the same sequence again.
package sequence

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"tensorstack.dev/virtualserver/test/model/spec"
)

// Answer is how an action was answered.
type Answer struct {
	Verdict spec.Verdict
	// Skipped says that the action had nothing to act on and did not take place.
	Skipped bool
	// Unknown says that the answer was lost: the action took place or not.
	Unknown bool
	// View is what the answer depended on, if the driver knows it, and Instances how many instances there were then.
	View      *spec.View
	Instances int
}

// Observed is what a machine has come to.
type Observed struct {
	// Strategy is status.runStrategy of the VirtualServer, Status its printableStatus, and Pending whether an operation is
	// pending.
	Strategy spec.Strategy
	Status   string
	Pending  bool
	// MachineStrategy is the run strategy of the VirtualMachine, and Queued the number of requests that KubeVirt holds.
	MachineStrategy spec.Strategy
	Queued          int
	// Machine is the phase of the instance, and Instances the number of instances that there ever were.
	Machine   spec.Phase
	Instances int
}

// Driver acts on one machine.
type Driver interface {
	// Do carries out an action. In a hurry it does not wait for anything that is under way.
	Do(action spec.Action, hurry bool) (Answer, error)
	// Settle waits until nothing changes any more, or until what is observed is expected.
	Settle(expected func(Observed) bool) (Observed, error)
	// Describe shows everything there is to know, for people.
	Describe() string
}

// Sequence is a random sequence of actions on one machine.
type Sequence struct {
	Random *rand.Rand
	Driver Driver
	// Actions are the kinds that may be chosen, most often once for each.
	Actions []spec.Kind
	// Hurried are the kinds that may be chosen while others are under way.
	Hurried []spec.Kind

	states  []spec.State
	history []string
	// checks counts how often machine and specification were compared.
	checks int
}

// HurriedActions are the kinds of action whose outcome the specification knows while others are under way.
func HurriedActions() []spec.Kind {
	return []spec.Kind{
		spec.Start, spec.Start, spec.Stop, spec.Stop, spec.Restart, spec.Restart, spec.Edit, spec.Shutdown, spec.Crash,
	}
}

// AllActions are all kinds of action; operations come more often.
func AllActions() []spec.Kind {
	return []spec.Kind{
		spec.Start, spec.Start, spec.Start, spec.Stop, spec.Stop, spec.Restart, spec.Restart, spec.Edit, spec.Edit,
		spec.Shutdown, spec.Crash, spec.Reboot, spec.Evict, spec.Evict, spec.Pause, spec.Unpause, spec.MachineEdit,
		spec.MachineStart, spec.MachineStop, spec.MachineRestart, spec.DeleteInstance, spec.DeleteMachine,
	}
}

// Checks returns how often machine and specification were compared.
func (s *Sequence) Checks() int { return s.checks }

// Run carries out so many actions on a machine that was just created with the strategy.
func (s *Sequence) Run(created spec.Strategy, actions int) error {
	s.states = []spec.State{spec.New(created)}
	s.note("created with %s", created)
	err := s.settle()
	for done := 0; err == nil && done < actions; {
		if s.Random.IntN(3) > 0 {
			done++
			err = s.do(s.choose(s.Actions), false)
		} else {
			for range 2 + s.Random.IntN(3) {
				done++
				if err = s.do(s.choose(s.Hurried), true); err != nil {
					break
				}
			}
		}
		if err == nil {
			err = s.settle()
		}
	}
	if err != nil {
		return fmt.Errorf("%w\nthe sequence:\n  %s\nthe model:%s\n%s", err, strings.Join(s.history, "\n  "), describe(s.states),
			s.Driver.Describe())
	}
	return nil
}

// choose picks an action.
func (s *Sequence) choose(kinds []spec.Kind) spec.Action {
	action := spec.Action{Kind: kinds[s.Random.IntN(len(kinds))]}
	switch action.Kind {
	case spec.Edit, spec.MachineEdit:
		action.Strategy = spec.Strategies()[s.Random.IntN(len(spec.Strategies()))]
	case spec.Stop, spec.Restart:
		action.Forced = s.Random.IntN(3) == 0
	case spec.Start:
		action.Paused = s.Random.IntN(4) == 0
	}
	return action
}

// do carries out an action and works out what may follow.
func (s *Sequence) do(action spec.Action, hurry bool) error {
	answer, err := s.Driver.Do(action, hurry)
	if err != nil {
		s.note("%s: %v", action, err)
		return fmt.Errorf("%s: %w", action, err)
	}
	if answer.Skipped {
		s.note("%s: nothing to act on", action)
		return nil
	}
	if answer.Unknown {
		s.note("%s: the answer was lost", action)
	} else {
		s.note("%s: %s%s", action, answer.Verdict, inView(answer))
	}
	possible := s.states
	if hurry {
		possible = spec.Closure(s.states)
	}
	if answer.View != nil {
		return s.follow(action, answer, possible)
	}
	return s.branch(action, answer, possible)
}

// follow is for a driver that knows what the answer depended on: it must be the one right answer.
func (s *Sequence) follow(action spec.Action, answer Answer, possible []spec.State) error {
	if want := answer.View.Answer(action); want != answer.Verdict {
		return fmt.Errorf("%s was %s, but must be %s in %+v", action, answer.Verdict, want, *answer.View)
	}
	var next []spec.State
	for _, state := range possible {
		if state.Strategy == answer.View.Strategy && state.Pending.Kind == answer.View.Pending && state.Instances == answer.Instances {
			next = append(next, state.Do(action, answer.Verdict)...)
		}
	}
	if len(next) == 0 {
		return fmt.Errorf("%s met a machine (%+v, %d instances) that must not be", action, *answer.View, answer.Instances)
	}
	s.states = next
	return nil
}

// branch is for a driver that only sees the answer: it must be right in a state that is possible.
func (s *Sequence) branch(action spec.Action, answer Answer, possible []spec.State) error {
	var next []spec.State
	for _, state := range possible {
		want := state.View().Answer(action)
		if answer.Unknown {
			next = append(next, state)
			next = append(next, state.Do(action, want)...)
			continue
		}
		if want == answer.Verdict || want == spec.Merged && answer.Verdict == spec.Accepted {
			next = append(next, state.Do(action, want)...)
		}
	}
	if len(next) == 0 {
		return fmt.Errorf("%s was %s, which is not right", action, answer.Verdict)
	}
	s.states = next
	return nil
}

// settle waits for the machine to come to rest and compares it with the specification.
func (s *Sequence) settle() error {
	settled := spec.Settled(s.states)
	matching := func(observed Observed) []spec.State {
		var matching []spec.State
		for _, state := range settled {
			if observed.matches(state) {
				matching = append(matching, state)
			}
		}
		return matching
	}
	observed, err := s.Driver.Settle(func(o Observed) bool { return len(matching(o)) > 0 })
	if err != nil {
		return err
	}
	s.checks++
	s.note("came to %+v", observed)
	next := matching(observed)
	if len(next) == 0 {
		s.states = settled
		return fmt.Errorf("the machine came to %+v", observed)
	}
	s.states = next
	return nil
}

// matches says whether what is observed is the settled state.
func (o Observed) matches(state spec.State) bool {
	status := map[spec.Phase]string{
		spec.Absent: "Stopped", spec.Ended: "Stopped", spec.Live: "Running", spec.Paused: "Paused",
	}[state.Machine]
	return o.Strategy == state.Strategy && o.MachineStrategy == state.Strategy && o.Status == status && !o.Pending &&
		o.Queued == 0 && o.Machine == state.Machine && o.Instances == state.Instances
}

func (s *Sequence) note(format string, args ...any) {
	s.history = append(s.history, fmt.Sprintf(format, args...))
}

func inView(answer Answer) string {
	if answer.View == nil {
		return ""
	}
	return fmt.Sprintf(" in %+v, %d instances", *answer.View, answer.Instances)
}

func describe(states []spec.State) string {
	text := ""
	for _, state := range states {
		text += fmt.Sprintf("\n  %+v", state)
	}
	return text
}
