package virtualserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/status"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// labelRetainedFrom stands on a claim that outlived its VirtualServer, and holds the name of that.
const labelRetainedFrom = "tensorstack.dev/retained-from"

// errFinalized ends a pass after the finalizer has been removed: there is nothing left to write a status to.
var errFinalized = errors.New("the VirtualServer is gone")

// finalize takes the next steps of the deletion of the VirtualServer.
func (p *pass) finalize(ctx context.Context) error {
	if !slices.Contains(p.vs.Finalizers, finalizer) {
		return errFinalized
	}
	if p.name() == "" {
		// Nothing is created before the name is recorded.
		return p.removeFinalizer(ctx)
	}
	p.load()
	p.remember()
	if !p.wentAway(kindDataVolume, p.name()) {
		if err := p.confirmVolume(ctx); err != nil {
			return err
		}
	}
	for _, name := range formerNames(p.vs) {
		former := p.under(name)
		if step := decideDeletion(former.remains()); step != stepFinish {
			err := former.take(ctx, step)
			p.problem, p.outcome = former.problem, former.outcome
			return err
		}
	}
	if err := p.disownInstance(ctx); err != nil {
		return err
	}
	return p.take(ctx, decideDeletion(p.remains()))
}

// disownInstance leaves an instance alone that belongs to the machine of somebody else, though it has our label: it would
// only be made again.
func (p *pass) disownInstance(ctx context.Context) error {
	if p.instance == nil || p.machine != nil || p.instance.DeletionTimestamp != nil {
		return nil
	}
	machine, err := p.clients.KubeVirt.Machine(ctx, p.vs.Namespace, p.name())
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("read VirtualMachine %s: %w", p.name(), err)
	case ownershipOf(machine, p.vs) == foreign:
		p.instance = nil
		return nil
	default:
		return errStale
	}
}

// take takes a step of the deletion.
func (p *pass) take(ctx context.Context, step deletionStep) error {
	switch step {
	case stepDeleteMachine:
		return p.deleteMachine(ctx)
	case stepDeleteInstance:
		return p.deleteInstance(ctx)
	case stepDeleteService:
		return p.deleteService(ctx)
	case stepDeleteSecret:
		return p.deleteSecret(ctx)
	case stepRelease:
		return p.releaseClaim(ctx)
	case stepOrphanVolume:
		return p.deleteVolume(ctx, metav1.DeletePropagationOrphan)
	case stepDeleteVolume:
		return p.deleteVolume(ctx, metav1.DeletePropagationBackground)
	case stepWaitGarbage:
		p.outcome.again = garbageDelay
		return nil
	case stepDeleteClaim:
		return p.deleteClaim(ctx)
	case stepFinish:
		return p.finishDeletion(ctx)
	default:
		p.report(&problem{reason: reasonDeleting, message: p.waitsFor(step)})
		return nil
	}
}

func (p *pass) remains() remains {
	return remains{
		machine:  presenceOf(p.machine),
		instance: presenceOf(p.instance),
		service:  presenceOf(p.service),
		secret:   presenceOf(p.secret),
		volume:   presenceOf(p.volume),
		claim:    presenceOf(p.claim),
		follows:  p.followsVolume(),
		// A disk that was never imported holds nothing to keep.
		retain: p.vs.Spec.Storage.Root.DeletionPolicy == v1beta1.DeletionPolicyRetain &&
			(imported(p.volume, p.claim) ||
				p.volume == nil && p.claim != nil && p.claim.DeletionTimestamp == nil && !p.followsVolume()),
	}
}

// reasonDeleting is the reason of the condition Reconciled while a deletion waits for something.
const reasonDeleting = "Deleting"

// waitsFor says what a deletion waits for, and names finalizers that are not KubeVirt's, CDI's or Kubernetes' own.
func (p *pass) waitsFor(step deletionStep) string {
	switch step {
	case stepWaitMachine:
		return "VirtualMachine " + p.name() + " is being deleted" + p.endOfInstance() + foreignFinalizers(p.machine)
	case stepWaitInstance:
		return "VirtualMachineInstance " + p.name() + " is being deleted" + p.endOfInstance() + foreignFinalizers(p.instance)
	case stepWaitService:
		return "Service " + p.name() + " is being deleted." + foreignFinalizers(p.service)
	case stepWaitSecret:
		return "Secret " + p.name() + " is being deleted." + foreignFinalizers(p.secret)
	case stepWaitVolume:
		return "DataVolume " + p.name() + " is being deleted." + foreignFinalizers(p.volume)
	default:
		message := "PersistentVolumeClaim " + p.name() + " is being deleted."
		if p.claim != nil && slices.Contains(p.claim.Finalizers, protectedClaim) {
			message += " A pod may still use it: \"kubectl describe pvc " + p.name() + "\" lists them."
		}
		return message + foreignFinalizers(p.claim)
	}
}

// endOfInstance says what the end of the instance waits for, or nothing more than a full stop. Only KubeVirt's virt-handler, on
// the node, knows that a guest has ended; without it the instance stays, and with it the disk.
func (p *pass) endOfInstance() string {
	if p.instance == nil {
		return "."
	}
	node := p.instance.Status.NodeName
	if why := status.NodeLost(p.observe(p.clock.Now())); why != "" {
		return fmt.Sprintf(": VirtualMachineInstance %s is on node %s, %s. Nobody knows whether the guest still runs there, so nothing "+
			"of it is removed. Bring the node back, or delete its Node object once it is surely off.", p.name(), node, why)
	}
	switch {
	case p.instance.IsFinal():
		if len(p.instance.Finalizers) > 0 && node != "" {
			return fmt.Sprintf(": VirtualMachineInstance %s has ended, and KubeVirt cleans up on node %s.", p.name(), node)
		}
		return ": VirtualMachineInstance " + p.name() + " has ended and is being removed."
	case p.instance.DeletionTimestamp != nil && node == "":
		return ": VirtualMachineInstance " + p.name() + " is being removed; no guest has started in it."
	case p.instance.DeletionTimestamp != nil:
		return fmt.Sprintf(": the guest is shutting down and has %d seconds for it.", graceOf(p.instance))
	}
	return "."
}

// protectedClaim keeps a claim for as long as a pod uses it.
const protectedClaim = "kubernetes.io/pvc-protection"

func foreignFinalizers(object metav1.Object) string {
	var others []string
	for _, name := range object.GetFinalizers() {
		domain, _, _ := strings.Cut(name, "/")
		known := strings.HasSuffix(domain, "kubevirt.io") || strings.HasSuffix(domain, "kubernetes.io") ||
			name == metav1.FinalizerOrphanDependents || name == metav1.FinalizerDeleteDependents
		if !known {
			others = append(others, name)
		}
	}
	if len(others) == 0 {
		return ""
	}
	return " It is kept by the finalizers " + strings.Join(others, ", ") + "; whoever set them must remove them."
}

// precondition makes a delete concern the very object that was looked at.
func precondition(object metav1.Object) metav1.DeleteOptions {
	return metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: ptr.To(object.GetUID())}}
}

// deleteOnce deletes an object unless that has been done already and the cache is yet to show it. An object that is gone
// counts as deleted. more is added to the event.
func (p *pass) deleteOnce(kind string, object metav1.Object, request func() error, more string) error {
	if p.goes(kind, object) {
		return nil
	}
	err := request()
	if err != nil && !apierrors.IsNotFound(err) {
		return failed("delete "+kind+" "+object.GetName(), err)
	}
	p.memory.deleted[objectID{kind: kind, name: object.GetName()}] = deletion{of: object.GetUID(), at: p.clock.Now()}
	if err == nil {
		p.emit(eventNormal, "Deleted"+kind, "Deleted "+kind+" "+object.GetName()+more)
	}
	return nil
}

func (p *pass) deleteMachine(ctx context.Context) error {
	return p.deleteOnce(kindMachine, p.machine, func() error {
		return p.clients.KubeVirt.DeleteMachine(ctx, p.machine.Namespace, p.machine.Name, precondition(p.machine))
	}, "; the guest is shut down")
}

func (p *pass) deleteInstance(ctx context.Context) error {
	return p.deleteOnce(kindInstance, p.instance, func() error {
		return p.clients.KubeVirt.DeleteInstance(ctx, p.instance.Namespace, p.instance.Name, precondition(p.instance))
	}, "")
}

func (p *pass) deleteService(ctx context.Context) error {
	return p.deleteOnce(kindService, p.service, func() error {
		return p.clients.Kubernetes.CoreV1().Services(p.service.Namespace).
			Delete(ctx, p.service.Name, precondition(p.service))
	}, "")
}

func (p *pass) deleteSecret(ctx context.Context) error {
	return p.deleteOnce(kindSecret, p.secret, func() error {
		return p.clients.Kubernetes.CoreV1().Secrets(p.secret.Namespace).
			Delete(ctx, p.secret.Name, precondition(p.secret))
	}, "")
}

// deleteVolume deletes the DataVolume as it was looked at: if its import has ended meanwhile it is looked at again. With
// DeletePropagationOrphan the claim stays.
func (p *pass) deleteVolume(ctx context.Context, propagation metav1.DeletionPropagation) error {
	return p.deleteOnce(kindDataVolume, p.volume, func() error {
		options := precondition(p.volume)
		options.Preconditions.ResourceVersion = ptr.To(p.volume.ResourceVersion)
		options.PropagationPolicy = &propagation
		return p.clients.KubeVirt.DeleteDataVolume(ctx, p.volume.Namespace, p.volume.Name, options)
	}, "")
}

func (p *pass) deleteClaim(ctx context.Context) error {
	return p.deleteOnce(kindClaim, p.claim, func() error {
		return p.clients.Kubernetes.CoreV1().PersistentVolumeClaims(p.claim.Namespace).
			Delete(ctx, p.claim.Name, precondition(p.claim))
	}, "")
}

// releaseClaim makes the claim nobody's, so that neither we nor a later VirtualServer of this name touch it again.
func (p *pass) releaseClaim(ctx context.Context) error {
	modified := p.claim.DeepCopy()
	release(modified, p.vs)
	if _, err := p.patchClaim(ctx, modified); err != nil {
		return failed("release PersistentVolumeClaim "+p.claim.Name, err)
	}
	p.emit(eventNormal, "RetainedRootDisk", "The root disk stays in PersistentVolumeClaim "+p.claim.Name)
	return nil
}

func release(claim *corev1.PersistentVolumeClaim, vs *v1beta1.VirtualServer) {
	labels := translate.Labels(vs)
	for key := range labels {
		delete(claim.Labels, key)
	}
	delete(claim.Annotations, translate.AnnotationName)
	// However the DataVolume is deleted after this, garbage collection does not take the claim along.
	claim.OwnerReferences = slices.DeleteFunc(claim.OwnerReferences, func(owner metav1.OwnerReference) bool {
		return owner.Kind == kindDataVolume
	})
	metav1.SetMetaDataLabel(&claim.ObjectMeta, labelRetainedFrom, labels[translate.LabelName])
}

// finishDeletion removes the finalizer after it has asked the servers themselves whether anything is left that the caches
// have never held: a process that was killed may have created it just before.
func (p *pass) finishDeletion(ctx context.Context) error {
	for _, name := range append(formerNames(p.vs), p.name()) {
		left, err := p.anythingLeft(ctx, name)
		if err != nil {
			return err
		}
		if left != "" {
			p.report(&problem{reason: reasonDeleting, message: left + " " + name + " is still there."})
			p.outcome.retry = true
			return nil
		}
	}
	return p.removeFinalizer(ctx)
}

// anythingLeft returns the kind of an object of ours under that name, or nothing. The instance of a machine of somebody
// else's is not ours, see disownInstance.
func (p *pass) anythingLeft(ctx context.Context, name string) (string, error) {
	namespace, options := p.vs.Namespace, metav1.GetOptions{}
	machineIsForeign, made := false, translate.MakesRootDisk(p.vs)
	known := p.knownToBeGone(name)
	core := p.clients.Kubernetes.CoreV1()
	for _, kind := range []struct {
		name string
		read func() (metav1.Object, error)
	}{
		{kindMachine, func() (metav1.Object, error) { return p.clients.KubeVirt.Machine(ctx, namespace, name) }},
		{kindInstance, func() (metav1.Object, error) { return p.clients.KubeVirt.Instance(ctx, namespace, name) }},
		{kindService, func() (metav1.Object, error) { return core.Services(namespace).Get(ctx, name, options) }},
		{kindSecret, func() (metav1.Object, error) { return core.Secrets(namespace).Get(ctx, name, options) }},
		{kindDataVolume, func() (metav1.Object, error) { return p.clients.KubeVirt.DataVolume(ctx, namespace, name) }},
		{kindClaim, func() (metav1.Object, error) {
			return core.PersistentVolumeClaims(namespace).Get(ctx, name, options)
		}},
	} {
		if known[kind.name] || !made && (kind.name == kindDataVolume || kind.name == kindClaim) {
			continue
		}
		object, err := kind.read()
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return "", fmt.Errorf("look whether %s %s is left: %w", kind.name, name, err)
		case ownershipOf(object, p.vs) == foreign:
			machineIsForeign = machineIsForeign || kind.name == kindMachine
		case !machineIsForeign || kind.name != kindInstance:
			return kind.name, nil
		}
	}
	return "", nil
}

// knownToBeGone returns the kinds whose object of that name the caches have held and hold no more, and what went with it:
// KubeVirt keeps a machine until its instance is gone, and garbage collection takes the claim of a DataVolume that was
// deleted, unless the disk is retained.
func (p *pass) knownToBeGone(name string) map[string]bool {
	gone := map[string]bool{}
	for _, kind := range []string{kindMachine, kindInstance, kindService, kindSecret, kindDataVolume, kindClaim} {
		gone[kind] = p.wentAway(kind, name)
	}
	gone[kindInstance] = gone[kindInstance] || gone[kindMachine]
	retain := p.vs.Spec.Storage.Root.DeletionPolicy == v1beta1.DeletionPolicyRetain
	gone[kindClaim] = gone[kindClaim] || gone[kindDataVolume] && !retain
	return gone
}

func (p *pass) removeFinalizer(ctx context.Context) error {
	modified := p.before.DeepCopy()
	modified.Finalizers = slices.DeleteFunc(modified.Finalizers, func(name string) bool { return name == finalizer })
	err := p.patchServer(ctx, modified)
	if apierrors.IsNotFound(err) {
		return errFinalized
	}
	if err != nil {
		return err
	}
	p.emit(eventNormal, "Deleted", "The machine and everything behind it are gone")
	return errFinalized
}
