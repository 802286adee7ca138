package scratch

import (
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"tensorstack.dev/virtualserver/pkg/naming"
)

// Lengths of the parts of a name, in digits. Runs are many, and no two of a machine may have the same.
const (
	filesystemDigits = 5
	runDigits        = 12
)

// Name returns the name of the claim that a run of a machine uses for a filesystem. run is any text that no other run has.
func Name(machine, filesystem, run string) string {
	return prefix(machine, filesystem) + naming.Hash(run, runDigits)
}

// Is says whether the name is one that Name makes for the filesystem of the machine.
func Is(name, machine, filesystem string) bool {
	run, found := strings.CutPrefix(name, prefix(machine, filesystem))
	return found && len(run) == runDigits
}

func prefix(machine, filesystem string) string {
	return machine + "-" + naming.Hash(filesystem, filesystemDigits) + "-"
}

// ForNextRun returns the name that the template of a machine is to have for a filesystem. live is the one that it has, or
// empty; used is the one of the instance that there is, and instance its UID, both empty without one. fresh is a text that
// was never given before, for a template that names none.
//
// A name that no instance has used is kept. This goes forward only: an instance that is seen late cannot bring back a name
// that was replaced.
func ForNextRun(machine, filesystem, live, used string, instance types.UID, fresh string) string {
	switch {
	case Is(live, machine, filesystem) && live != used:
		return live
	case instance != "" && live == used && Is(live, machine, filesystem):
		return Name(machine, filesystem, string(instance))
	default:
		return Name(machine, filesystem, fresh)
	}
}
