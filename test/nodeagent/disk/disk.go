// Package disk provisions, grows and removes volumes for StorageClasses of the
// agent's own provisioner. Nothing is stored: a simulated disk has no bytes.
package disk

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/test/nodeagent/cluster"
	"tensorstack.dev/virtualserver/test/nodeagent/loop"
)

// Disks is the provisioner.
type Disks struct {
	cluster *cluster.Cluster
	claims  *loop.Loop
	volumes *loop.Loop
}

// New returns the provisioner.
func New(c *cluster.Cluster) *Disks {
	d := &Disks{cluster: c}
	d.claims = loop.New("claims", d.reconcileClaim)
	d.volumes = loop.New("volumes", d.reconcileVolume)
	return d
}

// Register adds the informer handlers; call it before the informers start.
func (d *Disks) Register() error {
	core := d.cluster.Factory.Core().V1()
	if _, err := core.PersistentVolumeClaims().Informer().AddEventHandler(d.claims.Handler()); err != nil {
		return fmt.Errorf("watching claims: %w", err)
	}
	if _, err := core.PersistentVolumes().Informer().AddEventHandler(d.volumes.Handler()); err != nil {
		return fmt.Errorf("watching volumes: %w", err)
	}
	// A class that comes after its claims, or allows growth later, concerns them.
	classes := d.cluster.Factory.Storage().V1().StorageClasses().Informer()
	_, err := classes.AddEventHandler(d.claims.HandlerFor(func(object any) []string {
		class, ok := object.(*storagev1.StorageClass)
		if !ok {
			return nil
		}
		var keys []string
		for _, object := range core.PersistentVolumeClaims().Informer().GetStore().List() {
			claim := object.(*corev1.PersistentVolumeClaim)
			if claim.Spec.StorageClassName != nil && *claim.Spec.StorageClassName == class.Name {
				keys = append(keys, claim.Namespace+"/"+claim.Name)
			}
		}
		return keys
	}))
	if err != nil {
		return fmt.Errorf("watching storage classes: %w", err)
	}
	return nil
}

// RunClaims provisions and grows until the context ends.
func (d *Disks) RunClaims(ctx context.Context) { d.claims.Run(ctx, 4) }

// RunVolumes removes what is left over until the context ends.
func (d *Disks) RunVolumes(ctx context.Context) { d.volumes.Run(ctx, 2) }

func (d *Disks) reconcileClaim(ctx context.Context, key string) (time.Duration, error) {
	object, found, err := d.cluster.Factory.Core().V1().PersistentVolumeClaims().Informer().GetStore().GetByKey(key)
	if err != nil || !found {
		return 0, err
	}
	claim := object.(*corev1.PersistentVolumeClaim)
	if claim.Spec.StorageClassName == nil {
		return 0, nil
	}
	class, err := d.cluster.Factory.Storage().V1().StorageClasses().Lister().Get(*claim.Spec.StorageClassName)
	if apierrors.IsNotFound(err) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, cluster.RequestTimeout)
	defer cancel()
	switch decide(claim, class) {
	case provision:
		return 0, d.provision(ctx, claim, class)
	case expand:
		return 0, d.expand(ctx, claim)
	}
	return 0, nil
}

func (d *Disks) provision(ctx context.Context, claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass) error {
	volume, err := newVolume(claim, class)
	if err != nil {
		d.cluster.Recorder.Event(claim, corev1.EventTypeWarning, "ProvisioningFailed", err.Error())
		return nil // only a change of the claim helps, and that comes as an event
	}
	_, err = d.cluster.Kube.CoreV1().PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil // made before; the binder has yet to bind it
	}
	if err != nil {
		return fmt.Errorf("creating a volume for claim %s/%s: %w", claim.Namespace, claim.Name, err)
	}
	d.cluster.Recorder.Eventf(claim, corev1.EventTypeNormal, "ProvisioningSucceeded", "Successfully provisioned volume %s", volume.Name)
	return nil
}

// expand grows the volume first and then says so in the claim, so that a break
// in between is made up for by the next turn.
func (d *Disks) expand(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	volume, err := d.cluster.Factory.Core().V1().PersistentVolumes().Lister().Get(claim.Spec.VolumeName)
	if err != nil {
		return err
	}
	if volume.Annotations[annotationProvisionedBy] != Provisioner {
		return nil
	}
	size := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	if have := volume.Spec.Capacity[corev1.ResourceStorage]; have.Cmp(size) < 0 {
		grown := volume.DeepCopy()
		grown.Spec.Capacity[corev1.ResourceStorage] = size
		if _, err := d.cluster.Kube.CoreV1().PersistentVolumes().Update(ctx, grown, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("growing volume %s: %w", volume.Name, err)
		}
	}
	updated := expandedClaim(claim, size)
	_, err = d.cluster.Kube.CoreV1().PersistentVolumeClaims(claim.Namespace).UpdateStatus(ctx, updated, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("reporting the size of claim %s/%s: %w", claim.Namespace, claim.Name, err)
	}
	d.cluster.Recorder.Eventf(claim, corev1.EventTypeNormal, "FileSystemResizeSuccessful", "The volume has grown to %s", size.String())
	return nil
}

func (d *Disks) reconcileVolume(ctx context.Context, key string) (time.Duration, error) {
	volume, err := d.cluster.Factory.Core().V1().PersistentVolumes().Lister().Get(key)
	if apierrors.IsNotFound(err) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	if !removable(volume) {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, cluster.RequestTimeout)
	defer cancel()
	err = d.cluster.Kube.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &volume.UID, ResourceVersion: &volume.ResourceVersion},
	})
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	return 0, err
}
