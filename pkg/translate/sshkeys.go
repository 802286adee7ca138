package translate

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// keysByCloudInit says whether the public keys come into the guest by cloud-init. With users they do by the guest agent.
// KubeVirt cannot do both: it would make two volumes of the same name out of the Secret, and no cluster accepts such a pod.
func keysByCloudInit(keys *v1beta1.SSHKeys) bool { return keys != nil && len(keys.Users) == 0 }

// accessCredentials hands the public keys to the guest.
func accessCredentials(keys *v1beta1.SSHKeys) []kubevirtv1.AccessCredential {
	if keys == nil {
		return nil
	}
	method := kubevirtv1.SSHPublicKeyAccessCredentialPropagationMethod{}
	if keysByCloudInit(keys) {
		method.NoCloud = &kubevirtv1.NoCloudSSHPublicKeyAccessCredentialPropagation{}
	} else {
		method.QemuGuestAgent = &kubevirtv1.QemuGuestAgentSSHPublicKeyAccessCredentialPropagation{Users: slices.Clone(keys.Users)}
	}
	return []kubevirtv1.AccessCredential{{SSHPublicKey: &kubevirtv1.SSHPublicKeyAccessCredential{
		Source: kubevirtv1.SSHPublicKeyAccessCredentialSource{
			Secret: &kubevirtv1.AccessCredentialSecretSource{SecretName: keys.SecretRef.Name},
		},
		PropagationMethod: method,
	}}}
}

// keysSecret returns the Secret of public keys that a credential reads, or "".
func keysSecret(credential kubevirtv1.AccessCredential) string {
	if credential.SSHPublicKey == nil || credential.SSHPublicKey.Source.Secret == nil {
		return ""
	}
	return credential.SSHPublicKey.Source.Secret.SecretName
}

// mergeAccessCredentials puts ours first and keeps those of others. Credentials have no names: ours is known by its Secret, of
// which KubeVirt makes a volume, so that another one for the same Secret cannot be.
func mergeAccessCredentials(live, want []kubevirtv1.AccessCredential, before record) []kubevirtv1.AccessCredential {
	own := sets.New[string]()
	if before.SSHKeys != "" {
		own.Insert(before.SSHKeys)
	}
	for _, credential := range want {
		own.Insert(keysSecret(credential))
	}
	merged := slices.Clone(want)
	for _, credential := range live {
		if !own.Has(keysSecret(credential)) {
			merged = append(merged, credential)
		}
	}
	return merged
}

// keysText says in a few words which keys the guest gets and how, of the Secrets given.
func keysText(credentials []kubevirtv1.AccessCredential, ours sets.Set[string]) string {
	var texts []string
	for _, credential := range credentials {
		secret := keysSecret(credential)
		if secret == "" || !ours.Has(secret) {
			continue
		}
		text := "Secret " + secret
		if agent := credential.SSHPublicKey.PropagationMethod.QemuGuestAgent; agent != nil {
			text += " for " + strings.Join(agent.Users, ", ")
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", ")
}

// withoutKeysDisk leaves out a cloud-init disk that is there for the public keys alone: it is no part of spec.cloudInit.
func withoutKeysDisk(spec *kubevirtv1.VirtualMachineInstanceSpec, machine string, of record) *kubevirtv1.VirtualMachineInstanceSpec {
	volume := findVolume(spec.Volumes, CloudInitDiskName)
	if volume == nil || of.SSHKeys == "" || of.CloudInit != "" || volumeText(volume) != "Secret "+machine {
		return spec
	}
	trimmed := spec.DeepCopy()
	trimmed.Domain.Devices.Disks = slices.DeleteFunc(trimmed.Domain.Devices.Disks, func(disk kubevirtv1.Disk) bool {
		return disk.Name == CloudInitDiskName
	})
	return trimmed
}
