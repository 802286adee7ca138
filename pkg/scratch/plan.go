package scratch

import "k8s.io/apimachinery/pkg/types"

// Observed is what is known of one filesystem of a machine. It may be older than what is there.
type Observed struct {
	// Template is the claim that the template of the machine names.
	Template string
	// Instance is the instance of the machine, or nil.
	Instance *Instance
	// Copy is the DataVolume, or the claim that is left of one, under the name that the instance uses, or nil.
	Copy *Copy
	// Snapshot is the snapshot of the same name, or nil. It counts only where the copy is made from one.
	Snapshot *Snapshot
	// Method is how a copy can be made.
	Method Method
	// Writers are the pods that may write to the source. They count only where a copy is not made from a snapshot.
	Writers []string
}

// Instance is one run of the machine.
type Instance struct {
	UID types.UID
	// Claim is the claim that it uses for the filesystem.
	Claim string
	// Placed says that it has, or had, a pod with the claim: what is done to the claim now does not change what it sees.
	Placed bool
	// Over says that it has ended or is being deleted.
	Over bool
}

// Copy is what a run writes to.
type Copy struct {
	// Owner is the instance that it was made for.
	Owner types.UID
	// Filled says that everything is in it.
	Filled bool
	// Going says that it is being deleted.
	Going bool
}

// Snapshot is the state of the source that a copy is made from.
type Snapshot struct {
	Owner types.UID
	// Ready says that copies can be made.
	Ready bool
	Going bool
}

// Method is how a copy is made.
type Method string

const (
	// BySnapshot takes a snapshot and copies that, whoever writes to the source meanwhile.
	BySnapshot Method = "snapshot"
	// Directly copies the source, while nobody writes to it.
	Directly Method = "copy"
	// Unknown is that of a source that was not found.
	Unknown Method = ""
	// Impossible is that of a source of which no copy can be made.
	Impossible Method = "impossible"
)

// Step is the next thing to do. Each is safe to do twice.
type Step string

const (
	// Nothing is to do.
	Nothing Step = "Nothing"
	// AwaitTemplate waits until the template has a name for the next run.
	AwaitTemplate Step = "AwaitTemplate"
	// TakeSnapshot makes the snapshot, for the instance.
	TakeSnapshot Step = "TakeSnapshot"
	// AwaitSnapshot waits until the snapshot is ready.
	AwaitSnapshot Step = "AwaitSnapshot"
	// AwaitWriters waits until nobody can write to the source.
	AwaitWriters Step = "AwaitWriters"
	// AwaitSource waits until the source is there, or one of which a copy can be made.
	AwaitSource Step = "AwaitSource"
	// MakeCopy makes the copy, for the instance.
	MakeCopy Step = "MakeCopy"
	// AwaitCopy waits until the copy is filled.
	AwaitCopy Step = "AwaitCopy"
	// AwaitRemoval waits until something that is being deleted is gone.
	AwaitRemoval Step = "AwaitRemoval"
	// DropSnapshot deletes the snapshot.
	DropSnapshot Step = "DropSnapshot"
	// DropCopy deletes the copy.
	DropCopy Step = "DropCopy"
	// Restart ends an instance that runs on a copy of another run.
	Restart Step = "Restart"
)

// Plan returns the next step for one filesystem.
func Plan(o Observed) Step {
	switch {
	case o.Instance == nil:
		// What is left of an instance goes after it.
		return Nothing
	case o.Instance.Over:
		return o.afterRun()
	case o.Template == o.Instance.Claim:
		// First, whatever else: a copy must not exist as long as a next run could use it.
		return AwaitTemplate
	case o.Copy != nil && o.Copy.Owner != o.Instance.UID:
		return o.foreign()
	case o.Copy != nil:
		return o.fill()
	case o.Instance.Placed:
		// Somebody deleted the copy. The pod keeps it.
		return Nothing
	default:
		return o.make()
	}
}

// afterRun frees the space before the instance itself is gone, which can be long after it ended.
func (o Observed) afterRun() Step {
	switch {
	case o.Snapshot != nil && o.Snapshot.Owner == o.Instance.UID && !o.Snapshot.Going:
		return DropSnapshot
	case o.Copy != nil && o.Copy.Owner == o.Instance.UID && !o.Copy.Going:
		return DropCopy
	default:
		return Nothing
	}
}

// foreign deals with a copy that was made for another instance, though the name is this one's: somebody wrote an old name
// into the template.
func (o Observed) foreign() Step {
	switch {
	case o.Instance.Placed:
		return Restart
	case o.Copy.Going:
		return AwaitRemoval
	default:
		return DropCopy
	}
}

func (o Observed) fill() Step {
	switch {
	case o.Copy.Going && o.Instance.Placed:
		return Nothing
	case o.Copy.Going:
		return AwaitRemoval
	case !o.Copy.Filled:
		return AwaitCopy
	case o.Snapshot != nil && !o.Snapshot.Going:
		// It has served, and holds space.
		return DropSnapshot
	default:
		return Nothing
	}
}

func (o Observed) make() Step {
	switch o.Method {
	case BySnapshot:
		switch {
		case o.Snapshot == nil:
			return TakeSnapshot
		case o.Snapshot.Going:
			return AwaitRemoval
		case o.Snapshot.Owner != o.Instance.UID:
			return DropSnapshot
		case !o.Snapshot.Ready:
			return AwaitSnapshot
		default:
			return MakeCopy
		}
	case Directly:
		if len(o.Writers) > 0 {
			return AwaitWriters
		}
		return MakeCopy
	default:
		return AwaitSource
	}
}
