// Package await says when a wait for a machine is over: because the machine is where it was to go, or because it cannot get
// there any more unless somebody does something.
package await

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// Goal is where a machine is to go.
type Goal struct {
	// Phases are the states in which the machine has arrived.
	Phases []v1beta1.PrintableStatus
	// Left is the run that has to end, as for a restart; Kept the one that must not, as for a pause. Both may be empty.
	Left, Kept types.UID
	// operation is the pending operation that leads there, or empty as long as it is not known.
	operation types.UID
	// Down says that the machine is to be down.
	Down bool
}

// Verdict is how a wait stands. It goes on if it is neither done nor has a reason why it cannot be.
type Verdict struct {
	Done bool
	// Why says why the goal is not reached any more by itself, and what would help.
	Why string
}

func impossible(format string, args ...any) Verdict {
	return Verdict{Why: fmt.Sprintf(format, args...)}
}

// Running is the goal of a start.
func Running(paused bool) Goal {
	goal := Goal{Phases: []v1beta1.PrintableStatus{v1beta1.StatusRunning}}
	if paused {
		goal.Phases = append(goal.Phases, v1beta1.StatusPaused)
	}
	return goal
}

// Stopped is the goal of a stop of the given run.
func Stopped(instance types.UID) Goal {
	return Goal{Phases: []v1beta1.PrintableStatus{v1beta1.StatusStopped}, Left: instance, Down: true}
}

// Restarted is the goal of a restart of the given run.
func Restarted(instance types.UID) Goal {
	return Goal{Phases: []v1beta1.PrintableStatus{v1beta1.StatusRunning}, Left: instance}
}

// Paused is the goal of a pause of the given run.
func Paused(instance types.UID) Goal {
	return Goal{Phases: []v1beta1.PrintableStatus{v1beta1.StatusPaused}, Kept: instance}
}

// Unpaused is the goal of an unpause of the given run.
func Unpaused(instance types.UID) Goal {
	return Goal{Phases: []v1beta1.PrintableStatus{v1beta1.StatusRunning}, Kept: instance}
}

// Follow takes note of the operation that leads there, if it is the one that is pending.
func (g *Goal) Follow(operation v1beta1.OperationType, now *v1beta1.VirtualServer) {
	if pending := now.Status.PendingOperation; g.operation == "" && pending != nil && pending.Type == operation {
		g.operation = pending.ID
	}
}

// Judge says how the wait stands. One that cannot be done should be judged again a moment later: the server may have looked at
// something old.
func (g Goal) Judge(now *v1beta1.VirtualServer) Verdict {
	status := &now.Status
	if now.DeletionTimestamp != nil {
		return impossible("the VirtualServer is being deleted")
	}
	if verdict := g.judgeOperation(status); verdict.Why != "" {
		return verdict
	}
	if g.Kept != "" {
		if verdict := g.judgeRun(status); verdict.Why != "" {
			return verdict
		}
	}
	if status.PendingOperation != nil {
		return Verdict{}
	}
	if slices.Contains(g.Phases, status.PrintableStatus) && (g.Left == "" || g.Down || status.VM.InstanceUID != g.Left) {
		return Verdict{Done: true}
	}
	if g.Kept != "" {
		// The run goes on, and the status follows.
		return Verdict{}
	}
	return g.judgePhase(status)
}

// judgeOperation looks for what became of the operation.
func (g Goal) judgeOperation(status *v1beta1.VirtualServerStatus) Verdict {
	if g.operation == "" {
		return Verdict{}
	}
	for _, record := range status.Operations {
		if record.ID != g.operation {
			continue
		}
		switch record.Result {
		case v1beta1.OperationFailed:
			return impossible("the %s failed: %s", strings.ToLower(string(record.Type)), orElse(record.Message, "no reason is given"))
		case v1beta1.OperationSuperseded:
			return impossible("the %s was given up: %s", strings.ToLower(string(record.Type)), orElse(record.Message, "another operation took its place"))
		}
	}
	return Verdict{}
}

// judgeRun says why the run cannot get there any more.
func (g Goal) judgeRun(status *v1beta1.VirtualServerStatus) Verdict {
	switch status.PrintableStatus {
	case v1beta1.StatusRunning, v1beta1.StatusPaused, v1beta1.StatusMigrating, v1beta1.StatusUnknown:
		if status.VM.InstanceUID != "" && status.VM.InstanceUID != g.Kept {
			return impossible("the machine has ended and runs again since")
		}
		return Verdict{}
	case "":
		return Verdict{}
	default:
		return impossible("the machine is %s", described(status))
	}
}

// judgePhase says why a machine that nothing is pending for does not get there by itself.
func (g Goal) judgePhase(status *v1beta1.VirtualServerStatus) Verdict {
	switch status.PrintableStatus {
	case v1beta1.StatusTerminating:
		return impossible("the machine is being deleted")
	case v1beta1.StatusStopped:
		return impossible("the machine is %s", described(status))
	case v1beta1.StatusPaused:
		if g.Down {
			return g.again(status)
		}
		return impossible("the machine is paused; unpause lets it go on")
	case v1beta1.StatusStarting, v1beta1.StatusRunning, v1beta1.StatusMigrating, v1beta1.StatusProvisioning,
		v1beta1.StatusCrashLoopBackOff, v1beta1.StatusFailedUnschedulable:
		if g.Down {
			return g.again(status)
		}
		if status.RunStrategy == v1beta1.RunStrategyHalted {
			return impossible("the machine is being stopped")
		}
		return stuck(status)
	default:
		return Verdict{}
	}
}

// again is for a machine that is to be down. It may be that somebody has started it.
func (g Goal) again(status *v1beta1.VirtualServerStatus) Verdict {
	if status.RunStrategy == v1beta1.RunStrategyHalted || status.VM.InstanceUID == g.Left && g.Left != "" {
		return Verdict{}
	}
	return impossible("the machine was started again, it is %s", described(status))
}

func described(status *v1beta1.VirtualServerStatus) string {
	if status.Message == "" {
		return string(status.PrintableStatus)
	}
	return string(status.PrintableStatus) + ": " + status.Message
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
