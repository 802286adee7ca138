package virtualserver

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"tensorstack.dev/virtualserver/pkg/kubevirt"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// reconcileCloudInit keeps the Secret that hands cloud-init its user data. A Secret that is no longer wanted goes only
// after the VirtualMachine has stopped naming it, see removeObsolete.
func (p *pass) reconcileCloudInit(ctx context.Context) error {
	desired := translate.CloudInitSecret(p.vs)
	if desired == nil {
		return nil
	}
	secrets := p.clients.Kubernetes.CoreV1().Secrets(p.vs.Namespace)
	if p.secret == nil {
		if err := p.confirmHome(ctx); err != nil {
			return err
		}
		secret, err := secrets.Create(ctx, desired, metav1.CreateOptions{FieldManager: kubevirt.FieldManager})
		err = p.checkTaken(err, func() (metav1.Object, error) {
			return secrets.Get(ctx, p.name(), metav1.GetOptions{})
		})
		if err != nil {
			return failed("create Secret "+p.name(), err)
		}
		p.secret = secret
		p.observeHealed(kindSecret)
		p.emit(eventNormal, "CreatedSecret", "Created Secret "+secret.Name+" with the cloud-init user data")
		return nil
	}
	if p.secret.DeletionTimestamp != nil {
		return nil
	}
	merged, changed := translate.MergeSecret(p.secret, desired)
	if !changed {
		return nil
	}
	secret, err := p.patchSecret(ctx, merged)
	if err != nil {
		return failed("update Secret "+p.name(), err)
	}
	p.secret = secret
	p.observeHealed(kindSecret)
	return nil
}

func (p *pass) patchSecret(ctx context.Context, modified *corev1.Secret) (*corev1.Secret, error) {
	patch, err := kubevirt.MergePatch(p.secret, modified)
	if err != nil {
		return nil, err
	}
	return p.clients.Kubernetes.CoreV1().Secrets(p.vs.Namespace).
		Patch(ctx, p.secret.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: kubevirt.FieldManager})
}
