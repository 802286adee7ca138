package simulation

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/apiserver/scheme"
)

// newServer returns a VirtualServer that needs neither Service nor Secret.
func newServer(strategy v1beta1.RunStrategy) *tensorstack.VirtualServer {
	vs := &v1beta1.VirtualServer{ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: Name}}
	vs.Spec.RunStrategy = strategy
	vs.Spec.Resources = v1beta1.Resources{CPU: v1beta1.CPU{Cores: intstr.FromInt32(1)}, Memory: resource.MustParse("1Gi")}
	vs.Spec.Storage.Root.PVC = v1beta1.RootDiskClaim{
		Size: resource.MustParse("4Gi"), AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
	}
	vs.Spec.Storage.Root.Source = cdiv1.DataVolumeSource{Blank: &cdiv1.DataVolumeBlankImage{}}
	scheme.Scheme.Default(vs)
	return toInternal(vs)
}

// namespaceUID is the UID of the one namespace.
const namespaceUID = types.UID("uid-of-ns")

func theNamespace() *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace, UID: namespaceUID}}
}

// NamespaceUID implements storage.NamespaceReader.
func (w *World) NamespaceUID(context.Context, string) (types.UID, error) { return namespaceUID, nil }
