package virtualserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/scratch"
	"tensorstack.dev/virtualserver/pkg/status"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// kindSnapshot is the kind of snapshots.
const kindSnapshot = "VolumeSnapshot"

// copyDelay is how long to wait before another look at what no watch tells of: snapshots, sources and their writers.
const copyDelay = time.Second

// copyingUser is the user as whom CDI's pods copy a claim without a snapshot (QemuSubGid in its pkg/common).
const copyingUser = 107

// copiesForNextRun returns the claims that the template of the machine is to name in place of ephemeral claims, by filesystem.
func (p *pass) copiesForNextRun() map[string]string {
	claims := translate.EphemeralFilesystems(p.vs)
	copies := make(map[string]string, len(claims))
	fresh := string(p.vs.UID) + "/" + p.clock.Now().UTC().Format(time.RFC3339Nano)
	for filesystem := range claims {
		live, used, instance := "", "", types.UID("")
		if p.machine != nil && p.machine.Spec.Template != nil {
			live = translate.ClaimOf(&p.machine.Spec.Template.Spec, filesystem)
		}
		if p.instance != nil {
			used, instance = translate.ClaimOf(&p.instance.Spec, filesystem), p.instance.UID
		}
		copies[filesystem] = scratch.ForNextRun(p.name(), filesystem, live, used, instance, fresh)
	}
	return copies
}

// scratchCopy is one filesystem of an instance, with the objects behind it. Those that do not exist are nil.
type scratchCopy struct {
	filesystem string
	// source is the ephemeral claim.
	source   string
	observed scratch.Observed
	origin   *corev1.PersistentVolumeClaim
	volume   *cdiv1.DataVolume
	claim    *corev1.PersistentVolumeClaim
	snapshot *snapshotv1.VolumeSnapshot
	// snapshotClass is the class for the snapshot, and why says why no copy can be made.
	snapshotClass, why string
}

// reconcileCopies takes the next step for every ephemeral claim that the instance uses as a filesystem. What it waits for is
// told by a watch, or looked for again soon.
func (p *pass) reconcileCopies(ctx context.Context) error {
	if p.instance == nil || p.machine == nil {
		return nil
	}
	claims := translate.CopiedClaims(p.instance)
	var errs []error
	for _, filesystem := range slices.Sorted(maps.Keys(claims)) {
		c, err := p.observeCopy(ctx, filesystem, claims[filesystem])
		if err == nil {
			err = p.takeStep(ctx, c, scratch.Plan(c.observed))
		}
		if apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) || apierrors.IsNotFound(err) && !isKindMissing(err) {
			// Somebody was there first, or the cache is old. The next look tells.
			p.outcome.again, err = copyDelay, nil
		}
		if err != nil {
			errs = append(errs, failed(fmt.Sprintf("copy PersistentVolumeClaim %s for filesystem %s", claims[filesystem], filesystem), err))
		}
	}
	return errors.Join(errs...)
}

// observeCopy gathers what the plan depends on. Servers are asked only as long as there is something to do.
func (p *pass) observeCopy(ctx context.Context, filesystem, source string) (*scratchCopy, error) {
	vmi := p.instance
	c := &scratchCopy{filesystem: filesystem, source: source}
	c.observed.Instance = &scratch.Instance{
		UID: vmi.UID, Claim: translate.ClaimOf(&vmi.Spec, filesystem), Over: vmi.IsFinal() || vmi.DeletionTimestamp != nil,
		Placed: vmi.Status.Phase == kubevirtv1.Scheduled || vmi.Status.Phase == kubevirtv1.Running,
	}
	name := c.observed.Instance.Claim
	c.observed.Template = translate.ClaimOf(&p.machine.Spec.Template.Spec, filesystem)
	c.volume, c.claim = p.caches.volume(vmi.Namespace, name), p.caches.claim(vmi.Namespace, name)
	c.observed.Copy = copyOf(c.volume, c.claim)
	if !scratch.Is(name, vmi.Name, filesystem) {
		return c, nil
	}
	if p.needsSnapshot(c) {
		if err := p.readSnapshot(ctx, c, name); err != nil {
			return c, err
		}
	}
	if c.observed.Copy == nil && !c.observed.Instance.Over {
		return c, p.readOrigin(ctx, c)
	}
	return c, nil
}

// needsSnapshot says whether the plan depends on the snapshot: until it was seen to be gone after the copy was filled.
func (p *pass) needsSnapshot(c *scratchCopy) bool {
	_, gone := p.memory.deleted[objectID{kind: kindSnapshot, name: c.observed.Instance.Claim}]
	return p.clients.Snapshots != nil && (!gone || c.observed.Copy == nil)
}

// snapshotGone remembers that the snapshot of a run is gone, and forgets the runs before.
func (p *pass) snapshotGone(c *scratchCopy, uid types.UID) {
	maps.DeleteFunc(p.memory.deleted, func(id objectID, _ deletion) bool {
		return id.kind == kindSnapshot && scratch.Is(id.name, p.name(), c.filesystem)
	})
	p.memory.deleted[objectID{kind: kindSnapshot, name: c.observed.Instance.Claim}] = deletion{of: uid, at: p.clock.Now()}
}

// copyOf describes the copy. A claim whose DataVolume is gone follows it.
func copyOf(volume *cdiv1.DataVolume, claim *corev1.PersistentVolumeClaim) *scratch.Copy {
	switch {
	case volume != nil:
		return &scratch.Copy{
			Owner:  types.UID(volume.Annotations[translate.AnnotationInstance]),
			Filled: volume.Status.Phase == cdiv1.Succeeded,
			Going:  volume.DeletionTimestamp != nil || claim != nil && claim.DeletionTimestamp != nil,
		}
	case claim != nil:
		return &scratch.Copy{Owner: types.UID(claim.Annotations[translate.AnnotationInstance]), Going: true}
	default:
		return nil
	}
}

func (p *pass) readSnapshot(ctx context.Context, c *scratchCopy, name string) error {
	snapshot, err := p.clients.Snapshots.SnapshotV1().VolumeSnapshots(p.vs.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		if c.observed.Copy != nil && c.observed.Copy.Filled {
			p.snapshotGone(c, "")
		}
		return nil
	}
	if err != nil {
		return err
	}
	c.snapshot = snapshot
	c.observed.Snapshot = &scratch.Snapshot{
		Owner: types.UID(snapshot.Annotations[translate.AnnotationInstance]),
		Ready: snapshot.Status != nil && ptr.Deref(snapshot.Status.ReadyToUse, false),
		Going: snapshot.DeletionTimestamp != nil,
	}
	return nil
}

// readOrigin reads the ephemeral claim and finds out how a copy of it can be made.
func (p *pass) readOrigin(ctx context.Context, c *scratchCopy) error {
	origin, err := p.clients.Kubernetes.CoreV1().PersistentVolumeClaims(p.vs.Namespace).Get(ctx, c.source, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		c.why = fmt.Sprintf("PersistentVolumeClaim %s does not exist", c.source)
		return nil
	}
	if err != nil {
		return err
	}
	c.origin = origin
	if origin.Status.Phase != corev1.ClaimBound {
		c.why = fmt.Sprintf("PersistentVolumeClaim %s is not bound to a volume yet", c.source)
		return nil
	}
	classes, err := p.snapshotClasses(ctx)
	if err != nil {
		return err
	}
	var class *storagev1.StorageClass
	if origin.Spec.StorageClassName != nil {
		class = p.caches.storageClass(*origin.Spec.StorageClassName)
	}
	c.observed.Method, c.snapshotClass, c.why = scratch.MethodFor(origin, class, classes)
	if c.observed.Method != scratch.Directly {
		return nil
	}
	pods, err := p.clients.Kubernetes.CoreV1().Pods(p.vs.Namespace).List(ctx, metav1.ListOptions{})
	if err == nil {
		c.observed.Writers = scratch.WritersOf(c.source, pods.Items)
	}
	return err
}

// defaultSnapshotClass is the annotation of the class that a driver's snapshots get by default.
const defaultSnapshotClass = "snapshot.storage.kubernetes.io/is-default-class"

// snapshotClasses returns all VolumeSnapshotClasses. A cluster without the API of snapshots has none.
func (p *pass) snapshotClasses(ctx context.Context) ([]scratch.SnapshotClass, error) {
	if p.clients.Snapshots == nil {
		return nil, nil
	}
	list, err := p.clients.Snapshots.SnapshotV1().VolumeSnapshotClasses().List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	classes := make([]scratch.SnapshotClass, 0, len(list.Items))
	for i := range list.Items {
		class := &list.Items[i]
		classes = append(classes, scratch.SnapshotClass{
			Name: class.Name, Driver: class.Driver, Default: class.Annotations[defaultSnapshotClass] == "true",
		})
	}
	return classes, nil
}

// takeStep carries out one step. Each looks again soon, or is followed by a change that a watch tells of.
func (p *pass) takeStep(ctx context.Context, c *scratchCopy, step scratch.Step) error {
	vmi, name := p.instance, c.observed.Instance.Claim
	switch step {
	case scratch.Nothing, scratch.AwaitTemplate:
		return nil
	case scratch.TakeSnapshot:
		p.copying, p.outcome.again = c.text("a snapshot is being taken"), copyDelay
		_, err := p.clients.Snapshots.SnapshotV1().VolumeSnapshots(vmi.Namespace).Create(ctx, &snapshotv1.VolumeSnapshot{
			ObjectMeta: translate.RunMeta(p.vs, vmi, name),
			Spec: snapshotv1.VolumeSnapshotSpec{
				Source:                  snapshotv1.VolumeSnapshotSource{PersistentVolumeClaimName: &c.source},
				VolumeSnapshotClassName: &c.snapshotClass,
			},
		}, metav1.CreateOptions{})
		return err
	case scratch.MakeCopy:
		p.copying = c.text("the copy is about to begin")
		_, err := p.clients.KubeVirt.CreateDataVolume(ctx, c.dataVolume(p, name))
		return err
	case scratch.DropSnapshot:
		uid := c.snapshot.UID
		err := p.clients.Snapshots.SnapshotV1().VolumeSnapshots(vmi.Namespace).Delete(ctx, name,
			metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
		if err == nil {
			p.snapshotGone(c, uid)
		}
		return err
	case scratch.DropCopy:
		p.outcome.again = copyDelay
		return p.clients.KubeVirt.DeleteDataVolume(ctx, vmi.Namespace, name, metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &c.volume.UID}, PropagationPolicy: ptr.To(metav1.DeletePropagationBackground),
		})
	case scratch.Restart:
		return p.restartOnCopy(ctx, c)
	default:
		p.copying = c.waiting(step)
		if step != scratch.AwaitCopy {
			p.outcome.again = copyDelay
		} else if said := p.copyObstacle(ctx, c); said != "" {
			p.copying, p.outcome.again = c.text("it does not go on: "+strings.TrimSuffix(said, ".")), soonAgain
		}
		return nil
	}
}

// copyObstacle returns what CDI and Kubernetes tell, by events only, of a copy whose claim has no volume yet: above all that the
// quota of the namespace has no room for it.
func (p *pass) copyObstacle(ctx context.Context, c *scratchCopy) string {
	if c.claim != nil && c.claim.Status.Phase == corev1.ClaimBound {
		return ""
	}
	objects, events := []metav1.Object{c.volume}, p.eventsOf(ctx, c.volume.Name)
	if c.claim != nil {
		helper := &metav1.ObjectMeta{Name: primePrefix + string(c.claim.UID)}
		objects = append(objects, c.claim, helper)
		events = append(events, p.eventsOf(ctx, helper.Name)...)
	}
	found := status.ObstaclesOf(events, p.clock.Now(), objects...)
	if len(found) == 0 {
		return ""
	}
	return found[0].Message
}

// restartOnCopy ends an instance that got the copy of another run. The next one has a name of its own.
func (p *pass) restartOnCopy(ctx context.Context, c *scratchCopy) error {
	err := p.clients.KubeVirt.RestartMachine(ctx, p.vs.Namespace, p.name(), kubevirtv1.RestartOptions{})
	switch {
	case apierrors.IsConflict(err), apierrors.IsInternalError(err):
		// It is on its way already.
		p.outcome.again = copyDelay
		return nil
	case err == nil:
		p.emit(eventWarning, "RestartedOnFreshCopy", fmt.Sprintf(
			"The machine was started with what an earlier run wrote to filesystem %s, and is restarted on a new copy of PersistentVolumeClaim %s",
			c.filesystem, c.source))
	}
	return err
}

// dataVolume returns the copy to make.
func (c *scratchCopy) dataVolume(p *pass, name string) *cdiv1.DataVolume {
	source := &cdiv1.DataVolumeSource{PVC: &cdiv1.DataVolumeSourcePVC{Namespace: p.vs.Namespace, Name: c.source}}
	size := scratch.SizeFor(c.origin, nil)
	if c.observed.Method == scratch.BySnapshot {
		source = &cdiv1.DataVolumeSource{Snapshot: &cdiv1.DataVolumeSourceSnapshot{Namespace: p.vs.Namespace, Name: name}}
		size = scratch.SizeFor(c.origin, c.snapshot.Status.RestoreSize)
	}
	return translate.Copy(translate.RunMeta(p.vs, p.instance, name), source,
		c.origin.Spec.StorageClassName, scratch.AccessModesFor(c.origin), size)
}

// text says what the machine waits for.
func (c *scratchCopy) text(what string) string {
	return fmt.Sprintf("Filesystem %s gets a copy of PersistentVolumeClaim %s for this run: %s.", c.filesystem, c.source, what)
}

func (c *scratchCopy) waiting(step scratch.Step) string {
	switch step {
	case scratch.AwaitSnapshot:
		if said := snapshotError(c.snapshot); said != "" {
			return c.text("the snapshot fails: " + strings.TrimSuffix(said, "."))
		}
		return c.text("a snapshot is being taken")
	case scratch.AwaitWriters:
		return c.text(fmt.Sprintf("its storage makes no snapshots, so it waits until nobody writes to the claim. Pod %s may",
			strings.Join(c.observed.Writers, ", ")))
	case scratch.AwaitSource:
		return c.text("it waits, for " + c.why)
	case scratch.AwaitCopy:
		progress := string(c.volume.Status.Progress)
		if failed := c.volume.Status.RestartCount; failed > 0 && c.volume.Spec.Source != nil && c.volume.Spec.Source.PVC != nil {
			// Why is only in the log of CDI's pod. This is what there is to do about it.
			return c.text(fmt.Sprintf("the copy has failed %d times and is tried again. CDI reads the claim as user %d, who must be "+
				"allowed to read every file in it", failed, copyingUser))
		}
		if progress != "" && progress != "N/A" {
			return c.text(progress + " done")
		}
		return c.text("it is being filled")
	default:
		return c.text("what an earlier attempt left is being removed")
	}
}

func snapshotError(snapshot *snapshotv1.VolumeSnapshot) string {
	if snapshot == nil || snapshot.Status == nil || snapshot.Status.Error == nil {
		return ""
	}
	return status.OneLine(ptr.Deref(snapshot.Status.Error.Message, ""))
}
