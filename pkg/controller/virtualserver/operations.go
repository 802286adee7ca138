package virtualserver

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/status"
)

// loadForOperation reads everything from the servers if an operation is pending. Caches may be old: the API server saw an
// instance when it accepted the operation that we may not see yet, or we may have carried out the operation already.
func (p *pass) loadForOperation(ctx context.Context) error {
	if p.vs.Status.PendingOperation == nil {
		return nil
	}
	if err := p.checkFresh(ctx); err != nil {
		return err
	}
	if err := p.readMachine(ctx); err != nil {
		return err
	}
	if p.machine != nil && p.storeBehind() {
		p.endOperation(v1beta1.OperationFailed, "This VirtualServer is from an older copy of the store. "+
			"What was asked for then is not carried out again.")
	}
	return nil
}

// readMachine reads the machine and its instance from the servers, in this order: KubeVirt takes a request out of its queue
// only after the instance shows it, so what is missing in the first shows in the second.
func (p *pass) readMachine(ctx context.Context) error {
	machine, err := p.clients.KubeVirt.Machine(ctx, p.vs.Namespace, p.name())
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("read VirtualMachine %s: %w", p.name(), err)
	}
	if err != nil {
		machine = nil
	}
	instance, err := p.clients.KubeVirt.Instance(ctx, p.vs.Namespace, p.name())
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("read VirtualMachineInstance %s: %w", p.name(), err)
	}
	if err != nil {
		instance = nil
	}
	p.machine, p.instance = mine(p, machine), mine(p, instance)
	return nil
}

// operate carries out the pending operation as far as it goes now.
func (p *pass) operate(ctx context.Context) error {
	op := p.vs.Status.PendingOperation
	if op == nil {
		return p.cancelStrayStart(ctx)
	}
	if p.mustWait(op) {
		op.Message = "It waits for the import of the root disk."
		return nil
	}
	if p.unwritten && op.Type == v1beta1.OperationStart {
		// It would be a machine of another spec than the user sees.
		op.Message = "It waits for the VirtualMachine to become what the spec says."
		return nil
	}
	decision := decideOperation(op, p.machine, p.instance)
	switch decision.action {
	case actionWait:
		op.Message = decision.message
		return nil
	case actionDone:
		if p.unwritten && op.Type == v1beta1.OperationRestart {
			decision.message = messageOldSpec
		}
		p.endOperation(v1beta1.OperationSucceeded, decision.message)
		return nil
	case actionFail:
		p.endOperation(v1beta1.OperationFailed, decision.message)
		return nil
	default:
		return p.ask(ctx, op, decision.action)
	}
}

// mustWait says that the operation has to wait for the root disk. Only a stop never does.
func (p *pass) mustWait(op *v1beta1.Operation) bool {
	return op.Type != v1beta1.OperationStop && p.held()
}

// stopWanted says that a machine exists and is to stop.
func (p *pass) stopWanted() bool {
	op := p.vs.Status.PendingOperation
	return p.machine != nil && op != nil && op.Type == v1beta1.OperationStop
}

// stamp notes on the machine which version of the VirtualServer asks for the operation. After that an older copy of the
// store, in which the operation is still pending, cannot ask again.
func (p *pass) stamp(ctx context.Context) error {
	if p.machine.Annotations[annotationAppliedVersion] == p.vs.ResourceVersion {
		return nil
	}
	modified := p.machine.DeepCopy()
	metav1.SetMetaDataAnnotation(&modified.ObjectMeta, annotationAppliedVersion, p.vs.ResourceVersion)
	machine, err := p.clients.KubeVirt.PatchMachine(ctx, p.machine, modified)
	if err != nil {
		return failed("update VirtualMachine "+p.name(), err)
	}
	p.machine = machine
	return nil
}

// ask asks KubeVirt for an operation. What it does changes the machine or the instance, which starts the next pass.
func (p *pass) ask(ctx context.Context, op *v1beta1.Operation, action operationAction) error {
	namespace, name := p.vs.Namespace, p.name()
	if err := p.confirmHome(ctx); err != nil {
		return err
	}
	if err := p.stamp(ctx); err != nil {
		return err
	}
	var err error
	switch action {
	case actionStart:
		err = p.clients.KubeVirt.StartMachine(ctx, namespace, name, kubevirtv1.StartOptions{Paused: op.Paused})
	case actionStop:
		err = p.clients.KubeVirt.StopMachine(ctx, namespace, name,
			kubevirtv1.StopOptions{GracePeriod: op.GracePeriodSeconds})
	case actionRestart:
		err = p.clients.KubeVirt.RestartMachine(ctx, namespace, name,
			kubevirtv1.RestartOptions{GracePeriodSeconds: restartGrace(op)})
	case actionCancel:
		if err = p.cancelRequests(ctx); err == nil {
			op.Message = "Requests that KubeVirt held before are taken back."
			p.outcome.retry = true
		}
		return err
	default:
		return fmt.Errorf("the action %q is not one that KubeVirt can be asked for", action)
	}
	switch {
	case err == nil:
		op.Message = messageAsked
		return nil
	case refused(err):
		op.Message = "KubeVirt does not take it yet and is asked again: " + plain(err)
		p.outcome.retry = true
		return nil
	default:
		return failed(fmt.Sprintf("ask KubeVirt to %s VirtualMachine %s", action, name), err)
	}
}

// restartGrace returns the only grace period that KubeVirt takes for a restart, or none.
func restartGrace(op *v1beta1.Operation) *int64 {
	if op.GracePeriodSeconds == nil {
		return nil
	}
	return new(int64)
}

// refused says that KubeVirt takes the operation only in another state. It answers 404 for a machine that is gone, and 500
// while another operation is under way (getChangeRequestJson in pkg/virt-api/rest of KubeVirt) or if one came first: the
// API server answers to its patch in words that it does not know (jsonpatchTestErr there).
func refused(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsInternalError(err) &&
		(strings.Contains(err.Error(), "already underway") || strings.Contains(err.Error(), "rejected our request due to an error"))
}

// plain returns the words of an API error without the wrapping that KubeVirt adds.
func plain(err error) string {
	message := err.Error()
	if _, reason, found := strings.Cut(message, `": `); found {
		message = reason
	}
	return status.OneLine(message)
}

// cancelStrayStart takes back a start that KubeVirt left in its queue while the machine was halted, or that is stuck there.
func (p *pass) cancelStrayStart(ctx context.Context) error {
	if p.machine == nil || p.machine.DeletionTimestamp != nil {
		return nil
	}
	if strayStart(p.machine, p.vs.Status.RunStrategy) {
		return p.cancelRequests(ctx)
	}
	if !newMachineState(p.machine, p.instance).startStuck() {
		return nil
	}
	// The caches may not be of the same age.
	if err := p.readMachine(ctx); err != nil || p.machine == nil || !newMachineState(p.machine, p.instance).startStuck() {
		return err
	}
	return p.cancelRequests(ctx)
}

// cancelRequests takes back what KubeVirt holds in its queue, as it was seen there.
func (p *pass) cancelRequests(ctx context.Context) error {
	err := p.clients.KubeVirt.CancelRequests(ctx, p.machine)
	if apierrors.IsConflict(err) || apierrors.IsInvalid(err) {
		// The queue has changed: the machine's next change starts the next pass.
		return nil
	}
	return failed("take back a queued start of VirtualMachine "+p.name(), err)
}

// endOperation moves the pending operation into the ledger.
func (p *pass) endOperation(result v1beta1.OperationResult, message string) {
	op := p.vs.Status.PendingOperation
	record := v1beta1.OperationRecord{
		ID:              op.ID,
		Type:            op.Type,
		RequestedBy:     op.RequestedBy,
		RequestedAt:     op.RequestedAt,
		CompletedAt:     metav1.NewMicroTime(p.clock.Now()),
		FromRunStrategy: op.FromRunStrategy,
		ToRunStrategy:   op.ToRunStrategy,
		Result:          result,
		Message:         message,
	}
	p.vs.Status.PendingOperation = nil
	p.vs.Status.Operations = status.Prepend(p.vs.Status.Operations, record)
	p.ended = append(p.ended, record)
	p.emitOperation(op, result, message)
}
