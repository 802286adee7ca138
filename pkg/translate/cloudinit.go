package translate

import (
	"bytes"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/naming"
)

// UserDataKey is the key of the Secret under which KubeVirt looks for cloud-init user data.
const UserDataKey = "userdata"

// emptyUserData is user data that asks for nothing. KubeVirt hands public keys over beside user data only, and calls a disk
// without any an error.
const emptyUserData = "#cloud-config\n"

// userDataOf returns the user data that is ours to hand over, or "" if there is none.
func userDataOf(vs *v1beta1.VirtualServer) string {
	switch {
	case vs.Spec.CloudInitSecretRef != nil:
		return ""
	case vs.Spec.CloudInit == "" && keysByCloudInit(vs.Spec.SSHKeys):
		return emptyUserData
	default:
		return vs.Spec.CloudInit
	}
}

// CloudInitSecret returns the Secret that holds spec.cloudInit, or nil if there is none. A Secret is used for every
// length: KubeVirt refuses more than 2048 bytes inline, and the VirtualMachine is readable by more people.
func CloudInitSecret(vs *v1beta1.VirtualServer) *corev1.Secret {
	userData := userDataOf(vs)
	if userData == "" {
		return nil
	}
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: objectMeta(vs),
		Type:       corev1.SecretTypeOpaque,
		Data:       map[string][]byte{UserDataKey: []byte(userData)},
	}
}

// MergeSecret writes our key, labels and annotations over a copy of the live Secret, and says whether that changed
// anything.
func MergeSecret(live, desired *corev1.Secret) (*corev1.Secret, bool) {
	merged := live.DeepCopy()
	mergeMeta(&merged.ObjectMeta, &desired.ObjectMeta)
	if wanted := desired.Data[UserDataKey]; !bytes.Equal(merged.Data[UserDataKey], wanted) {
		if merged.Data == nil {
			merged.Data = map[string][]byte{}
		}
		merged.Data[UserDataKey] = bytes.Clone(wanted)
	}
	return merged, !equality.Semantic.DeepEqual(live, merged)
}

// cloudInitSecretName returns the name of the Secret that the machine reads, or "" if there is none.
func cloudInitSecretName(vs *v1beta1.VirtualServer) string {
	switch {
	case vs.Spec.CloudInitSecretRef != nil:
		return vs.Spec.CloudInitSecretRef.Name
	case userDataOf(vs) != "":
		return vs.Status.VM.Name
	default:
		return ""
	}
}

func cloudInitVolume(vs *v1beta1.VirtualServer) *kubevirtv1.VolumeSource {
	name := cloudInitSecretName(vs)
	if name == "" {
		return nil
	}
	return &kubevirtv1.VolumeSource{CloudInitNoCloud: &kubevirtv1.CloudInitNoCloudSource{
		UserDataSecretRef: &corev1.LocalObjectReference{Name: name},
	}}
}

// cloudInitDigest stands for the user data where the data itself must not appear. It is short on purpose: enough to see
// that the text changed, too little to prove a guess of it.
func cloudInitDigest(vs *v1beta1.VirtualServer) string {
	const digits = 8
	if vs.Spec.CloudInit == "" || vs.Spec.CloudInitSecretRef != nil {
		return ""
	}
	return naming.Hash(vs.Namespace+"/"+vs.Name+"/"+vs.Spec.CloudInit, digits)
}
