package references

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// kind is what a reference names.
type kind string

const (
	secret         kind = "Secret"
	configMap      kind = "ConfigMap"
	serviceAccount kind = "ServiceAccount"
	// image is a container image that runs as part of an importer pod, which only who may create pods may choose.
	image kind = "image"
)

// use is what the machinery does with the named object. A reference for one use does not cover another: who may pull an
// image with a Secret cannot thereby read it.
type use string

const (
	readByGuest use = "guest"
	pullsImage  use = "pull"
	fillsDisk   use = "import"
)

// reference is an object of the VirtualServer's namespace that the spec names.
type reference struct {
	kind kind
	name string
	use  use
	path *field.Path
}

// newReferences returns the references of a spec that are not in the old one, which is nil for a creation.
func newReferences(updated, old *tensorstack.VirtualServerSpec) []reference {
	path := field.NewPath("spec")
	found := machineReferences(updated, path)
	if old != nil {
		before := machineReferences(old, path)
		found = slices.DeleteFunc(found, func(candidate reference) bool {
			return slices.ContainsFunc(before, func(known reference) bool {
				return known.kind == candidate.kind && known.name == candidate.name && known.use == candidate.use
			})
		})
		if equality.Semantic.DeepEqual(updated.Storage.Root.Source, old.Storage.Root.Source) {
			return found
		}
	}
	// The parts of a source belong together: a known Secret must not be sent to a new address unchecked.
	return append(found, sourceReferences(&updated.Storage.Root.Source, path.Child("storage", "root", "source"))...)
}

// machineReferences returns what the machine itself can read.
func machineReferences(spec *tensorstack.VirtualServerSpec, path *field.Path) []reference {
	var found []reference
	add := func(kind kind, name string, use use, path *field.Path) {
		if name != "" {
			found = append(found, reference{kind, name, use, path})
		}
	}
	if spec.CloudInitSecretRef != nil {
		add(secret, spec.CloudInitSecretRef.Name, readByGuest, path.Child("cloudInitSecretRef"))
	}
	if spec.SSHKeys != nil {
		add(secret, spec.SSHKeys.SecretRef.Name, readByGuest, path.Child("sshKeys", "secretRef"))
	}
	volume := func(volume *tensorstack.VolumeSource, path *field.Path) {
		if volume.Secret != nil {
			add(secret, volume.Secret.SecretName, readByGuest, path.Child("secret"))
		}
		if volume.ConfigMap != nil {
			add(configMap, volume.ConfigMap.Name, readByGuest, path.Child("configMap"))
		}
		if volume.ServiceAccount != nil {
			add(serviceAccount, volume.ServiceAccount.ServiceAccountName, readByGuest, path.Child("serviceAccount"))
		}
	}
	if disk := spec.Storage.Root.ContainerDisk; disk != nil {
		add(secret, disk.ImagePullSecret, pullsImage, path.Child("storage", "root", "containerDisk", "imagePullSecret"))
	}
	if firmware := spec.Firmware; firmware != nil && firmware.KernelBoot != nil && firmware.KernelBoot.Container != nil {
		add(secret, firmware.KernelBoot.Container.ImagePullSecret, pullsImage, path.Child("firmware", "kernelBoot", "container", "imagePullSecret"))
	}
	disks, filesystems := path.Child("storage", "additionalDisks"), path.Child("storage", "filesystems")
	for i := range spec.Storage.AdditionalDisks {
		disk := &spec.Storage.AdditionalDisks[i]
		volume(&disk.VolumeSource, disks.Index(i))
		if disk.ContainerDisk != nil {
			add(secret, disk.ContainerDisk.ImagePullSecret, pullsImage, disks.Index(i).Child("containerDisk", "imagePullSecret"))
		}
	}
	for i := range spec.Storage.Filesystems {
		volume(&spec.Storage.Filesystems[i].VolumeSource, filesystems.Index(i))
	}
	return found
}

// sourceReferences returns what the importer of the root disk reads and, with a hostile address, sends away.
func sourceReferences(source *cdiv1.DataVolumeSource, path *field.Path) []reference {
	var found []reference
	add := func(kind kind, name string, path *field.Path) {
		if name != "" {
			found = append(found, reference{kind, name, fillsDisk, path})
		}
	}
	addPointer := func(kind kind, name *string, path *field.Path) {
		if name != nil {
			add(kind, *name, path)
		}
	}
	if http := source.HTTP; http != nil {
		child := path.Child("http")
		add(secret, http.SecretRef, child.Child("secretRef"))
		add(configMap, http.CertConfigMap, child.Child("certConfigMap"))
		for i, name := range http.SecretExtraHeaders {
			add(secret, name, child.Child("secretExtraHeaders").Index(i))
		}
	}
	if s3 := source.S3; s3 != nil {
		add(secret, s3.SecretRef, path.Child("s3", "secretRef"))
		add(configMap, s3.CertConfigMap, path.Child("s3", "certConfigMap"))
	}
	if gcs := source.GCS; gcs != nil {
		add(secret, gcs.SecretRef, path.Child("gcs", "secretRef"))
	}
	if registry := source.Registry; registry != nil {
		addPointer(secret, registry.SecretRef, path.Child("registry", "secretRef"))
		addPointer(configMap, registry.CertConfigMap, path.Child("registry", "certConfigMap"))
	}
	if imageio := source.Imageio; imageio != nil {
		add(secret, imageio.SecretRef, path.Child("imageio", "secretRef"))
		add(configMap, imageio.CertConfigMap, path.Child("imageio", "certConfigMap"))
	}
	if vddk := source.VDDK; vddk != nil {
		add(secret, vddk.SecretRef, path.Child("vddk", "secretRef"))
		add(configMap, vddk.ExtraArgs, path.Child("vddk", "extraArgs"))
		add(image, vddk.InitImageURL, path.Child("vddk", "initImageURL"))
	}
	return found
}
