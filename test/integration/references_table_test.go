package integration

import (
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/utils/ptr"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// referred is the name of everything that the table's VirtualServers name.
const referred = "shared"

// reference is one way for a VirtualServer to name something that its author might not be allowed to use.
type reference struct {
	// field is the field that names it, which a refusal repeats.
	field string
	// write writes the reference into a VirtualServer.
	write func(*v1beta1.VirtualServer)
	// right is the narrowest right that is enough. None means that only who may create pods may use it.
	right rbacv1.PolicyRule
	// golden says that the reference leads to the namespace of the golden images, and the right is needed there.
	golden bool
}

func rightTo(verb, group, resource string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: []string{verb}, ResourceNames: []string{referred}}
}

func toSecret() rbacv1.PolicyRule    { return rightTo("get", "", "secrets") }
func toConfigMap() rbacv1.PolicyRule { return rightTo("get", "", "configmaps") }
func toAccount() rbacv1.PolicyRule   { return rightTo("create", "", "serviceaccounts/token") }
func toClone() rbacv1.PolicyRule     { return rightTo("create", "cdi.kubevirt.io", "datavolumes/source") }

func onRoot(source cdiv1.DataVolumeSource) func(*v1beta1.VirtualServer) {
	return func(vs *v1beta1.VirtualServer) { vs.Spec.Storage.Root.Source = source }
}

func onDisk(volume v1beta1.VolumeSource) func(*v1beta1.VirtualServer) {
	return func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.AdditionalDisks = []v1beta1.AdditionalDisk{{Name: "disk", VolumeSource: volume}}
	}
}

func onFilesystem(volume v1beta1.VolumeSource) func(*v1beta1.VirtualServer) {
	return func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.Filesystems = []v1beta1.Filesystem{{Name: "share", VolumeSource: volume}}
	}
}

// references are all that the API has, with their fields.
func references(golden string) []reference {
	all := clones(golden)
	all = append(all, imports()...)
	return append(all, volumeReferences()...)
}

func clones(golden string) []reference {
	return []reference{
		{field: "spec.storage.root.source.pvc", right: toClone(), golden: true,
			write: onRoot(cdiv1.DataVolumeSource{PVC: &cdiv1.DataVolumeSourcePVC{Namespace: golden, Name: referred}})},
		{field: "spec.storage.root.source.snapshot", right: toClone(), golden: true,
			write: onRoot(cdiv1.DataVolumeSource{Snapshot: &cdiv1.DataVolumeSourceSnapshot{Namespace: golden, Name: referred}})},
	}
}

func imports() []reference {
	const url = "https://images.example.com/disk.img"
	http := func(edit func(*cdiv1.DataVolumeSourceHTTP)) func(*v1beta1.VirtualServer) {
		source := &cdiv1.DataVolumeSourceHTTP{URL: url}
		edit(source)
		return onRoot(cdiv1.DataVolumeSource{HTTP: source})
	}
	registry := func(edit func(*cdiv1.DataVolumeSourceRegistry)) func(*v1beta1.VirtualServer) {
		source := &cdiv1.DataVolumeSourceRegistry{URL: ptr.To("docker://images.example.com/disk:1")}
		edit(source)
		return onRoot(cdiv1.DataVolumeSource{Registry: source})
	}
	// The two hypervisors need a Secret, and imageio a certificate, so the other references of theirs come second.
	imageio := func(secret, certificate string) func(*v1beta1.VirtualServer) {
		return onRoot(cdiv1.DataVolumeSource{Imageio: &cdiv1.DataVolumeSourceImageIO{
			URL: url, DiskID: "1", SecretRef: secret, CertConfigMap: certificate}})
	}
	vddk := func(edit func(*cdiv1.DataVolumeSourceVDDK)) func(*v1beta1.VirtualServer) {
		source := &cdiv1.DataVolumeSourceVDDK{URL: url, UUID: "1", BackingFile: "[a] b.vmdk", Thumbprint: "0", SecretRef: ownSecret}
		edit(source)
		return onRoot(cdiv1.DataVolumeSource{VDDK: source})
	}
	const root = "spec.storage.root.source."
	return []reference{
		{field: root + "http.secretRef", right: toSecret(), write: http(func(s *cdiv1.DataVolumeSourceHTTP) { s.SecretRef = referred })},
		{field: root + "http.certConfigMap", right: toConfigMap(), write: http(func(s *cdiv1.DataVolumeSourceHTTP) { s.CertConfigMap = referred })},
		{field: root + "http.secretExtraHeaders[0]", right: toSecret(),
			write: http(func(s *cdiv1.DataVolumeSourceHTTP) { s.SecretExtraHeaders = []string{referred} })},
		{field: root + "s3.secretRef", right: toSecret(),
			write: onRoot(cdiv1.DataVolumeSource{S3: &cdiv1.DataVolumeSourceS3{URL: "https://images.example.com/bucket/disk.img", SecretRef: referred}})},
		{field: root + "s3.certConfigMap", right: toConfigMap(),
			write: onRoot(cdiv1.DataVolumeSource{S3: &cdiv1.DataVolumeSourceS3{URL: "https://images.example.com/bucket/disk.img", CertConfigMap: referred}})},
		{field: root + "gcs.secretRef", right: toSecret(),
			write: onRoot(cdiv1.DataVolumeSource{GCS: &cdiv1.DataVolumeSourceGCS{URL: "gs://bucket/disk.img", SecretRef: referred}})},
		{field: root + "registry.secretRef", right: toSecret(),
			write: registry(func(s *cdiv1.DataVolumeSourceRegistry) { s.SecretRef = ptr.To(referred) })},
		{field: root + "registry.certConfigMap", right: toConfigMap(),
			write: registry(func(s *cdiv1.DataVolumeSourceRegistry) { s.CertConfigMap = ptr.To(referred) })},
		{field: root + "imageio.secretRef", right: toSecret(), write: imageio(referred, ownConfigMap)},
		{field: root + "imageio.certConfigMap", right: toConfigMap(), write: imageio(ownSecret, referred)},
		{field: root + "vddk.secretRef", right: toSecret(), write: vddk(func(s *cdiv1.DataVolumeSourceVDDK) { s.SecretRef = referred })},
		{field: root + "vddk.extraArgs", right: toConfigMap(), write: vddk(func(s *cdiv1.DataVolumeSourceVDDK) { s.ExtraArgs = referred })},
		{field: root + "vddk.initImageURL",
			write: vddk(func(s *cdiv1.DataVolumeSourceVDDK) { s.InitImageURL = "images.example.com/vddk:8" })},
	}
}

func volumeReferences() []reference {
	secret := v1beta1.VolumeSource{Secret: &v1beta1.SecretSource{SecretName: referred}}
	configMap := v1beta1.VolumeSource{ConfigMap: &v1beta1.ConfigMapSource{Name: referred}}
	account := v1beta1.VolumeSource{ServiceAccount: &v1beta1.ServiceAccountSource{ServiceAccountName: referred}}
	const disk, share = "spec.storage.additionalDisks[0].", "spec.storage.filesystems[0]."
	return []reference{
		{field: "spec.cloudInitSecretRef", right: toSecret(),
			write: func(vs *v1beta1.VirtualServer) {
				vs.Spec.CloudInitSecretRef = &corev1.LocalObjectReference{Name: referred}
			}},
		{field: "spec.sshKeys.secretRef", right: toSecret(), write: func(vs *v1beta1.VirtualServer) {
			vs.Spec.SSHKeys = &v1beta1.SSHKeys{SecretRef: corev1.LocalObjectReference{Name: referred}}
		}},
		{field: disk + "secret", right: toSecret(), write: onDisk(secret)},
		{field: disk + "configMap", right: toConfigMap(), write: onDisk(configMap)},
		{field: disk + "serviceAccount", right: toAccount(), write: onDisk(account)},
		{field: disk + "containerDisk.imagePullSecret", right: toSecret(), write: func(vs *v1beta1.VirtualServer) {
			vs.Spec.Storage.AdditionalDisks = []v1beta1.AdditionalDisk{{Name: "disk",
				ContainerDisk: &v1beta1.ContainerDiskSource{Image: "images.example.com/disk:1", ImagePullSecret: referred}}}
		}},
		{field: share + "secret", right: toSecret(), write: onFilesystem(secret)},
		{field: share + "configMap", right: toConfigMap(), write: onFilesystem(configMap)},
		{field: share + "serviceAccount", right: toAccount(), write: onFilesystem(account)},
	}
}
