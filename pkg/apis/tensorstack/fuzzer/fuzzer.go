// Package fuzzer fills the internal types with random values for tests.
package fuzzer

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/randfill"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// Funcs returns the functions that fill the types of this group. They set every field that has a default, because a
// round trip through v1beta1 would set it too.
func Funcs(serializer.CodecFactory) []any {
	return []any{
		func(spec *tensorstack.VirtualServerSpec, c randfill.Continue) {
			c.FillNoCustom(spec)
			if spec.RunStrategy == "" {
				spec.RunStrategy = tensorstack.RunStrategyAlways
			}
		},
		func(network *tensorstack.Network, c randfill.Continue) {
			c.FillNoCustom(network)
			if network.DNSPolicy == "" {
				network.DNSPolicy = corev1.DNSClusterFirst
			}
		},
		func(root *tensorstack.RootDisk, c randfill.Continue) {
			c.FillNoCustom(root)
			if root.ContainerDisk != nil || root.PersistentVolumeClaim != nil {
				return
			}
			if root.DeletionPolicy == "" {
				root.DeletionPolicy = tensorstack.DeletionPolicyDelete
			}
			if root.PVC.VolumeMode == "" {
				root.PVC.VolumeMode = corev1.PersistentVolumeFilesystem
			}
			if len(root.PVC.AccessModes) == 0 {
				root.PVC.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
			}
		},
		func(port *tensorstack.Port, c randfill.Continue) {
			c.FillNoCustom(port)
			if port.Protocol == "" {
				port.Protocol = corev1.ProtocolTCP
			}
		},
	}
}
