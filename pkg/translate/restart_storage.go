package translate

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

// attachment is a disk or a filesystem with its volume, as one text that changes when anything of it changes.
type attachment struct {
	name string
	text string
}

// addAttachments adds what differs in the root disk, the additional disks, the filesystems and the cloud-init disk. Only
// the volumes that we want now or wanted when the machine started are compared: a hotplugged disk is not ours.
//
// wantCopied and runsCopied are the claims of which a run gets a copy. A copy has another name in each run, which is no change.
func (c *changes) addAttachments(want, runs *kubevirtv1.VirtualMachineInstanceSpec, ours sets.Set[string], wantCopied, runsCopied map[string]string) {
	wantDisks, runsDisks := disksOf(want, ours), disksOf(runs, ours)
	c.compare("spec.storage.additionalDisks", runsDisks, wantDisks)
	c.compareOrder("spec.storage.additionalDisks order", runsDisks, wantDisks)
	c.compare("spec.storage.filesystems", filesystemsOf(runs, ours, runsCopied), filesystemsOf(want, ours, wantCopied))
}

func (c *changes) compare(list string, runs, want []attachment) {
	byName := make(map[string]string, len(want))
	for _, entry := range want {
		byName[entry.name] = entry.text
	}
	seen := sets.New[string]()
	for _, entry := range runs {
		seen.Insert(entry.name)
		c.add(fieldOf(list, entry.name), entry.text, byName[entry.name])
	}
	for _, entry := range want {
		if !seen.Has(entry.name) {
			c.add(fieldOf(list, entry.name), "", entry.text)
		}
	}
}

// fieldOf returns the path in the VirtualServer of the disk or filesystem.
func fieldOf(list, name string) string {
	switch name {
	case RootDiskName:
		return "spec.storage.root"
	case CloudInitDiskName:
		return fieldCloudInit
	default:
		return fmt.Sprintf("%s[%s]", list, name)
	}
}

// compareOrder reports a new order of the disks that are there before and after.
func (c *changes) compareOrder(field string, runs, want []attachment) {
	both := sets.New(namesOf(runs, nil)...).Intersection(sets.New(namesOf(want, nil)...))
	c.add(field, strings.Join(namesOf(runs, both), ", "), strings.Join(namesOf(want, both), ", "))
}

func namesOf(entries []attachment, among sets.Set[string]) []string {
	var names []string
	for _, entry := range entries {
		if among == nil || among.Has(entry.name) {
			names = append(names, entry.name)
		}
	}
	return names
}

func disksOf(spec *kubevirtv1.VirtualMachineInstanceSpec, ours sets.Set[string]) []attachment {
	var entries []attachment
	for _, disk := range spec.Domain.Devices.Disks {
		volume := findVolume(spec.Volumes, disk.Name)
		if volume == nil || !ours.Has(disk.Name) {
			continue
		}
		text := volumeText(volume)
		if disk.Disk != nil && disk.Disk.Bus != kubevirtv1.DiskBusVirtio && disk.Disk.Bus != "" && disk.Name != CloudInitDiskName {
			text += ", bus " + string(disk.Disk.Bus)
		}
		// The serial of the root disk is ours, not the user's.
		if disk.Serial != "" && disk.Name != RootDiskName {
			text += ", serial " + disk.Serial
		}
		entries = append(entries, attachment{name: disk.Name, text: text})
	}
	return entries
}

func filesystemsOf(spec *kubevirtv1.VirtualMachineInstanceSpec, ours sets.Set[string], copied map[string]string) []attachment {
	var entries []attachment
	for _, filesystem := range spec.Domain.Devices.Filesystems {
		volume := findVolume(spec.Volumes, filesystem.Name)
		if volume == nil || !ours.Has(filesystem.Name) {
			continue
		}
		text := volumeText(volume)
		if claim, found := copied[filesystem.Name]; found && volume.PersistentVolumeClaim != nil {
			text = claimText("ephemeral PVC", claim, volume.PersistentVolumeClaim.ReadOnly)
		}
		entries = append(entries, attachment{name: filesystem.Name, text: text})
	}
	return entries
}

func findVolume(volumes []kubevirtv1.Volume, name string) *kubevirtv1.Volume {
	for i := range volumes {
		if volumes[i].Name == name {
			return &volumes[i]
		}
	}
	return nil
}

// volumeText says in a few words what is behind a volume. It names objects and never shows what is in them.
func volumeText(volume *kubevirtv1.Volume) string {
	switch source := volume.VolumeSource; {
	case source.DataVolume != nil:
		return "persistent"
	case source.PersistentVolumeClaim != nil:
		return claimText("PVC", source.PersistentVolumeClaim.ClaimName, source.PersistentVolumeClaim.ReadOnly)
	case source.Ephemeral != nil && volume.Name == RootDiskName:
		return "ephemeral"
	case source.Ephemeral != nil && source.Ephemeral.PersistentVolumeClaim != nil:
		return claimText("ephemeral PVC", source.Ephemeral.PersistentVolumeClaim.ClaimName,
			source.Ephemeral.PersistentVolumeClaim.ReadOnly)
	case source.ConfigMap != nil:
		return labelled(optional("ConfigMap "+source.ConfigMap.Name, source.ConfigMap.Optional), source.ConfigMap.VolumeLabel)
	case source.Secret != nil:
		return labelled(optional("Secret "+source.Secret.SecretName, source.Secret.Optional), source.Secret.VolumeLabel)
	case source.ServiceAccount != nil:
		return "ServiceAccount " + source.ServiceAccount.ServiceAccountName
	case source.DownwardAPI != nil:
		paths := make([]string, 0, len(source.DownwardAPI.Fields))
		for _, file := range source.DownwardAPI.Fields {
			if file.FieldRef != nil {
				paths = append(paths, file.Path+"="+file.FieldRef.FieldPath)
			} else {
				paths = append(paths, file.Path)
			}
		}
		return labelled("downwardAPI "+strings.Join(paths, " "), source.DownwardAPI.VolumeLabel)
	case source.EmptyDisk != nil:
		return "emptyDisk " + source.EmptyDisk.Capacity.String()
	case source.ContainerDisk != nil:
		// The pull policy is no difference: KubeVirt fills it in.
		text := strings.TrimSpace("image " + source.ContainerDisk.Image + " " + source.ContainerDisk.Path)
		if secret := source.ContainerDisk.ImagePullSecret; secret != "" {
			text += ", pull secret " + secret
		}
		return text
	case source.CloudInitNoCloud != nil && source.CloudInitNoCloud.UserDataSecretRef != nil:
		return "Secret " + source.CloudInitNoCloud.UserDataSecretRef.Name
	default:
		return "other"
	}
}

func claimText(kind, name string, readOnly bool) string {
	if readOnly {
		return kind + " " + name + " read-only"
	}
	return kind + " " + name
}

func optional(text string, is *bool) string {
	if ptr.Deref(is, false) {
		return text + ", optional"
	}
	return text
}

func labelled(text, label string) string {
	if label == "" {
		return text
	}
	return text + ", label " + label
}
