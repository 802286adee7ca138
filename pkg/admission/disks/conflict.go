package disks

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/validation"
)

// use is a claim of a machine, the one of its root disk among them.
type use struct {
	validation.ClaimUse
	root bool
}

// usesOf returns the claims of a machine, that of a root disk which was made for it last. The machine of a VirtualServer that was just created has no name
// yet, and so no root disk.
func usesOf(vs *tensorstack.VirtualServer) []use {
	path := field.NewPath("spec", "storage")
	var uses []use
	root := &vs.Spec.Storage.Root
	for i, claim := range validation.ClaimUses(&vs.Spec.Storage, path) {
		uses = append(uses, use{ClaimUse: claim, root: i == 0 && root.PersistentVolumeClaim != nil})
	}
	if vs.Status.VM.Name != "" && validation.MakesRootDisk(root) {
		uses = append(uses, use{root: true, ClaimUse: validation.ClaimUse{
			ClaimName: vs.Status.VM.Name, Path: path.Child("root"), Writes: !root.Ephemeral,
		}})
	}
	return uses
}

// verdict is what two uses of one claim lead to.
type verdict int

const (
	// harmless: both only read, or both are filesystems, which are made to be shared.
	harmless verdict = iota
	// risky: what one reads changes under it, or one guest can overwrite the file that is the other's disk.
	risky
	// destructive: two guests write to one disk, each with a filesystem of its own in memory.
	destructive
)

func judge(a, b validation.ClaimUse) verdict {
	switch {
	case a.Filesystem && b.Filesystem, !a.Writes && !b.Writes:
		return harmless
	case !a.Filesystem && !b.Filesystem && a.Writes && b.Writes:
		return destructive
	case a.Filesystem && !a.Writes, b.Filesystem && !b.Writes:
		return harmless
	default:
		return risky
	}
}

// isActive says whether a machine runs, or may at any moment without anybody asking for it.
func isActive(vs *tensorstack.VirtualServer) bool {
	status := &vs.Status
	stopped := status.PrintableStatus == tensorstack.StatusStopped
	switch op := status.PendingOperation; {
	case status.VM.InstanceUID != "" && !stopped:
		return true
	case vs.DeletionTimestamp != nil:
		return false
	case op != nil && op.Type != tensorstack.OperationStop, status.RunStrategy == tensorstack.RunStrategyAlways:
		return true
	default:
		return status.RunStrategy == tensorstack.RunStrategyRerunOnFailure && !stopped
	}
}

// shared is a claim that two machines use.
type shared struct {
	mine, theirs use
	other        *tensorstack.VirtualServer
	verdict      verdict
	// both says that both machines run or may run, so that what is destructive happens.
	both bool
}

// sharedWith compares the claims of a machine with those of others in the namespace. active is whether the machine runs or will.
func sharedWith(uses []use, active bool, others []*tensorstack.VirtualServer) []shared {
	byClaim := map[string][]use{}
	for _, mine := range uses {
		byClaim[mine.ClaimName] = append(byClaim[mine.ClaimName], mine)
	}
	var found []shared
	for _, other := range others {
		for _, theirs := range usesOf(other) {
			for _, mine := range byClaim[theirs.ClaimName] {
				if verdict := judge(mine.ClaimUse, theirs.ClaimUse); verdict != harmless {
					found = append(found, shared{mine, theirs, other, verdict, active && isActive(other)})
				}
			}
		}
	}
	return found
}

// refused says whether data would be destroyed.
func (s shared) refused() bool { return s.verdict == destructive && s.both }

// describe says what is shared, with the name by which the user may know the other machine.
func (s shared) describe(name string) string {
	what := "a disk"
	switch {
	case s.theirs.root:
		what = "the root disk"
	case s.theirs.Filesystem:
		what = "a filesystem"
	}
	return fmt.Sprintf("the PersistentVolumeClaim %q is %s of %s too", s.mine.ClaimName, what, name)
}

// refusal is for a claim that two guests would write to.
func (s shared) refusal(name string) string {
	return s.describe(name) + ", and two guests that write to one disk destroy what is on it: stop that machine first, or use readOnly or ephemeral, " +
		"a disk of your own, or a filesystem, which machines may share"
}

// warning is for what may go wrong.
func (s shared) warning(name string) string {
	switch {
	case s.verdict == destructive:
		return s.describe(name) + ": never let both machines run at once, which destroys what is on it"
	case s.mine.Filesystem || s.theirs.Filesystem:
		return s.describe(name) + ": the guest with the filesystem can overwrite the file that is the other's disk"
	case s.mine.Writes:
		return s.describe(name) + ", which only reads it: what it reads changes under it while both machines run"
	default:
		return s.describe(name) + ", which writes to it: what you read changes under you while both machines run"
	}
}
