package validation

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

func TestRootClaim(t *testing.T) {
	root := func(change func(*tensorstack.RootDisk)) func(*tensorstack.VirtualServerSpec) {
		return func(spec *tensorstack.VirtualServerSpec) { change(&spec.Storage.Root) }
	}
	size := func(value string) func(*tensorstack.VirtualServerSpec) {
		return root(func(root *tensorstack.RootDisk) { root.PVC.Size = resource.MustParse(value) })
	}
	modes := func(modes ...corev1.PersistentVolumeAccessMode) func(*tensorstack.VirtualServerSpec) {
		return root(func(root *tensorstack.RootDisk) { root.PVC.AccessModes = modes })
	}
	class := func(name string) func(*tensorstack.VirtualServerSpec) {
		return root(func(root *tensorstack.RootDisk) { root.PVC.StorageClassName = ptr.To(name) })
	}
	const pvc = "spec.storage.root.pvc."
	checkRules(t, map[string]rule{
		"smallest":             {size("1Mi"), nil},
		"too small":            {size("1023Ki"), []string{pvc + "size at least 1Mi"}},
		"no size":              {size("0"), []string{pvc + "size Required"}},
		"half a byte":          {size("1073741824500m"), []string{pvc + "size whole number of bytes"}},
		"enormous":             {size("9Ei"), []string{pvc + "size at most 8Pi"}},
		"block":                {root(func(root *tensorstack.RootDisk) { root.PVC.VolumeMode = "Block" }), nil},
		"unknown volume mode":  {root(func(root *tensorstack.RootDisk) { root.PVC.VolumeMode = "File" }), []string{pvc + "volumeMode supported"}},
		"once per pod":         {modes(corev1.ReadWriteOncePod), nil},
		"no access mode":       {modes(), []string{pvc + "accessModes exactly one"}},
		"two access modes":     {modes(corev1.ReadWriteOnce, corev1.ReadWriteMany), []string{pvc + "accessModes exactly one"}},
		"unknown access mode":  {modes("RWO"), []string{pvc + "accessModes[0] supported"}},
		"class":                {class("cephfs-hdd"), nil},
		"no class":             {class(""), nil},
		"bad class":            {class("Ceph FS"), []string{pvc + "storageClassName name of a StorageClass"}},
		"retain":               {root(func(root *tensorstack.RootDisk) { root.DeletionPolicy = "Retain" }), nil},
		"unknown policy":       {root(func(root *tensorstack.RootDisk) { root.DeletionPolicy = "Keep" }), []string{"spec.storage.root.deletionPolicy supported"}},
		"ephemeral root is ok": {root(func(root *tensorstack.RootDisk) { root.Ephemeral = true }), nil},
	})
}

func TestDiskNamesAndSerials(t *testing.T) {
	named := func(names ...string) func(*tensorstack.VirtualServerSpec) {
		return func(spec *tensorstack.VirtualServerSpec) {
			for i, name := range names {
				spec.Storage.AdditionalDisks = append(spec.Storage.AdditionalDisks,
					tensorstack.AdditionalDisk{Name: name, VolumeSource: claim("c" + string(rune('a'+i)))})
			}
		}
	}
	serials := func(serials ...string) func(*tensorstack.VirtualServerSpec) {
		return func(spec *tensorstack.VirtualServerSpec) {
			for i, serial := range serials {
				spec.Storage.AdditionalDisks = append(spec.Storage.AdditionalDisks,
					tensorstack.AdditionalDisk{Name: string(rune('a' + i)), Serial: serial, VolumeSource: claim("c" + string(rune('a'+i)))})
			}
		}
	}
	const name, serial = "spec.storage.additionalDisks[0].name ", "spec.storage.additionalDisks[0].serial "
	checkRules(t, map[string]rule{
		"63 characters":           {named(strings.Repeat("a", 63)), nil},
		"64 characters":           {named(strings.Repeat("a", 64)), []string{name + "at most 63"}},
		"no name":                 {named(""), []string{name + "Required"}},
		"capitals":                {named("Data"), []string{name + "RFC 1123"}},
		"dots":                    {named("a.b"), []string{name + "dots"}},
		"the root disk's":         {named("root"), []string{name + "reserved"}},
		"cloud-init's":            {named("cloudinit"), []string{name + "reserved"}},
		"cloud-init's pod volume": {named("cloudinit-udata"), []string{name + "reserved"}},
		"a pod volume's":          {named("container-disks"), []string{name + "reserved"}},
		"twice":                   {named("a", "a"), []string{"spec.storage.additionalDisks[1].name Duplicate"}},
		"serials":                 {serials("CVLY623300HK240D", "", "", "A_.+-"), nil},
		"long serial":             {serials(strings.Repeat("A", 21)), []string{serial + "at most 20"}},
		"serial with a space":     {serials("A B"), []string{serial + "letters"}},
		"serial with a quote":     {serials(`A"`), []string{serial + "letters"}},
		"serial twice":            {serials("A", "A"), []string{"spec.storage.additionalDisks[1].serial Duplicate"}},
		"too many": {func(spec *tensorstack.VirtualServerSpec) {
			spec.Storage.AdditionalDisks = make([]tensorstack.AdditionalDisk, MaxVolumes)
			spec.Storage.Filesystems = make([]tensorstack.Filesystem, 1)
		}, []string{"spec.storage at most 256"}},
		"the name of a filesystem": {func(spec *tensorstack.VirtualServerSpec) {
			disks(tensorstack.AdditionalDisk{Name: "a", VolumeSource: claim("c")})(spec)
			filesystems(tensorstack.Filesystem{Name: "a", VolumeSource: claim("d")})(spec)
		}, []string{"spec.storage.filesystems[0].name Duplicate"}},
	})
}

func TestDiskSources(t *testing.T) {
	disk := func(change func(*tensorstack.AdditionalDisk)) func(*tensorstack.VirtualServerSpec) {
		disk := tensorstack.AdditionalDisk{Name: "a"}
		change(&disk)
		return disks(disk)
	}
	source := func(source tensorstack.VolumeSource) func(*tensorstack.VirtualServerSpec) {
		return disk(func(disk *tensorstack.AdditionalDisk) { disk.VolumeSource = source })
	}
	container := func(source tensorstack.ContainerDiskSource) func(*tensorstack.VirtualServerSpec) {
		return disk(func(disk *tensorstack.AdditionalDisk) { disk.ContainerDisk = &source })
	}
	const at = "spec.storage.additionalDisks[0]"
	image := "registry.example.com:5000/a/b@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	checkRules(t, map[string]rule{
		"none":            {source(tensorstack.VolumeSource{}), []string{at + " set one of"}},
		"claim":           {source(claim("pvc-as-disk")), nil},
		"nameless claim":  {source(claim("")), []string{at + ".persistentVolumeClaim.claimName Required"}},
		"bad claim":       {source(claim("../a")), []string{at + ".persistentVolumeClaim.claimName name of a PersistentVolumeClaim"}},
		"config map":      {source(configMap("app-config")), nil},
		"nameless map":    {source(configMap("")), []string{at + ".configMap.name Required"}},
		"account":         {source(serviceAccount("app")), nil},
		"nameless acc.":   {source(serviceAccount("")), []string{at + ".serviceAccount.serviceAccountName Required"}},
		"secret":          {source(tensorstack.VolumeSource{Secret: &tensorstack.SecretSource{SecretName: "s", VolumeLabel: "CREDS"}}), nil},
		"nameless secret": {source(tensorstack.VolumeSource{Secret: &tensorstack.SecretSource{}}), []string{at + ".secret.secretName Required"}},
		"volume label like an option": {source(tensorstack.VolumeSource{ConfigMap: &tensorstack.ConfigMapSource{Name: "a", VolumeLabel: "-o"}}),
			[]string{at + ".configMap.volumeLabel not begin"}},
		"long volume label": {source(tensorstack.VolumeSource{Secret: &tensorstack.SecretSource{SecretName: "a", VolumeLabel: strings.Repeat("A", 33)}}),
			[]string{at + ".secret.volumeLabel at most 32"}},
		"ephemeral": {source(tensorstack.VolumeSource{Ephemeral: &tensorstack.EphemeralSource{
			PersistentVolumeClaim: &tensorstack.PersistentVolumeClaimSource{ClaimName: "c"}}}), nil},
		"ephemeral without a claim": {source(tensorstack.VolumeSource{Ephemeral: &tensorstack.EphemeralSource{}}),
			[]string{at + ".ephemeral.persistentVolumeClaim Required"}},
		"two": {source(tensorstack.VolumeSource{
			PersistentVolumeClaim: &tensorstack.PersistentVolumeClaimSource{ClaimName: "c"}, ConfigMap: &tensorstack.ConfigMapSource{Name: "m"},
		}), []string{at + ".configMap keep one"}},
		"empty disk": {disk(func(disk *tensorstack.AdditionalDisk) {
			disk.EmptyDisk = &tensorstack.EmptyDiskSource{Capacity: resource.MustParse("1Gi")}
		}), nil},
		"small empty disk": {disk(func(disk *tensorstack.AdditionalDisk) {
			disk.EmptyDisk = &tensorstack.EmptyDiskSource{Capacity: resource.MustParse("1Ki")}
		}), []string{at + ".emptyDisk.capacity at least 1Mi"}},
		"empty disk beside a claim": {disk(func(disk *tensorstack.AdditionalDisk) {
			disk.VolumeSource = claim("c")
			disk.EmptyDisk = &tensorstack.EmptyDiskSource{Capacity: resource.MustParse("1Gi")}
		}), []string{at + ".emptyDisk keep one"}},
		"container": {container(tensorstack.ContainerDiskSource{Image: image, ImagePullSecret: "s", Path: "/disk/a.img", ImagePullPolicy: "Always"}), nil},
		"no image":  {container(tensorstack.ContainerDiskSource{}), []string{at + ".containerDisk.image Required"}},
		"image with a scheme": {container(tensorstack.ContainerDiskSource{Image: "docker://a/b"}),
			[]string{at + ".containerDisk.image without a scheme"}},
		"image too long": {container(tensorstack.ContainerDiskSource{Image: strings.Repeat("a", 1025)}),
			[]string{at + ".containerDisk.image Too long"}},
		"unknown pull policy": {container(tensorstack.ContainerDiskSource{Image: image, ImagePullPolicy: "Sometimes"}),
			[]string{at + ".containerDisk.imagePullPolicy supported"}},
		"relative path":      {container(tensorstack.ContainerDiskSource{Image: image, Path: "disk.img"}), []string{at + ".containerDisk.path absolute"}},
		"path that climbs":   {container(tensorstack.ContainerDiskSource{Image: image, Path: "/disk/../etc"}), []string{at + ".containerDisk.path absolute"}},
		"path of everything": {container(tensorstack.ContainerDiskSource{Image: image, Path: "//"}), []string{at + ".containerDisk.path absolute"}},
		"container with a long name": {disks(tensorstack.AdditionalDisk{Name: strings.Repeat("a", 53),
			ContainerDisk: &tensorstack.ContainerDiskSource{Image: image}}), []string{at + ".name at most 52"}},
		"two accounts": {disks(
			tensorstack.AdditionalDisk{Name: "a", VolumeSource: serviceAccount("x")},
			tensorstack.AdditionalDisk{Name: "b", VolumeSource: serviceAccount("x")},
		), []string{"spec.storage.additionalDisks[1].serviceAccount one ServiceAccount volume"}},
	})
}

func TestDownwardAPI(t *testing.T) {
	files := func(files ...corev1.DownwardAPIVolumeFile) func(*tensorstack.VirtualServerSpec) {
		return disks(tensorstack.AdditionalDisk{Name: "a", VolumeSource: tensorstack.VolumeSource{
			DownwardAPI: &tensorstack.DownwardAPISource{Fields: files}}})
	}
	file := func(path, shown string) corev1.DownwardAPIVolumeFile {
		return corev1.DownwardAPIVolumeFile{Path: path, FieldRef: &corev1.ObjectFieldSelector{FieldPath: shown}}
	}
	const at = "spec.storage.additionalDisks[0].downwardAPI.fields"
	checkRules(t, map[string]rule{
		"labels":        {files(file("a/labels", "metadata.labels"), file("b", "metadata.annotations['example.com/a']")), nil},
		"no files":      {files(), []string{at + " Required"}},
		"absolute path": {files(file("/etc/passwd", "metadata.name")), []string{at + "[0].path relative"}},
		"climbing path": {files(file("a/../../b", "metadata.name")), []string{at + "[0].path relative"}},
		"empty path":    {files(file("", "metadata.name")), []string{at + "[0].path relative"}},
		"doubled path":  {files(file("a", "metadata.name"), file("a", "metadata.uid")), []string{at + "[1].path Duplicate"}},
		"unknown field": {files(file("a", "spec.nodeName")), []string{at + "[0].fieldRef.fieldPath supported"}},
		"bad key":       {files(file("a", "metadata.labels['a b']")), []string{at + "[0].fieldRef.fieldPath supported"}},
		"no field":      {files(corev1.DownwardAPIVolumeFile{Path: "a"}), []string{at + "[0].fieldRef Required"}},
		"bad version": {files(corev1.DownwardAPIVolumeFile{Path: "a",
			FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v2", FieldPath: "metadata.name"}}), []string{at + "[0].fieldRef.apiVersion supported"}},
		"bad mode": {files(corev1.DownwardAPIVolumeFile{Path: "a", Mode: ptr.To[int32](0o1000),
			FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}), []string{at + "[0].mode 0777"}},
		"resources": {files(corev1.DownwardAPIVolumeFile{Path: "a", ResourceFieldRef: &corev1.ResourceFieldSelector{}}),
			[]string{at + "[0].resourceFieldRef use fieldRef", at + "[0].fieldRef Required"}},
	})
}

func TestFilesystems(t *testing.T) {
	filesystem := func(name string, source tensorstack.VolumeSource) func(*tensorstack.VirtualServerSpec) {
		return filesystems(tensorstack.Filesystem{Name: name, VolumeSource: source})
	}
	const at = "spec.storage.filesystems[0]"
	checkRules(t, map[string]rule{
		"claim":         {filesystem("my-filesys", claim("pvc-as-fs")), nil},
		"account":       {filesystem("sa-fs", serviceAccount("app")), nil},
		"54 characters": {filesystem(strings.Repeat("a", 54), claim("c")), nil},
		"55 characters": {filesystem(strings.Repeat("a", 55), claim("c")), []string{at + ".name at most 54"}},
		"reserved":      {filesystem("sockets", claim("c")), []string{at + ".name reserved"}},
		"no source":     {filesystem("a", tensorstack.VolumeSource{}), []string{at + " set one of"}},
		"ephemeral": {filesystem("a", tensorstack.VolumeSource{Ephemeral: &tensorstack.EphemeralSource{
			PersistentVolumeClaim: &tensorstack.PersistentVolumeClaimSource{ClaimName: "c"}}}), nil},
		"ephemeral without a claim": {filesystem("a", tensorstack.VolumeSource{Ephemeral: &tensorstack.EphemeralSource{}}),
			[]string{at + ".ephemeral.persistentVolumeClaim Required"}},
		"second account": {func(spec *tensorstack.VirtualServerSpec) {
			disks(tensorstack.AdditionalDisk{Name: "a", VolumeSource: serviceAccount("x")})(spec)
			filesystems(tensorstack.Filesystem{Name: "b", VolumeSource: serviceAccount("y")})(spec)
		}, []string{at + ".serviceAccount spec.storage.additionalDisks[0].serviceAccount is one already"}},
	})
}
