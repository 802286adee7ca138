package virtualserver

import (
	"context"
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"tensorstack.dev/virtualserver/pkg/kubevirt"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// reconcileService keeps the Service that exposes the ports of the machine. Without ports there is none.
func (p *pass) reconcileService(ctx context.Context) error {
	desired := translate.Service(p.vs)
	if desired == nil {
		return nil
	}
	services := p.clients.Kubernetes.CoreV1().Services(p.vs.Namespace)
	if p.service == nil {
		if err := p.confirmHome(ctx); err != nil {
			return err
		}
		service, err := services.Create(ctx, desired, metav1.CreateOptions{FieldManager: kubevirt.FieldManager})
		err = p.checkTaken(err, func() (metav1.Object, error) {
			return services.Get(ctx, p.name(), metav1.GetOptions{})
		})
		if err != nil {
			return failed("create Service "+p.name(), err)
		}
		p.service = service
		p.observeHealed(kindService)
		p.emit(eventNormal, "CreatedService", "Created Service "+service.Name)
		return nil
	}
	if p.service.DeletionTimestamp != nil {
		return nil
	}
	merged, changed := translate.MergeService(p.service, desired)
	if !changed {
		return nil
	}
	patch, err := kubevirt.MergePatch(p.service, merged)
	if err != nil {
		return err
	}
	service, err := services.Patch(ctx, p.service.Name, types.MergePatchType, patch,
		metav1.PatchOptions{FieldManager: kubevirt.FieldManager})
	if err != nil {
		return failed("update Service "+p.name(), err)
	}
	p.service = service
	p.observeHealed(kindService)
	return nil
}

// removeObsolete deletes the Service and the Secret of a spec that no longer asks for them. It comes after the
// VirtualMachine has been written.
func (p *pass) removeObsolete(ctx context.Context) error {
	var errs []error
	if p.service != nil && translate.Service(p.vs) == nil {
		errs = append(errs, p.deleteService(ctx))
	}
	if p.secret != nil && translate.CloudInitSecret(p.vs) == nil && !p.machineNames(p.secret.Name) {
		errs = append(errs, p.deleteSecret(ctx))
	}
	return errors.Join(errs...)
}

// machineNames says whether the VirtualMachine still reads its user data from the Secret.
func (p *pass) machineNames(secret string) bool {
	if p.machine == nil || p.machine.Spec.Template == nil {
		return false
	}
	for _, volume := range p.machine.Spec.Template.Spec.Volumes {
		source := volume.CloudInitNoCloud
		if source != nil && source.UserDataSecretRef != nil && source.UserDataSecretRef.Name == secret {
			return true
		}
	}
	return false
}
