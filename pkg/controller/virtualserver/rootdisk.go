package virtualserver

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/kubevirt"
	"tensorstack.dev/virtualserver/pkg/status"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// diskAction says what to do about the root disk.
type diskAction string

const (
	// diskKeep changes nothing but labels.
	diskKeep diskAction = "keep"
	// diskCreate creates the DataVolume, which imports the disk.
	diskCreate diskAction = "create"
	// diskWait waits for an old DataVolume or claim to go.
	diskWait diskAction = "wait"
	// diskAgain deletes a DataVolume that was never imported, to create it anew.
	diskAgain diskAction = "again"
	// diskGrow asks for a larger volume.
	diskGrow diskAction = "grow"
)

// decideDisk decides what to do about the root disk. A DataVolume's spec never changes, so an edit of the source or the
// claim makes a new one, as long as nothing was ever imported: an imported disk is never given up. A claim whose
// DataVolume is gone is kept as it is, for it may hold a person's data.
func decideDisk(live, desired *cdiv1.DataVolume, claim *corev1.PersistentVolumeClaim) diskAction {
	claimGoing := claim != nil && claim.DeletionTimestamp != nil
	if live == nil {
		switch {
		case claim == nil:
			return diskCreate
		case claimGoing, volumeOwns(claim):
			return diskWait
		}
	}
	if live != nil {
		switch {
		case live.DeletionTimestamp != nil:
			return diskWait
		case !imported(live, claim) && (translate.SourceChanged(live, desired) || sizeOf(live).Cmp(*sizeOf(desired)) != 0):
			return diskAgain
		case claimGoing:
			// CDI makes a claim that somebody deleted anew, and fills it again.
			return diskWait
		case !imported(live, claim):
			return diskKeep
		}
	}
	if claim != nil && requestOf(claim).Cmp(*sizeOf(desired)) < 0 {
		return diskGrow
	}
	return diskKeep
}

// volumeOwns says whether the claim belongs to a DataVolume, and goes with it.
func volumeOwns(claim *corev1.PersistentVolumeClaim) bool {
	owner := metav1.GetControllerOf(claim)
	return owner != nil && owner.Kind == kindDataVolume
}

// Kinds of the objects behind a VirtualServer.
const (
	kindMachine    = "VirtualMachine"
	kindInstance   = "VirtualMachineInstance"
	kindDataVolume = "DataVolume"
	kindClaim      = "PersistentVolumeClaim"
	kindService    = "Service"
	kindSecret     = "Secret"
)

// filled says that a claim was filled, whatever the DataVolume says: of a claim that somebody deletes CDI makes another, and
// calls the DataVolume succeeded for a while yet. A claim with a populator is bound when that is done, and CDI notes on any
// other how its pod ended. Source: the populators in CDI's pkg/controller/populators.
func filled(claim *corev1.PersistentVolumeClaim) bool {
	return claim.Status.Phase == corev1.ClaimBound &&
		(claim.Spec.DataSourceRef != nil || claim.Annotations[status.AnnotationPodPhase] == string(corev1.PodSucceeded))
}

// markImported writes down for good that the disk holds its image. Of a claim that is lost only an earlier mark tells that.
func (p *pass) markImported(ctx context.Context) error {
	if p.claim == nil || translate.MarkedImported(p.claim) || p.claim.DeletionTimestamp != nil || !filled(p.claim) ||
		!imported(p.volume, p.claim) {
		return nil
	}
	modified := p.claim.DeepCopy()
	metav1.SetMetaDataAnnotation(&modified.ObjectMeta, translate.AnnotationImported, "true")
	claim, err := p.patchClaim(ctx, modified)
	if err != nil {
		return failed("mark PersistentVolumeClaim "+p.claim.Name, err)
	}
	p.claim = claim
	return nil
}

// confirmVolume reads the DataVolume of a claim that has none in the cache, unless the claim is known to hold its image: the
// cache lags behind for long after CDI was installed, and the claim without its DataVolume would pass for an imported one.
func (p *pass) confirmVolume(ctx context.Context) error {
	if p.volume != nil || p.claim == nil || translate.MarkedImported(p.claim) {
		return nil
	}
	volume, err := p.clients.KubeVirt.DataVolume(ctx, p.vs.Namespace, p.name())
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("read DataVolume %s: %w", p.name(), err)
	}
	p.volume = mine(p, volume)
	return nil
}

func sizeOf(volume *cdiv1.DataVolume) *resource.Quantity {
	if volume.Spec.PVC == nil {
		return &resource.Quantity{}
	}
	return volume.Spec.PVC.Resources.Requests.Storage()
}

func requestOf(claim *corev1.PersistentVolumeClaim) *resource.Quantity {
	return claim.Spec.Resources.Requests.Storage()
}

// reconcileRootDisk keeps the DataVolume of the root disk and lets its claim grow.
func (p *pass) reconcileRootDisk(ctx context.Context) error {
	if !translate.MakesRootDisk(p.vs) {
		return nil
	}
	if err := p.markImported(ctx); isConflict(err) {
		return err
	} else if err != nil {
		// A note must not keep a machine from its disk.
		p.report(problemOf(err))
		p.outcome.retry = true
	}
	desired := translate.DataVolume(p.vs)
	switch decideDisk(p.volume, desired, p.claim) {
	case diskCreate:
		return p.createVolume(ctx, desired)
	case diskWait:
		return p.waitForDisk()
	case diskAgain:
		if p.goes(kindDataVolume, p.volume) {
			return nil
		}
		err := p.deleteVolume(ctx, metav1.DeletePropagationBackground)
		if err == nil {
			p.emit(eventNormal, "ImportAgain", fmt.Sprintf(
				"The root disk in the spec has changed before it was imported: DataVolume %s is made again", p.name()))
		}
		return err
	case diskGrow:
		if err := p.growClaim(ctx, desired); err != nil {
			return err
		}
	}
	if p.volume == nil {
		return nil
	}
	merged, changed := translate.MergeDataVolume(p.volume, desired)
	if !changed {
		return nil
	}
	volume, err := p.clients.KubeVirt.PatchDataVolume(ctx, p.volume, merged)
	if err != nil {
		return failed("update DataVolume "+p.name(), err)
	}
	p.observeHealed(kindDataVolume)
	p.volume = volume
	return nil
}

func (p *pass) createVolume(ctx context.Context, desired *cdiv1.DataVolume) error {
	if err := p.confirmHome(ctx); err != nil {
		return err
	}
	volume, err := p.clients.KubeVirt.CreateDataVolume(ctx, desired)
	err = p.checkTaken(err, func() (metav1.Object, error) {
		live, err := p.clients.KubeVirt.DataVolume(ctx, p.vs.Namespace, p.name())
		if err == nil {
			p.volume = mine(p, live)
		}
		return live, err
	})
	if err != nil && !apierrors.IsConflict(err) {
		err = p.checkClaimTaken(ctx, err)
	}
	if errors.Is(err, errUnseen) && p.volume != nil {
		// The status tells of it meanwhile.
		p.outcome.retry = true
		return nil
	}
	if err != nil {
		return failed("create DataVolume "+p.name(), err)
	}
	p.volume = volume
	p.emit(eventNormal, "CreatedDataVolume", "Created DataVolume "+volume.Name+" for the root disk")
	return nil
}

// checkClaimTaken looks for a claim of somebody else: CDI refuses a DataVolume of the same name, but in words only.
func (p *pass) checkClaimTaken(ctx context.Context, err error) error {
	if !apierrors.IsInvalid(err) && !apierrors.IsForbidden(err) && !apierrors.IsBadRequest(err) {
		return err
	}
	claim, readErr := p.clients.Kubernetes.CoreV1().PersistentVolumeClaims(p.vs.Namespace).
		Get(ctx, p.name(), metav1.GetOptions{})
	if readErr != nil {
		return err
	}
	if ownershipOf(claim, p.vs) == foreign {
		return fmt.Errorf("%w: PersistentVolumeClaim %s", errNameTaken, p.name())
	}
	return err
}

// waitForDisk says what a new disk waits for. The end of the old one starts the next pass.
func (p *pass) waitForDisk() error {
	if p.volume == nil && p.claim.DeletionTimestamp == nil {
		// Garbage collection has just not come by yet.
		return nil
	}
	what := "PersistentVolumeClaim " + p.name()
	if p.volume != nil && p.volume.DeletionTimestamp != nil {
		what = "DataVolume " + p.name()
	}
	if !imported(p.volume, p.claim) {
		// Nothing is lost: the spec was edited during the import, or somebody gave that up.
		p.report(&problem{reason: reasonImportingAgain, message: "The root disk was not imported yet and is made anew, as the spec wants it now, once " +
			what + " is gone."})
		return nil
	}
	p.report(&problem{reason: reasonDiskDeleted, message: what +
		" is being deleted. The root disk is imported again once it is gone; a machine that uses it keeps it until it stops."})
	return nil
}

// growClaim asks for a larger volume. Kubernetes refuses if the StorageClass does not allow it.
func (p *pass) growClaim(ctx context.Context, desired *cdiv1.DataVolume) error {
	was, wanted := requestOf(p.claim), sizeOf(desired)
	modified := p.claim.DeepCopy()
	modified.Spec.Resources.Requests[corev1.ResourceStorage] = *wanted
	claim, err := p.patchClaim(ctx, modified)
	if err != nil {
		return failed("grow PersistentVolumeClaim "+p.name(), err)
	}
	p.claim = claim
	p.emit(eventNormal, "RootDiskGrows", fmt.Sprintf("The root disk grows from %s to %s", was, wanted))
	return nil
}

func (p *pass) patchClaim(
	ctx context.Context, modified *corev1.PersistentVolumeClaim,
) (*corev1.PersistentVolumeClaim, error) {
	patch, err := kubevirt.MergePatch(p.claim, modified)
	if err != nil {
		return nil, err
	}
	claim, err := p.clients.Kubernetes.CoreV1().PersistentVolumeClaims(p.vs.Namespace).
		Patch(ctx, p.claim.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: kubevirt.FieldManager})
	if err != nil {
		return nil, err
	}
	p.memory.note(p.caches.claims, claim, p.clock.Now())
	return claim, nil
}
