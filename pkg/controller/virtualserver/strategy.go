package virtualserver

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/uuid"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/runstrategy"
	"tensorstack.dev/virtualserver/pkg/status"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// annotationAppliedVersion stands on the VirtualMachine beside translate.AnnotationAppliedRunStrategy and holds the
// resourceVersion that the VirtualServer had when that strategy was written. A VirtualServer that is older than it comes
// from a store that was restored from a backup, and must not turn the machine back.
const annotationAppliedVersion = "tensorstack.dev/applied-resource-version"

// requestedByKubeVirt stands in the ledger for operations on the VirtualMachine itself.
const requestedByKubeVirt = "kubevirt"

// strategyOf returns the run strategy in the spec of a VirtualMachine. Its older field running means Always or Halted.
func strategyOf(vm *kubevirtv1.VirtualMachine) v1beta1.RunStrategy {
	strategy, err := vm.RunStrategy()
	if err != nil {
		// Both fields are set, which KubeVirt refuses. It counts as a strategy that we do not know.
		return ""
	}
	return v1beta1.RunStrategy(strategy)
}

// adoptable returns the strategy if a VirtualServer can have it, and nothing otherwise.
func adoptable(strategy v1beta1.RunStrategy) v1beta1.RunStrategy {
	if !runstrategy.Known(strategy) {
		return ""
	}
	return strategy
}

// strategyVerdict says what to do about the run strategy of a machine.
type strategyVerdict string

const (
	// strategyKeep changes nothing.
	strategyKeep strategyVerdict = "keep"
	// strategyWrite writes the wanted strategy into the VirtualMachine.
	strategyWrite strategyVerdict = "write"
	// strategyOverride does too, over a change that somebody else made meanwhile.
	strategyOverride strategyVerdict = "override"
	// strategyRecord only records that the VirtualMachine has the wanted strategy.
	strategyRecord strategyVerdict = "record"
	// strategyAdopt makes the strategy of the VirtualMachine the wanted one.
	strategyAdopt strategyVerdict = "adopt"
)

// strategyState is what decideStrategy looks at.
type strategyState struct {
	// machine is the strategy in the spec of the VirtualMachine.
	machine v1beta1.RunStrategy
	// applied is the strategy that the controller last wrote there, or empty if that is not known.
	applied v1beta1.RunStrategy
	// wanted is the strategy that is to be in force.
	wanted v1beta1.RunStrategy
	// storeBehind says that the VirtualServer is older than what was last applied to the machine.
	storeBehind bool
	// held says that wanted is Halted only to hold the machine for its import. Nobody may start it then.
	held bool
	// pending says that an operation is pending. What the machine has may have been left there by one before it.
	pending bool
}

// decideStrategy compares three values: that of the machine, the one that we last wrote, and the one wanted. What
// somebody changed on the machine is adopted, unless an operation that we accepted stands against it.
func decideStrategy(s strategyState) strategyVerdict {
	changedOutside := s.applied != "" && s.machine != s.applied
	switch {
	case s.machine == s.wanted && s.applied == s.wanted && !s.storeBehind:
		return strategyKeep
	case s.machine == s.wanted:
		return strategyRecord
	case s.held && changedOutside:
		return strategyOverride
	case s.held:
		return strategyWrite
	case s.storeBehind && adoptable(s.machine) != "":
		return strategyAdopt
	case !changedOutside, s.pending && s.applied == s.wanted:
		return strategyWrite
	case s.applied == s.wanted && adoptable(s.machine) != "":
		return strategyAdopt
	default:
		return strategyOverride
	}
}

// strategyState gathers what decideStrategy looks at. It is called with a machine.
func (p *pass) strategyState() strategyState {
	state := strategyState{
		machine:     strategyOf(p.machine),
		applied:     v1beta1.RunStrategy(p.machine.Annotations[translate.AnnotationAppliedRunStrategy]),
		wanted:      p.vs.Status.RunStrategy,
		storeBehind: p.storeBehind(),
		held:        p.held(),
		pending:     p.vs.Status.PendingOperation != nil,
	}
	if state.held {
		state.wanted = v1beta1.RunStrategyHalted
	}
	return state
}

// storeBehind says that the machine knows more of what was asked for than the VirtualServer does: that is older, or it is not
// the one that the machine was last written for, so that their versions cannot be compared.
func (p *pass) storeBehind() bool {
	return isOlder(p.vs, p.machine.Annotations[annotationAppliedVersion]) || ownershipOf(p.machine, p.vs) == orphaned
}

// isOlder says whether the VirtualServer is older than the resourceVersion.
func isOlder(vs *v1beta1.VirtualServer, version string) bool {
	if version == "" {
		return false
	}
	order, err := resourceversion.CompareResourceVersion(vs.ResourceVersion, version)
	return err == nil && order < 0
}

// adoptRunStrategy takes over into the status what somebody did to the machine itself, such as "virtctl stop". The status
// is written at once: the machine's annotation follows later in the pass and must not be ahead of it.
func (p *pass) adoptRunStrategy(ctx context.Context) error {
	if p.machine == nil || p.machine.DeletionTimestamp != nil {
		return nil
	}
	state := p.strategyState()
	if state.storeBehind {
		if err := p.checkFresh(ctx); err != nil {
			return err
		}
	}
	if decideStrategy(state) == strategyAdopt {
		// The cache may be older than what we wrote over it ourselves.
		live, err := p.clients.KubeVirt.Machine(ctx, p.vs.Namespace, p.name())
		if err != nil {
			return fmt.Errorf("read VirtualMachine %s again: %w", p.name(), err)
		}
		if live.UID != p.machine.UID {
			return errStale
		}
		p.machine = live
		state = p.strategyState()
	}
	if decideStrategy(state) != strategyAdopt {
		return nil
	}

	from := p.vs.Status.RunStrategy
	p.vs.Status.RunStrategy = state.machine
	message := fmt.Sprintf("Run strategy %s was set on VirtualMachine %s and is in force here too; it was %s",
		state.machine, p.machine.Name, from)
	if !state.storeBehind {
		p.recordAdoption(from, state.machine)
	} else {
		message += ". This VirtualServer is from an older copy of the store"
	}
	if err := p.putStatus(ctx); err != nil {
		return err
	}
	p.emit(eventNormal, "RunStrategyAdopted", message)
	p.metrics.adopted.WithLabelValues("run_strategy").Inc()
	return nil
}

// recordAdoption writes an operation on the machine itself into the ledger, if it amounts to one.
func (p *pass) recordAdoption(from, to v1beta1.RunStrategy) {
	operation := v1beta1.OperationType("")
	switch {
	case to == v1beta1.RunStrategyHalted:
		operation = v1beta1.OperationStop
	case from == v1beta1.RunStrategyHalted:
		operation = v1beta1.OperationStart
	default:
		return
	}
	now := metav1.NewMicroTime(p.clock.Now())
	p.vs.Status.Operations = status.Prepend(p.vs.Status.Operations, v1beta1.OperationRecord{
		ID: uuid.NewUUID(), Type: operation, RequestedBy: requestedByKubeVirt, RequestedAt: now, CompletedAt: now,
		FromRunStrategy: from, ToRunStrategy: to, Result: v1beta1.OperationSucceeded,
		Message: "It was done on the VirtualMachine itself.",
	})
}

// checkFresh ends the pass if the server has a newer VirtualServer than the cache.
func (p *pass) checkFresh(ctx context.Context) error {
	live, err := p.clients.VirtualServers.TensorstackV1beta1().VirtualServers(p.vs.Namespace).
		Get(ctx, p.vs.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read the VirtualServer again: %w", err)
	}
	p.memory.note(p.caches.servers, live, p.clock.Now())
	if live.UID != p.before.UID || live.ResourceVersion != p.before.ResourceVersion {
		return errStale
	}
	return nil
}
