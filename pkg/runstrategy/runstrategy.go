// Package runstrategy holds the table of run strategies and operations. The API server, the controller and the
// documentation all read this one table.
package runstrategy

import (
	"fmt"
	"strings"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// Row is one line of the table: a strategy and the strategy that follows each operation. An empty strategy means that
// the operation is refused.
type Row struct {
	From    v1beta1.RunStrategy
	Start   v1beta1.RunStrategy
	Stop    v1beta1.RunStrategy
	Restart v1beta1.RunStrategy
}

// To returns the strategy after the operation, or "" if the operation is refused or not known.
func (r Row) To(op v1beta1.OperationType) v1beta1.RunStrategy {
	switch op {
	case v1beta1.OperationStart:
		return r.Start
	case v1beta1.OperationStop:
		return r.Stop
	case v1beta1.OperationRestart:
		return r.Restart
	default:
		return ""
	}
}

// Table returns the table of the guide, one row per strategy. KubeVirt differs in one cell: its own stop leaves
// RerunOnFailure unchanged.
func Table() []Row {
	const (
		always  = v1beta1.RunStrategyAlways
		rerun   = v1beta1.RunStrategyRerunOnFailure
		manual  = v1beta1.RunStrategyManual
		halted  = v1beta1.RunStrategyHalted
		refused = v1beta1.RunStrategy("")
	)
	return []Row{
		{From: always, Start: refused, Stop: halted, Restart: always},
		{From: rerun, Start: rerun, Stop: halted, Restart: rerun},
		{From: manual, Start: manual, Stop: manual, Restart: manual},
		{From: halted, Start: always, Stop: refused, Restart: refused},
	}
}

// Operations returns all operations in the order of the table's columns.
func Operations() []v1beta1.OperationType {
	return []v1beta1.OperationType{v1beta1.OperationStart, v1beta1.OperationStop, v1beta1.OperationRestart}
}

// Next returns the strategy that is in force after the operation. The error is a *RefusedError if the table refuses the
// operation, or if the strategy or the operation is not in the table.
func Next(current v1beta1.RunStrategy, op v1beta1.OperationType) (v1beta1.RunStrategy, error) {
	row, found := find(current)
	if found {
		if next := row.To(op); next != "" {
			return next, nil
		}
	}
	return "", &RefusedError{RunStrategy: current, Operation: op}
}

// Allowed returns the operations that the table allows under the strategy, in the order of the table's columns. It is
// empty for a strategy that is not in the table.
func Allowed(current v1beta1.RunStrategy) []v1beta1.OperationType {
	row, found := find(current)
	if !found {
		return nil
	}
	var allowed []v1beta1.OperationType
	for _, op := range Operations() {
		if row.To(op) != "" {
			allowed = append(allowed, op)
		}
	}
	return allowed
}

// Known says whether the strategy is in the table.
func Known(strategy v1beta1.RunStrategy) bool {
	_, found := find(strategy)
	return found
}

func find(strategy v1beta1.RunStrategy) (Row, bool) {
	for _, row := range Table() {
		if row.From == strategy {
			return row, true
		}
	}
	return Row{}, false
}

// RefusedError says that the table refuses an operation, and what would work instead.
type RefusedError struct {
	// RunStrategy is the strategy in force.
	RunStrategy v1beta1.RunStrategy
	// Operation is the operation that was refused.
	Operation v1beta1.OperationType
}

// Error names the strategy, the operation and what would work instead.
func (e *RefusedError) Error() string {
	op := strings.ToLower(string(e.Operation))
	if !Known(e.RunStrategy) {
		return fmt.Sprintf("%s is not possible: run strategy %q is not one of Always, RerunOnFailure, Manual and Halted; "+
			"set spec.runStrategy to one of them", op, e.RunStrategy)
	}
	return fmt.Sprintf("%s is not possible under run strategy %s: %s", op, e.RunStrategy, e.hint())
}

func (e *RefusedError) hint() string {
	switch {
	case e.RunStrategy == v1beta1.RunStrategyAlways && e.Operation == v1beta1.OperationStart:
		return "the machine starts by itself; use restart to start it anew, or stop first and start then"
	case e.RunStrategy == v1beta1.RunStrategyHalted && e.Operation == v1beta1.OperationStop:
		return "the machine is stopped already; use start to run it"
	case e.RunStrategy == v1beta1.RunStrategyHalted && e.Operation == v1beta1.OperationRestart:
		return "the machine is stopped; use start to run it"
	default:
		allowed := make([]string, 0, len(Operations()))
		for _, op := range Allowed(e.RunStrategy) {
			allowed = append(allowed, strings.ToLower(string(op)))
		}
		return "use one of " + strings.Join(allowed, ", ")
	}
}
