package virtualserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/naming"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// The rule of adoption. Our store may be lost while the machines run on. When a VirtualServer is applied again under its
// old namespace and name, it has a new UID and takes over the machine and the disk that carry the annotation
// tensorstack.dev/virtualserver-name with its name: nothing with another UID can still live under that name. They keep
// their names, they get the label of the new UID, and the run strategy of the machine becomes the one in force, so that
// nothing starts or stops. If there are several, the newest machine is taken and the others are left alone.

// errNameTaken says that an object of somebody else has the name of our machine.
var errNameTaken = errors.New("the name is taken by an object of somebody else")

// ownership says whose an object is.
type ownership string

const (
	// owned objects were made for this VirtualServer.
	owned ownership = "owned"
	// orphaned objects were made for an earlier VirtualServer of the same name, which is gone.
	orphaned ownership = "orphaned"
	// foreign objects are not ours, and are never touched.
	foreign ownership = "foreign"
)

// ownershipOf tells from labels and annotations whose an object in the namespace of the VirtualServer is.
func ownershipOf(object metav1.Object, vs metav1.Object) ownership {
	uid := object.GetLabels()[translate.LabelUID]
	switch {
	case uid == "":
		return foreign
	case uid == string(vs.GetUID()):
		return owned
	case object.GetAnnotations()[translate.AnnotationName] == vs.GetName():
		return orphaned
	default:
		return foreign
	}
}

// mine returns the object if it was made for this VirtualServer or an earlier one of its name, and nil otherwise. An
// orphan counts only under the recorded name, which is the only one that is ever asked for.
func mine[T any, P interface {
	*T
	metav1.Object
}](p *pass, object P) P {
	if object == nil || ownershipOf(object, p.vs) == foreign {
		return nil
	}
	return object
}

// ensureName records the name of the machine before anything is created under it. A machine that an earlier
// VirtualServer of the same name left behind gives its name.
func (p *pass) ensureName(ctx context.Context) error {
	if p.vs.Status.VM.Name != "" {
		return nil
	}
	server := p.vs.Namespace + "/" + p.vs.Name
	choice := chooseOrphan(p.vs,
		indexed[kubevirtv1.VirtualMachine](p.caches.machines, byServerName, server),
		indexed[cdiv1.DataVolume](p.caches.volumes, byServerName, server))
	if choice.name == "" {
		p.vs.Status.VM.Name = naming.VMName(p.vs.Name, p.vs.UID, p.vs.Status.VM.CollisionCount)
		return p.putStatus(ctx)
	}
	p.vs.Status.VM.Name = choice.name
	if choice.strategy != "" {
		p.vs.Status.RunStrategy = choice.strategy
		if p.vs.Status.PendingOperation != nil {
			p.endOperation(v1beta1.OperationFailed, "The machine of an earlier VirtualServer of this name was adopted as it is. "+
				"Ask again if it is still wanted.")
		}
	}
	if err := p.putStatus(ctx); err != nil {
		return err
	}
	message := fmt.Sprintf("Adopted the machine %s of an earlier VirtualServer of this name", choice.name)
	if choice.others > 0 {
		message += fmt.Sprintf("; %d more are left alone", choice.others)
	}
	p.emit(eventNormal, "Adopted", message)
	p.metrics.adopted.WithLabelValues("machine").Inc()
	return nil
}

// orphanChoice is the machine to adopt.
type orphanChoice struct {
	// name is that of the machine, or empty if there is nothing to adopt.
	name string
	// strategy is that of the machine, or empty if only a disk is left.
	strategy v1beta1.RunStrategy
	// others counts what could have been adopted as well.
	others int
}

// chooseOrphan decides which machine a new VirtualServer takes over: the newest that exists, else the newest disk.
func chooseOrphan(
	vs *v1beta1.VirtualServer, machines []*kubevirtv1.VirtualMachine, volumes []*cdiv1.DataVolume,
) orphanChoice {
	names := map[string]bool{}
	var orphans []*kubevirtv1.VirtualMachine
	for _, vm := range machines {
		if ownershipOf(vm, vs) == orphaned && vm.DeletionTimestamp == nil {
			orphans = append(orphans, vm)
			names[vm.Name] = true
		}
	}
	var disks []*cdiv1.DataVolume
	for _, volume := range volumes {
		if ownershipOf(volume, vs) == orphaned && volume.DeletionTimestamp == nil {
			disks = append(disks, volume)
			names[volume.Name] = true
		}
	}
	switch {
	case len(orphans) > 0:
		newest := slices.MaxFunc(orphans, func(a, b *kubevirtv1.VirtualMachine) int { return olderFirst(a, b) })
		return orphanChoice{name: newest.Name, strategy: adoptable(strategyOf(newest)), others: len(names) - 1}
	case len(disks) > 0:
		newest := slices.MaxFunc(disks, func(a, b *cdiv1.DataVolume) int { return olderFirst(a, b) })
		return orphanChoice{name: newest.Name, others: len(names) - 1}
	default:
		return orphanChoice{}
	}
}

// olderFirst orders by age, and by name where that is the same.
func olderFirst(a, b metav1.Object) int {
	return cmp.Or(a.GetCreationTimestamp().Compare(b.GetCreationTimestamp().Time), cmp.Compare(a.GetName(), b.GetName()))
}

// relabel makes the objects of an earlier VirtualServer those of this one. The machine comes last and is relabelled by
// the merge that every pass makes; so are DataVolume, Service and Secret. Only the claim has no merge of its own.
func (p *pass) relabel(ctx context.Context) error {
	if p.claim == nil || ownershipOf(p.claim, p.vs) != orphaned || p.claim.DeletionTimestamp != nil {
		return nil
	}
	modified := p.claim.DeepCopy()
	for key, value := range translate.Labels(p.vs) {
		metav1.SetMetaDataLabel(&modified.ObjectMeta, key, value)
	}
	claim, err := p.patchClaim(ctx, modified)
	if err != nil {
		return fmt.Errorf("relabel PersistentVolumeClaim %s: %w", p.claim.Name, err)
	}
	p.claim = claim
	return nil
}

// checkTaken turns the error of a create into errNameTaken if an object of somebody else has the name. An object of ours
// that the cache does not hold yet is errUnseen.
func (p *pass) checkTaken(err error, read func() (metav1.Object, error)) error {
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	live, readErr := read()
	if apierrors.IsNotFound(readErr) {
		return errUnseen
	}
	if readErr != nil {
		return readErr
	}
	if ownershipOf(live, p.vs) == foreign {
		return fmt.Errorf("%w: %s", errNameTaken, err.Error())
	}
	return errUnseen
}

// rehash takes another name after a collision, unless the machine or its disk exists already under the present one.
func (p *pass) rehash(ctx context.Context) error {
	if p.machine != nil || p.instance != nil || imported(p.volume, p.claim) {
		return &problem{reason: "NameTaken", message: fmt.Sprintf(
			"An object named %s in this namespace belongs to somebody else and is left alone. Rename or delete it. "+
				"If it is this machine's, give it its label %s=%s back.", p.name(), translate.LabelUID, p.vs.UID)}
	}
	taken := p.name()
	p.vs.Status.VM.CollisionCount++
	p.vs.Status.VM.Name = naming.VMName(p.vs.Name, p.vs.UID, p.vs.Status.VM.CollisionCount)
	next := p.name()
	if err := p.putStatus(ctx); err != nil {
		return err
	}
	p.emit(eventNormal, "NameCollision", fmt.Sprintf(
		"The name %s is taken by an object of somebody else. The machine is named %s", taken, next))
	return errStale
}

// formerNames returns the names that were given up after collisions.
func formerNames(vs *v1beta1.VirtualServer) []string {
	var names []string
	for count := range vs.Status.VM.CollisionCount {
		if name := naming.VMName(vs.Name, vs.UID, count); name != vs.Status.VM.Name {
			names = append(names, name)
		}
	}
	return names
}

// under returns a pass that looks at what is there under a name that was given up.
func (p *pass) under(name string) *pass {
	former := &pass{Controller: p.Controller, memory: p.memory, before: p.before, vs: p.vs.DeepCopy()}
	former.vs.Status.VM.Name = name
	former.load()
	former.remember()
	return former
}

// sweep deletes what was created under a name before the name turned out to be taken. A disk that holds its image is not
// among that: names are not given up then.
func (p *pass) sweep(ctx context.Context) error {
	var errs []error
	for _, name := range formerNames(p.vs) {
		former := p.under(name)
		if former.machine != nil && ownershipOf(former.machine, p.vs) == owned {
			errs = append(errs, former.deleteMachine(ctx))
		}
		if former.service != nil && ownershipOf(former.service, p.vs) == owned {
			errs = append(errs, former.deleteService(ctx))
		}
		if former.secret != nil && ownershipOf(former.secret, p.vs) == owned {
			errs = append(errs, former.deleteSecret(ctx))
		}
		if former.volume != nil && ownershipOf(former.volume, p.vs) == owned && !imported(former.volume, former.claim) {
			errs = append(errs, former.deleteVolume(ctx, metav1.DeletePropagationBackground))
		}
	}
	return errors.Join(errs...)
}
