package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func addDefaultingFuncs(scheme *runtime.Scheme) error {
	return RegisterDefaults(scheme)
}

// SetDefaults_VirtualServerSpec sets the defaults that the guide promises.
func SetDefaults_VirtualServerSpec(spec *VirtualServerSpec) {
	if spec.RunStrategy == "" {
		spec.RunStrategy = RunStrategyAlways
	}
}

// SetDefaults_Network sets the DNS policy that a pod would have too.
func SetDefaults_Network(network *Network) {
	if network.DNSPolicy == "" {
		network.DNSPolicy = corev1.DNSClusterFirst
	}
}

// SetDefaults_RootDisk sets the defaults of a root disk. Those of a claim and of what becomes of it are for the disk that is
// made for the machine: one that exists, or an image, has none of them.
func SetDefaults_RootDisk(root *RootDisk) {
	if root.ContainerDisk != nil || root.PersistentVolumeClaim != nil {
		return
	}
	if root.DeletionPolicy == "" {
		root.DeletionPolicy = DeletionPolicyDelete
	}
	// The defaults that a PersistentVolumeClaim would have, and the access mode that fits a single machine.
	claim := &root.PVC
	if claim.VolumeMode == "" {
		claim.VolumeMode = corev1.PersistentVolumeFilesystem
	}
	if len(claim.AccessModes) == 0 {
		claim.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	}
}
