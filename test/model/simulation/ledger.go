package simulation

import (
	"fmt"

	"k8s.io/apimachinery/pkg/types"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// ledger watches every version of the VirtualServer for what becomes of operations: each that is accepted ends once.
type ledger struct {
	accepted []types.UID
	ended    map[types.UID]tensorstack.OperationResult
	// wrong is the first thing that must not be.
	wrong error
}

func newLedger() *ledger {
	return &ledger{ended: map[types.UID]tensorstack.OperationResult{}}
}

func (l *ledger) see(vs *tensorstack.VirtualServer) {
	seen := map[types.UID]bool{}
	for _, record := range vs.Status.Operations {
		if seen[record.ID] {
			l.complain("%s stands twice in status.operations", record.Type)
		}
		seen[record.ID] = true
		if before, again := l.ended[record.ID]; again && before != record.Result {
			l.complain("%s ended as %s and again as %s", record.Type, before, record.Result)
		}
		l.ended[record.ID] = record.Result
	}
	if pending := vs.Status.PendingOperation; pending != nil {
		if result, again := l.ended[pending.ID]; again {
			l.complain("%s is pending after it ended as %s", pending.Type, result)
		}
	}
}

func (l *ledger) complain(format string, args ...any) {
	if l.wrong == nil {
		l.wrong = fmt.Errorf(format, args...)
	}
}

func (l *ledger) accept(vs *tensorstack.VirtualServer) {
	if pending := vs.Status.PendingOperation; pending != nil {
		l.accepted = append(l.accepted, pending.ID)
	}
}

// check says what is wrong after everything came to rest: every operation has ended, and none in vain. Another one may have
// taken its place.
func (l *ledger) check() error {
	for _, id := range l.accepted {
		switch result, ended := l.ended[id]; {
		case !ended:
			l.complain("operation %s was accepted and has no end in status.operations", id)
		case result == tensorstack.OperationFailed:
			l.complain("operation %s was accepted and failed", id)
		}
	}
	return l.wrong
}
