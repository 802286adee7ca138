// Package volumes provides PersistentVolumes that are folders of this machine, seen by every node of a lab under the same
// path, so that ReadWriteMany is true.
package volumes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v11/controller"
)

// Provisioner is the name that a StorageClass uses for these volumes.
const Provisioner = "realnode.tensorstack.dev/folder"

// qemuUser is the user of KubeVirt's launcher and of CDI's importer in their images.
const qemuUser = 107

// Options say what the provisioner needs.
type Options struct {
	Kubeconfig string
	// Folder is where the volumes are.
	Folder string
}

// Run provides and removes volumes until ctx is done.
func Run(ctx context.Context, options Options) error {
	config, err := clientcmd.BuildConfigFromFlags("", options.Kubeconfig)
	if err != nil {
		return fmt.Errorf("provisioner of volumes: %w", err)
	}
	config.QPS, config.Burst = 100, 200
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("provisioner of volumes: %w", err)
	}
	if err := os.MkdirAll(options.Folder, 0o755); err != nil {
		return fmt.Errorf("provisioner of volumes: %w", err)
	}
	provisioner := controller.NewProvisionController(ctx, client, Provisioner, &folders{root: options.Folder}, controller.LeaderElection(false))
	var group sync.WaitGroup
	group.Go(func() { provisioner.Run(ctx) })
	err = grow(ctx, client)
	group.Wait()
	return err
}

// folders makes and removes the folders.
type folders struct {
	root string
}

// Provision makes a folder for a claim.
func (f *folders) Provision(_ context.Context, options controller.ProvisionOptions) (*corev1.PersistentVolume, controller.ProvisioningState, error) {
	claim := options.PVC
	if claim.Spec.VolumeMode != nil && *claim.Spec.VolumeMode == corev1.PersistentVolumeBlock {
		return nil, controller.ProvisioningFinished, fmt.Errorf("class %s has no block volumes: its volumes are folders", options.StorageClass.Name)
	}
	if claim.Spec.DataSource != nil && claim.Spec.DataSource.Kind != "" {
		return nil, controller.ProvisioningFinished, fmt.Errorf("class %s makes empty volumes only", options.StorageClass.Name)
	}
	path := filepath.Join(f.root, options.PVName)
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, controller.ProvisioningNoChange, err
	}
	if err := os.Chown(path, qemuUser, qemuUser); err != nil {
		return nil, controller.ProvisioningNoChange, err
	}
	// Past the umask: any user of a pod may write, as on a shared file system without a squash.
	if err := os.Chmod(path, 0o777); err != nil {
		return nil, controller.ProvisioningNoChange, err
	}
	directory := corev1.HostPathDirectory
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: options.PVName},
		Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			AccessModes:                   claim.Spec.AccessModes,
			MountOptions:                  options.StorageClass.MountOptions,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: claim.Spec.Resources.Requests[corev1.ResourceStorage]},
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				HostPath: &corev1.HostPathVolumeSource{Path: path, Type: &directory},
			},
		},
	}, controller.ProvisioningFinished, nil
}

// Delete removes the folder of a volume.
func (f *folders) Delete(_ context.Context, volume *corev1.PersistentVolume) error {
	return os.RemoveAll(filepath.Join(f.root, volume.Name))
}
