package virtualserver

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// held says whether the machine must wait for its root disk. KubeVirt itself waits for a disk that the machine writes to,
// but not for one that it uses through a throw-away overlay. A guest that runs keeps the disk that it has.
func (p *pass) held() bool {
	runs := p.instance != nil && p.instance.Status.Phase == kubevirtv1.Running
	return translate.MakesRootDisk(p.vs) && p.vs.Spec.Storage.Root.Ephemeral && !imported(p.volume, p.claim) && !runs
}

// imported says whether the root disk holds its image. A claim without a DataVolume was imported before, unless it still belongs
// to one: then garbage collection has yet to follow. One whose volume is lost may have been imported, though CDI may call that
// a failure.
func imported(volume *cdiv1.DataVolume, claim *corev1.PersistentVolumeClaim) bool {
	if claim != nil && (claim.Status.Phase == corev1.ClaimLost || translate.MarkedImported(claim)) {
		return true
	}
	if volume == nil {
		return claim != nil && claim.DeletionTimestamp == nil && !volumeOwns(claim)
	}
	return volume.Status.Phase == cdiv1.Succeeded
}

// reconcileMachine creates the VirtualMachine, or writes into it what differs from the spec and the run strategy.
func (p *pass) reconcileMachine(ctx context.Context) error {
	if p.machine == nil {
		return p.createMachine(ctx)
	}
	if p.machine.DeletionTimestamp != nil {
		// Somebody deleted it. It is made again as soon as it is gone.
		return nil
	}
	state := p.strategyState()
	verdict, strategy, err := p.strategyToWrite(ctx, state)
	if err != nil {
		return err
	}
	desired, err := p.desiredMachine(translate.Options{RunStrategy: strategy})
	if err != nil {
		return errors.Join(err, p.writeStrategy(ctx, verdict, strategy))
	}
	merged, changed := translate.MergeVirtualMachine(p.machine, desired)
	p.desired = merged
	if !changed {
		return nil
	}
	machine, err := p.clients.KubeVirt.PatchMachine(ctx, p.machine, merged)
	if err == nil && verdict == strategyOverride && strategy != "" {
		p.emit(eventWarning, "RunStrategyOverridden", fmt.Sprintf(
			"Run strategy %s was set on VirtualMachine %s, but %s is in force here and was set again",
			state.machine, p.machine.Name, state.wanted))
	}
	if err != nil {
		err = failed("update VirtualMachine "+p.name(), err)
		if !isConflict(err) {
			err = errors.Join(err, p.writeStrategy(ctx, verdict, strategy))
		}
		return err
	}
	if verdict == strategyKeep || verdict == strategyOverride {
		p.observeHealed(kindMachine)
	}
	p.machine = machine
	return nil
}

// strategyToWrite returns the strategy that the machine is to get now, or nothing if it keeps the one that it has.
func (p *pass) strategyToWrite(ctx context.Context, state strategyState) (strategyVerdict, v1beta1.RunStrategy, error) {
	strategy := v1beta1.RunStrategy("")
	verdict := decideStrategy(state)
	if verdict == strategyRecord || verdict == strategyWrite || verdict == strategyOverride {
		strategy = state.wanted
	}
	if p.holdsStrategy() && verdict != strategyRecord {
		strategy = ""
	}
	if strategy == v1beta1.RunStrategyHalted && queuedStart(p.machine) != nil {
		// KubeVirt would turn Halted into Always for it. It is taken back first, which starts the next pass.
		return verdict, "", p.cancelRequests(ctx)
	}
	return verdict, strategy, nil
}

// writeStrategy writes the strategy alone, where the rest of the spec cannot be written: whatever KubeVirt refuses in it, the
// machine can be stopped. One that the machine has already is recorded, and with it whose the machine is: until that is known
// no operation is carried out.
func (p *pass) writeStrategy(ctx context.Context, verdict strategyVerdict, strategy v1beta1.RunStrategy) error {
	calms := strategy == v1beta1.RunStrategyHalted || strategy == v1beta1.RunStrategyManual
	if strategy == "" || !calms && verdict != strategyRecord {
		return nil
	}
	only := &kubevirtv1.VirtualMachine{}
	only.Labels = translate.Labels(p.vs)
	only.Spec.RunStrategy = ptr.To(kubevirtv1.VirtualMachineRunStrategy(strategy))
	metav1.SetMetaDataAnnotation(&only.ObjectMeta, translate.AnnotationAppliedRunStrategy, string(strategy))
	metav1.SetMetaDataAnnotation(&only.ObjectMeta, annotationAppliedVersion, p.vs.ResourceVersion)
	merged, changed := translate.MergeVirtualMachine(p.machine, only)
	if !changed {
		return nil
	}
	machine, err := p.clients.KubeVirt.PatchMachine(ctx, p.machine, merged)
	if err != nil {
		return failed("write the run strategy of VirtualMachine "+p.name(), err)
	}
	p.machine = machine
	return nil
}

func (p *pass) createMachine(ctx context.Context) error {
	if p.held() {
		// The DataVolume's progress is in the status.
		return nil
	}
	desired, err := p.desiredMachine(translate.Options{RunStrategy: p.vs.Status.RunStrategy})
	if err != nil {
		return err
	}
	p.desired = desired
	if err := p.confirmHome(ctx); err != nil {
		return err
	}
	machine, err := p.clients.KubeVirt.CreateMachine(ctx, desired)
	err = p.checkTaken(err, func() (metav1.Object, error) {
		return p.clients.KubeVirt.Machine(ctx, p.vs.Namespace, p.name())
	})
	if err != nil {
		return failed("create VirtualMachine "+p.name(), err)
	}
	p.machine = machine
	p.observeHealed(kindMachine)
	p.emit(eventNormal, "CreatedVirtualMachine", "Created VirtualMachine "+machine.Name)
	return nil
}

// desiredMachine returns the VirtualMachine that the VirtualServer describes. With a run strategy it also carries the
// version of the VirtualServer that asks for it.
func (p *pass) desiredMachine(options translate.Options) (*kubevirtv1.VirtualMachine, error) {
	options.Copies = p.copiesForNextRun()
	desired, err := translate.VirtualMachine(p.vs, options)
	if err != nil {
		return nil, &problem{reason: reasonRefused, message: fmt.Sprintf("The spec cannot be realised: %v", err)}
	}
	if template := &desired.Spec.Template.Spec; template.TerminationGracePeriodSeconds == nil {
		// KubeVirt takes the same if there is none, but then refuses a stop with a grace period: it patches the field of the
		// instance by "replace" (StopVMRequestHandler in pkg/virt-api/rest).
		template.TerminationGracePeriodSeconds = ptr.To(kubevirtv1.DefaultGracePeriodSeconds)
	}
	if options.RunStrategy != "" {
		metav1.SetMetaDataAnnotation(&desired.ObjectMeta, annotationAppliedVersion, p.vs.ResourceVersion)
	}
	return desired, nil
}

// holdsStrategy says whether an operation needs the machine's strategy to stay as it is for now, because KubeVirt itself
// changes it as part of the operation.
func (p *pass) holdsStrategy() bool {
	operation := p.vs.Status.PendingOperation
	return operation != nil && !p.mustWait(operation) && decideOperation(operation, p.machine, p.instance).holdStrategy
}

// graceOf returns the grace period of an instance in seconds. KubeVirt takes 30 if none is set.
func graceOf(vmi *kubevirtv1.VirtualMachineInstance) int64 {
	return ptr.Deref(vmi.Spec.TerminationGracePeriodSeconds, kubevirtv1.DefaultGracePeriodSeconds)
}
