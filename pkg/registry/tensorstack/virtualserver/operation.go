package virtualserver

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/runstrategy"
)

// Machine is the state of the KubeVirt VirtualMachineInstance behind a VirtualServer. The zero value is a machine that
// has no instance.
type Machine struct {
	// InstanceUID is the UID of the instance, empty if there is none.
	InstanceUID types.UID
	// Final is an instance that has ended.
	Final bool
	// Stopping is an instance that is being deleted and has not ended yet.
	Stopping bool
}

// exists says that there is an instance that has not ended.
func (m Machine) exists() bool { return m.InstanceUID != "" && !m.Final }

// active says that there is an instance that runs or starts, and that nobody stops.
func (m Machine) active() bool { return m.exists() && !m.Stopping }

// Request is an operation that a user asks for.
type Request struct {
	// Type is the operation.
	Type tensorstack.OperationType
	// User is the name of the user.
	User string
	// Paused starts the machine paused.
	Paused bool
	// GracePeriodSeconds is how long the guest may take to shut down; nil is the default of the machine, 0 kills it.
	GracePeriodSeconds *int64
}

// ConflictError says that an operation does not fit the present state, and what would.
type ConflictError struct {
	Message string
}

// Error returns the message.
func (e *ConflictError) Error() string { return e.Message }

func conflictf(format string, args ...any) error {
	return &ConflictError{Message: fmt.Sprintf(format, args...)}
}

// Accept checks an operation against the table of run strategies, the state of the machine and the operation that is
// pending, and writes it into the status. docs/operations.md shows the outcome of every pair of operations. An error is
// a *ConflictError, and the status has not changed then.
func Accept(status *tensorstack.VirtualServerStatus, machine Machine, request Request, now time.Time) error {
	pending := status.PendingOperation
	if pending != nil {
		merged, err := checkPending(pending, request, machine)
		if err != nil || merged {
			return err
		}
	}
	if err := checkSecond(status.RunStrategy, machine, request); err != nil {
		return err
	}
	next, err := nextStrategy(status, machine, request)
	if err != nil {
		return err
	}
	if err := checkMachine(status.RunStrategy, pending, machine, request); err != nil {
		return err
	}
	Supersede(status, now, fmt.Sprintf("%s by %s took its place", strings.ToLower(string(request.Type)), request.User))
	status.PendingOperation = &tensorstack.Operation{
		ID:                 uuid.NewUUID(),
		Type:               request.Type,
		RequestedBy:        request.User,
		RequestedAt:        metav1.NewMicroTime(now),
		FromRunStrategy:    status.RunStrategy,
		ToRunStrategy:      next,
		InstanceUID:        instanceOf(machine),
		Paused:             request.Paused,
		GracePeriodSeconds: request.GracePeriodSeconds,
	}
	status.RunStrategy = next
	// What was said of the machine before, such as that it waits for a start, is over. The controller says more in its next pass.
	status.Message = announcement(request)
	return nil
}

// announcement says what happens next, until the controller has looked.
func announcement(request Request) string {
	return fmt.Sprintf("%s asked for by %s, about to be carried out", request.Type, request.User)
}

// Caution is what a user should know about an operation that was accepted, or empty: a restart also carries out changes of the
// spec, except those that cannot be put into force.
func Caution(status *tensorstack.VirtualServerStatus, request Request) string {
	reconciled := meta.FindStatusCondition(status.Conditions, v1beta1.ConditionReconciled)
	if request.Type != tensorstack.OperationRestart || reconciled == nil || reconciled.Status != metav1.ConditionFalse {
		return ""
	}
	return "the machine may restart with what it had before, since the spec is not in force: " + reconciled.Message
}

func instanceOf(machine Machine) types.UID {
	if machine.exists() {
		return machine.InstanceUID
	}
	return ""
}

// checkPending decides what a new operation means while another one is pending. merged says that the pending operation
// does what is asked already.
func checkPending(pending *tensorstack.Operation, request Request, machine Machine) (merged bool, err error) {
	const (
		start   = tensorstack.OperationStart
		stop    = tensorstack.OperationStop
		restart = tensorstack.OperationRestart
	)
	switch {
	case pending.Type == start && request.Type == start:
		return false, conflictf("start is not possible: %s is not carried out yet; wait for it, or stop the machine",
			describe(pending))
	case pending.Type == stop && request.Type == stop && !moreUrgent(request, pending):
		return false, conflictf("stop is not possible: the machine is being stopped already, %s is not carried out yet; wait for it, "+
			"or stop with force to end it at once", describe(pending))
	case pending.Type == stop && request.Type == restart:
		return false, conflictf("restart is not possible: %s is not carried out yet; use start to run the machine "+
			"again", describe(pending))
	case pending.Type == restart && request.Type == start:
		return false, conflictf("start is not possible: %s is not carried out yet, and starts the machine",
			describe(pending))
	case pending.Type == restart && request.Type == restart:
		// Between two runs of the machine there is no instance, and the restart that is pending makes the next.
		underWay := pending.InstanceUID == machine.InstanceUID || !machine.exists()
		return underWay && !moreUrgent(request, pending), nil
	default:
		return false, nil
	}
}

func describe(op *tensorstack.Operation) string {
	return fmt.Sprintf("the %s that %s asked for at %s", strings.ToLower(string(op.Type)), op.RequestedBy,
		op.RequestedAt.UTC().Format(time.RFC3339))
}

// moreUrgent says that a request gives the guest less time than the pending operation does. No grace period is the
// default of the machine, which is more than 0; beyond that it cannot be compared, and the user's number is taken.
func moreUrgent(request Request, pending *tensorstack.Operation) bool {
	asked, granted := request.GracePeriodSeconds, pending.GracePeriodSeconds
	switch {
	case asked == nil:
		return false
	case granted == nil:
		return true
	default:
		return *asked < *granted
	}
}

// checkSecond refuses a stop of a machine that shuts down already, whatever the strategy is by then: that the strategy is Halted is
// what the first stop has done, and explains nothing to whoever asks again.
func checkSecond(strategy tensorstack.RunStrategy, machine Machine, request Request) error {
	if request.Type == tensorstack.OperationStop && strategy == tensorstack.RunStrategyHalted && machine.exists() &&
		request.GracePeriodSeconds == nil {
		return conflictf("%s", shuttingDown)
	}
	return nil
}

const shuttingDown = "stop is not possible: the machine is shutting down already; wait for it, or stop with force to end it at once"

// nextStrategy looks the operation up in the table. One case is not in it: under Halted a machine may still be shutting
// down, and a stop with a grace period then shortens that.
func nextStrategy(status *tensorstack.VirtualServerStatus, machine Machine, request Request) (
	tensorstack.RunStrategy, error) {
	next, err := runstrategy.Next(v1beta1.RunStrategy(status.RunStrategy), v1beta1.OperationType(request.Type))
	if err == nil {
		return tensorstack.RunStrategy(next), nil
	}
	hurry := status.RunStrategy == tensorstack.RunStrategyHalted && request.Type == tensorstack.OperationStop &&
		request.GracePeriodSeconds != nil && machine.exists()
	if hurry {
		return status.RunStrategy, nil
	}
	return "", &ConflictError{Message: err.Error()}
}

// checkMachine refuses what KubeVirt refuses: to start a machine that runs, to stop one that is stopped, and to restart
// one that has no instance. Under Always and RerunOnFailure stop changes the strategy, so it is never without effect.
func checkMachine(strategy tensorstack.RunStrategy, pending *tensorstack.Operation, machine Machine, request Request) error {
	switch request.Type {
	case tensorstack.OperationStart:
		stopIsPending := pending != nil && pending.Type == tensorstack.OperationStop
		if strategy != tensorstack.RunStrategyHalted && machine.active() && !stopIsPending {
			return conflictf("start is not possible: the machine runs already; use restart to start it anew")
		}
	case tensorstack.OperationStop:
		if strategy != tensorstack.RunStrategyManual {
			return nil
		}
		startIsPending := pending != nil && pending.Type != tensorstack.OperationStop
		switch {
		case !machine.exists() && !startIsPending:
			return conflictf("stop is not possible: the machine is stopped already; use start to run it")
		case machine.Stopping && request.GracePeriodSeconds == nil && !startIsPending:
			return conflictf("%s", shuttingDown)
		}
	case tensorstack.OperationRestart:
		// A restart that is pending may have begun. A guest that does not shut down for it is what force is for.
		hurries := pending != nil && pending.Type == tensorstack.OperationRestart && moreUrgent(request, pending)
		switch {
		case machine.Stopping && !hurries:
			return conflictf("restart is not possible: the machine is shutting down; wait for it to end")
		case !machine.exists():
			return conflictf("restart is not possible: no machine runs; it starts by itself under Always, use start otherwise")
		}
	}
	return nil
}
