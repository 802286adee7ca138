package virtualserver

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/kubevirt"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// finalizer keeps a VirtualServer until its machine and disk are gone.
const finalizer = "tensorstack.dev/machine"

// errStale ends a pass that looked at a VirtualServer which has changed meanwhile. The change is on its way to the cache
// and starts another pass.
var errStale = errors.New("the VirtualServer has changed meanwhile")

// errUnseen ends a pass that found an object of ours which the cache does not hold yet. Its arrival there starts another pass,
// which is long after if its kind was installed late.
var errUnseen = errors.New("the cache does not hold what exists")

// staleDelay is how long a pass after errStale waits at most.
const staleDelay = 100 * time.Millisecond

// terminatingDelay is how long a pass waits after the namespace was found to be on its way out.
const terminatingDelay = 10 * time.Second

// pass is one reconciliation of one VirtualServer.
type pass struct {
	*Controller
	memory *memory
	// before is the VirtualServer as the server has it, as far as we know. Every write of it is refused if it is older.
	before *v1beta1.VirtualServer
	// vs is the same with the status that the pass computes.
	vs *v1beta1.VirtualServer

	// The objects behind the VirtualServer, nil if they do not exist. They are shared with the caches: never change them.
	machine  *kubevirtv1.VirtualMachine
	instance *kubevirtv1.VirtualMachineInstance
	volume   *cdiv1.DataVolume
	claim    *corev1.PersistentVolumeClaim
	service  *corev1.Service
	secret   *corev1.Secret
	// launcher is the launcher pod as the server has it, nil if only the cache was asked.
	launcher *corev1.Pod
	// copying is what the copies of ephemeral claims wait for, or empty.
	copying string
	// found is what stands in the way.
	found obstacles
	// desired is the machine as it should be, nil if it is not wanted yet.
	desired *kubevirtv1.VirtualMachine

	// confirmed says that the VirtualServer was seen to belong to the namespace as kube-apiserver has it now.
	confirmed bool

	// unwritten says that the VirtualMachine could not be made what the spec says.
	unwritten bool

	// problem is the first thing that stands in the way, for the condition Reconciled.
	problem *problem
	// events wait until the status that they tell of has been written.
	events []event
	// ended are the operations that ended in the pass. They wait likewise.
	ended   []v1beta1.OperationRecord
	outcome outcome
}

func newPass(c *Controller, vs *v1beta1.VirtualServer) *pass {
	return &pass{Controller: c, before: vs, vs: vs.DeepCopy()}
}

// run goes through all steps. It writes the status even if a step failed, so that people see why.
func (p *pass) run(ctx context.Context) error {
	if err := p.enterHome(ctx); err != nil {
		return p.stayAway(err)
	}
	if p.vs.DeletionTimestamp != nil {
		p.caches.buried.forget(p.vs.Namespace, p.name())
		return p.finish(ctx, p.finalize(ctx))
	}
	if err := p.ensureFinalizer(ctx); err != nil {
		return err
	}
	if err := p.ensureName(ctx); err != nil {
		return p.finish(ctx, err)
	}
	p.load()
	return p.finish(ctx, p.reconcile(ctx))
}

// finish writes the status and the events after the steps have ended with err.
func (p *pass) finish(ctx context.Context, err error) error {
	if errors.Is(err, errStale) {
		p.outcome.again = staleDelay
		return nil
	}
	if errors.Is(err, errUnseen) {
		p.outcome.retry = true
		return nil
	}
	if errors.Is(err, errFinalized) {
		return nil
	}
	if errors.Is(err, errNotAtHome) {
		return p.stayAway(err)
	}
	if isConflict(err) {
		// The status would be computed from what is known to be old.
		return err
	}
	if err != nil {
		p.report(problemOf(err))
	}
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		// Trying again is of no use, and the VirtualServer itself is deleted next.
		err, p.outcome.again = nil, terminatingDelay
	}
	return errors.Join(err, p.writeStatus(ctx))
}

// stayAway ends a pass that found that the VirtualServer is not at home, or could not find out. Nothing is written.
func (p *pass) stayAway(err error) error {
	if errors.Is(err, errNotAtHome) {
		p.outcome.again = notAtHomeDelay
		return nil
	}
	return err
}

// load looks up the objects behind the VirtualServer.
func (p *pass) load() {
	namespace, name := p.vs.Namespace, p.vs.Status.VM.Name
	p.machine = mine(p, p.caches.machine(namespace, name))
	p.instance = mine(p, p.caches.instance(namespace, name))
	if translate.MakesRootDisk(p.vs) {
		// A disk that was not made for the machine is nobody's here: neither changed nor deleted.
		p.volume = mine(p, p.caches.volume(namespace, name))
		p.claim = mine(p, p.caches.claim(namespace, name))
	}
	p.service = mine(p, p.caches.service(namespace, name))
	p.secret = mine(p, p.caches.secret(namespace, name))
}

// reconcile brings the objects behind the VirtualServer in line with it. The order keeps a machine from starting before
// what it needs is there. An existing machine obeys its operations even if something else fails.
func (p *pass) reconcile(ctx context.Context) error {
	if err := errors.Join(p.confirmVolume(ctx), p.loadForOperation(ctx)); err != nil {
		return err
	}
	if p.vs.Status.RunStrategy == "" {
		p.vs.Status.RunStrategy = p.vs.Spec.RunStrategy
	}
	// The strategy comes first: whether the machine or the store is newer is told from the version of the VirtualServer,
	// which any write of its status makes newer.
	if err := p.adoptRunStrategy(ctx); err != nil {
		return err
	}
	err := errors.Join(
		p.relabel(ctx),
		p.reconcileCloudInit(ctx),
		p.reconcileRootDisk(ctx),
		p.reconcileService(ctx),
	)
	if errors.Is(err, errNotAtHome) {
		return err
	}
	if errors.Is(err, errNameTaken) {
		err = p.rehash(ctx)
		if !p.stopWanted() {
			// Nothing may start with what belongs to somebody else.
			return errors.Join(err, p.calm(ctx))
		}
	}
	if p.machine != nil || err == nil {
		machineErr := p.reconcileMachine(ctx)
		p.unwritten = machineErr != nil
		err = errors.Join(err, machineErr)
		if errors.Is(err, errNameTaken) {
			return p.rehash(ctx)
		}
	}
	return errors.Join(err, p.operate(ctx), p.reconcileCopies(ctx), p.removeObsolete(ctx), p.sweep(ctx))
}

// calm gives a machine that may not change otherwise the run strategy that is in force, if that starts nothing.
func (p *pass) calm(ctx context.Context) error {
	if p.machine == nil || p.machine.DeletionTimestamp != nil {
		return nil
	}
	verdict, strategy, err := p.strategyToWrite(ctx, p.strategyState())
	return errors.Join(err, p.writeStrategy(ctx, verdict, strategy))
}

// ensureFinalizer makes sure that the VirtualServer outlives its machine.
func (p *pass) ensureFinalizer(ctx context.Context) error {
	for _, present := range p.vs.Finalizers {
		if present == finalizer {
			return nil
		}
	}
	modified := p.before.DeepCopy()
	modified.Finalizers = append(modified.Finalizers, finalizer)
	return p.patchServer(ctx, modified)
}

// patchServer writes metadata of the VirtualServer and goes on with the result.
func (p *pass) patchServer(ctx context.Context, modified *v1beta1.VirtualServer) error {
	patch, err := kubevirt.MergePatch(p.before, modified)
	if err != nil {
		return err
	}
	written, err := p.clients.VirtualServers.TensorstackV1beta1().VirtualServers(p.vs.Namespace).
		Patch(ctx, p.vs.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: kubevirt.FieldManager})
	if err != nil {
		return fmt.Errorf("write the finalizers: %w", err)
	}
	p.accept(written)
	return nil
}

// putStatus writes the status as it stands in the pass and goes on with the result. The error is a Conflict if somebody
// wrote the VirtualServer meanwhile, above all the API server with a new operation: a status computed without it must
// never overwrite it.
func (p *pass) putStatus(ctx context.Context) error {
	written, err := p.clients.VirtualServers.TensorstackV1beta1().VirtualServers(p.vs.Namespace).
		UpdateStatus(ctx, p.vs, metav1.UpdateOptions{FieldManager: kubevirt.FieldManager})
	if err != nil {
		return fmt.Errorf("write the status: %w", err)
	}
	p.accept(written)
	// What has been written is told, whatever else the pass comes to.
	p.flushEvents()
	for _, record := range p.ended {
		p.metrics.observeOperation(record)
	}
	p.ended = nil
	return nil
}

// accept goes on with what the server answered to a write.
func (p *pass) accept(written *v1beta1.VirtualServer) {
	p.before, p.vs = written, written.DeepCopy()
}

// report remembers what stands in the way. The first problem is the one to solve first.
func (p *pass) report(problem *problem) {
	if p.problem == nil {
		p.problem = problem
	}
}

func (p *pass) key() cache.ObjectName {
	return cache.ObjectName{Namespace: p.vs.Namespace, Name: p.vs.Name}
}

// name returns the name of the machine and of all other objects behind the VirtualServer.
func (p *pass) name() string {
	return p.vs.Status.VM.Name
}
