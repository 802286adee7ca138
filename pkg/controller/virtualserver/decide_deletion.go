package virtualserver

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// deletionStep is the next step of a deletion.
type deletionStep string

const (
	stepDeleteMachine  deletionStep = "delete machine"
	stepWaitMachine    deletionStep = "wait for machine"
	stepDeleteInstance deletionStep = "delete instance"
	stepWaitInstance   deletionStep = "wait for instance"
	stepDeleteService  deletionStep = "delete service"
	stepWaitService    deletionStep = "wait for service"
	stepDeleteSecret   deletionStep = "delete secret"
	stepWaitSecret     deletionStep = "wait for secret"
	stepRelease        deletionStep = "release claim"
	stepOrphanVolume   deletionStep = "delete volume without claim"
	stepDeleteVolume   deletionStep = "delete volume"
	stepWaitVolume     deletionStep = "wait for volume"
	stepWaitGarbage    deletionStep = "wait for garbage collection"
	stepDeleteClaim    deletionStep = "delete claim"
	stepWaitClaim      deletionStep = "wait for claim"
	stepFinish         deletionStep = "finish"
)

// presence says whether an object is there, and whether it is being deleted already.
type presence struct {
	present, deleting bool
}

func presenceOf[T any, P interface {
	*T
	metav1.Object
}](object P) presence {
	if object == nil {
		return presence{}
	}
	return presence{present: true, deleting: object.GetDeletionTimestamp() != nil}
}

// remains is what is left of a VirtualServer that is being deleted.
type remains struct {
	machine, instance, service, secret, volume, claim presence
	// retain keeps the claim, which holds an imported disk.
	retain bool
	// follows says that garbage collection takes the claim after its volume.
	follows bool
}

// decideDeletion returns the next step. The machine goes first and gets the time to shut down; its disk goes last.
func decideDeletion(r remains) deletionStep {
	for _, stage := range []struct {
		of              presence
		remove, waiting deletionStep
	}{
		{r.machine, stepDeleteMachine, stepWaitMachine},
		{r.instance, stepDeleteInstance, stepWaitInstance},
		{r.service, stepDeleteService, stepWaitService},
		{r.secret, stepDeleteSecret, stepWaitSecret},
	} {
		if step, left := stageOf(stage.of, stage.remove, stage.waiting); left {
			return step
		}
	}
	if r.retain {
		// The claim first: after that nothing that follows can take it along.
		if r.claim.present && !r.claim.deleting {
			return stepRelease
		}
		if step, left := stageOf(r.volume, stepOrphanVolume, stepWaitVolume); left {
			return step
		}
		return stepFinish
	}
	if step, left := stageOf(r.volume, stepDeleteVolume, stepWaitVolume); left {
		return step
	}
	if r.follows && !r.claim.deleting {
		return stepWaitGarbage
	}
	if step, left := stageOf(r.claim, stepDeleteClaim, stepWaitClaim); left {
		return step
	}
	return stepFinish
}

func stageOf(of presence, remove, waiting deletionStep) (deletionStep, bool) {
	switch {
	case !of.present:
		return "", false
	case of.deleting:
		return waiting, true
	default:
		return remove, true
	}
}
