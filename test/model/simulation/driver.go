package simulation

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/registry/tensorstack/virtualserver"
	"tensorstack.dev/virtualserver/test/model/sequence"
	"tensorstack.dev/virtualserver/test/model/spec"
)

var _ sequence.Driver = &World{}

// view is what an operation was answered by.
type view struct {
	server    *tensorstack.VirtualServer
	instance  *kubevirtv1.VirtualMachineInstance
	instances int
}

// look notes what an operation is answered by.
func (w *World) look(instance *kubevirtv1.VirtualMachineInstance) {
	w.kubevirt.mu.Lock()
	defer w.kubevirt.mu.Unlock()
	w.view = &view{server: w.store.only(), instance: instance, instances: w.kubevirt.instances}
}

// Machine implements storage.MachineReader. Between this look at KubeVirt and the write to etcd anything may happen.
func (w *World) Machine(ctx context.Context, namespace, name string) (virtualserver.Machine, error) {
	vmi, err := w.kubevirt.Instance(ctx, namespace, name)
	if err != nil && !apierrors.IsNotFound(err) {
		return virtualserver.Machine{}, err
	}
	machine := virtualserver.Machine{}
	if err == nil {
		machine = virtualserver.Machine{
			InstanceUID: vmi.UID,
			Final:       vmi.IsFinal(),
			Stopping:    vmi.DeletionTimestamp != nil && !vmi.IsFinal(),
		}
	} else {
		vmi = nil
	}
	if w.random.IntN(4) == 0 {
		w.some(4)
	}
	w.look(vmi)
	return machine, nil
}

func phaseOf(vmi *kubevirtv1.VirtualMachineInstance) spec.Phase {
	switch {
	case vmi == nil:
		return spec.Absent
	case vmi.IsFinal():
		return spec.Ended
	case vmi.DeletionTimestamp != nil:
		return spec.Stopping
	case isPaused(vmi):
		return spec.Paused
	default:
		return spec.Live
	}
}

// answered is the view in the words of the specification.
func (v *view) answered() *spec.View {
	phase := phaseOf(v.instance)
	view := &spec.View{Strategy: spec.Strategy(v.server.Status.RunStrategy), Machine: phase}
	if pending := v.server.Status.PendingOperation; pending != nil {
		view.Pending = kindOf(pending.Type)
		view.Forced = pending.GracePeriodSeconds != nil
		view.Newer = phase != spec.Absent && phase != spec.Ended && v.instance.UID != pending.InstanceUID
	}
	return view
}

func kindOf(operation tensorstack.OperationType) spec.Kind {
	return spec.Kind(strings.ToLower(string(operation)))
}

// Do implements sequence.Driver.
func (w *World) Do(a spec.Action, hurry bool) (sequence.Answer, error) {
	if hurry {
		w.some(25)
	}
	w.note("--- %s", a)
	if a.IsOperation() {
		return w.operate(a)
	}
	if a.Kind == spec.Edit {
		return sequence.Answer{Verdict: spec.Accepted}, w.edit(v1beta1.RunStrategy(a.Strategy))
	}
	w.kubevirt.mu.Lock()
	answer, err := w.kubevirt.do(a)
	w.kubevirt.mu.Unlock()
	if a.Kind == spec.Evict && !answer.Skipped {
		time.Sleep(shutdownTime)
	}
	return answer, err
}

func (w *World) operate(a spec.Action) (sequence.Answer, error) {
	w.look(nil)
	var answer runtime.Object
	var err error
	ctx := genericapirequest.WithNamespace(w.ctx, Namespace)
	switch a.Kind {
	case spec.Start:
		answer, err = w.registry.Start.Create(ctx, Name, &tensorstack.StartOptions{Paused: a.Paused}, nil, &metav1.CreateOptions{})
	case spec.Stop:
		answer, err = w.registry.Stop.Create(ctx, Name, &tensorstack.StopOptions{Force: a.Forced}, nil, &metav1.CreateOptions{})
	default:
		answer, err = w.registry.Restart.Create(ctx, Name, &tensorstack.RestartOptions{Force: a.Forced}, nil, &metav1.CreateOptions{})
	}
	result := sequence.Answer{View: w.view.answered(), Instances: w.view.instances}
	result.Verdict, err = verdictOf(err)
	if err == nil && result.Verdict == spec.Accepted {
		vs := answer.(*tensorstack.VirtualServer)
		before := w.view.server.Status.PendingOperation
		if before != nil && vs.Status.PendingOperation != nil && before.ID == vs.Status.PendingOperation.ID {
			result.Verdict = spec.Merged
		} else {
			w.ledger.accept(vs)
		}
	}
	return result, err
}

// verdictOf turns an answer into a verdict. An error other than a refusal is one of the test.
func verdictOf(err error) (spec.Verdict, error) {
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return spec.Accepted, nil
	case apierrors.IsConflict(err):
		return spec.Refused, nil
	case asStatus(err, &status) && status.Status().Code == http.StatusConflict:
		return spec.Refused, nil
	default:
		return "", err
	}
}

func asStatus(err error, status *apierrors.APIStatus) bool {
	found, ok := err.(apierrors.APIStatus)
	*status = found
	return ok
}

func (w *World) edit(strategy v1beta1.RunStrategy) error {
	change := func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		vs := old.(*tensorstack.VirtualServer).DeepCopy()
		vs.Spec.RunStrategy = tensorstack.RunStrategy(strategy)
		return vs, nil
	}
	_, _, err := w.registry.VirtualServer.Update(w.ctx, Name, rest.DefaultUpdatedObjectInfo(nil, change),
		nil, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	return err
}

// do carries out what happens in KubeVirt and below.
func (k *KubeVirt) do(a spec.Action) (sequence.Answer, error) {
	var err error
	skipped := sequence.Answer{Skipped: true}
	switch a.Kind {
	case spec.Shutdown, spec.Crash, spec.Reboot:
		if !k.running() || isPaused(k.instance) {
			return skipped, nil
		}
		switch a.Kind {
		case spec.Shutdown:
			k.phase(kubevirtv1.Succeeded)
		case spec.Crash:
			k.phase(kubevirtv1.Failed)
		}
	case spec.Evict:
		if !k.running() || isPaused(k.instance) {
			return skipped, nil
		}
		k.evict()
	case spec.Pause, spec.Unpause:
		return k.pause(a.Kind == spec.Pause), nil
	case spec.MachineEdit:
		k.write(kubevirtv1.VirtualMachineRunStrategy(a.Strategy))
	case spec.MachineStart:
		err = k.start(k.machine.Name, kubevirtv1.StartOptions{})
	case spec.MachineStop:
		err = k.stop(k.machine.Name, kubevirtv1.StopOptions{})
	case spec.MachineRestart:
		err = k.restart(k.machine.Name, kubevirtv1.RestartOptions{})
	case spec.DeleteInstance:
		k.deleteInstance()
	case spec.DeleteMachine:
		err = k.deleteMachine(k.machine.Name, metav1.DeleteOptions{})
	default:
		err = fmt.Errorf("nobody knows how to %s", a)
	}
	verdict, err := verdictOf(err)
	return sequence.Answer{Verdict: verdict}, err
}

// pause is what virt-api and virt-handler do.
func (k *KubeVirt) pause(pause bool) sequence.Answer {
	if !k.running() || isPaused(k.instance) == pause {
		return sequence.Answer{Verdict: spec.Refused}
	}
	vmi := k.instance.DeepCopy()
	setPaused(vmi, pause)
	k.setInstance(vmi)
	return sequence.Answer{Verdict: spec.Accepted}
}

// Settle implements sequence.Driver.
func (w *World) Settle(func(sequence.Observed) bool) (sequence.Observed, error) {
	if err := w.rest(); err != nil {
		return sequence.Observed{}, err
	}
	if err := w.ledger.check(); err != nil {
		return sequence.Observed{}, err
	}
	vs := w.store.only()
	w.kubevirt.mu.Lock()
	defer w.kubevirt.mu.Unlock()
	observed := sequence.Observed{
		Strategy:  spec.Strategy(vs.Status.RunStrategy),
		Status:    string(vs.Status.PrintableStatus),
		Pending:   vs.Status.PendingOperation != nil,
		Machine:   phaseOf(w.kubevirt.instance),
		Instances: w.kubevirt.instances,
	}
	if w.kubevirt.machine != nil {
		observed.MachineStrategy = spec.Strategy(w.kubevirt.strategy())
		observed.Queued = len(w.kubevirt.machine.Status.StateChangeRequests)
	}
	return observed, nil
}

// Describe implements sequence.Driver.
func (w *World) Describe() string {
	w.kubevirt.mu.Lock()
	defer w.kubevirt.mu.Unlock()
	text := "the last steps:\n  " + strings.Join(w.trace, "\n  ")
	objects := []any{w.kubevirt.machine, w.kubevirt.instance}
	if vs := w.store.only(); vs != nil {
		objects = append([]any{toExternal(vs)}, objects...)
	}
	for _, object := range objects {
		if encoded, err := yaml.Marshal(object); err == nil {
			text += "\n---\n" + string(encoded)
		}
	}
	return text
}
