package tensorstack

import corev1 "k8s.io/api/core/v1"

// SSHKeys are public SSH keys, and how they come into the guest. Without users cloud-init hands them to the default user of
// the image, once, at the first boot. With users the guest agent writes them, for as long as the machine runs.
type SSHKeys struct {
	// secretRef names a Secret in the same namespace that holds public keys as they stand in an authorized_keys file. Its
	// keys may have any names. The name of the Secret has at most 51 lower-case letters, digits and dashes, because KubeVirt
	// makes the name of a volume of it.
	SecretRef corev1.LocalObjectReference
	// users are the users of the guest whose authorized_keys file holds exactly these keys. The guest agent writes it, also
	// when the Secret changes: the image needs qemu-guest-agent, and the users must exist. Leave it empty for an image with
	// cloud-init, whose default user gets the keys at the first boot. At most 16.
	Users []string
}
