package translate

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func claimSource(name string, readOnly bool) *v1beta1.PersistentVolumeClaimSource {
	return &v1beta1.PersistentVolumeClaimSource{ClaimName: name, ReadOnly: readOnly}
}

// TestVolumeSources has every volume kind of the guide and those beyond it, as a disk.
func TestVolumeSources(t *testing.T) {
	for name, test := range map[string]struct {
		disk v1beta1.AdditionalDisk
		want kubevirtv1.VolumeSource
	}{
		"persistentVolumeClaim": {
			v1beta1.AdditionalDisk{VolumeSource: v1beta1.VolumeSource{PersistentVolumeClaim: claimSource("pvc", true)}},
			kubevirtv1.VolumeSource{PersistentVolumeClaim: &kubevirtv1.PersistentVolumeClaimVolumeSource{
				PersistentVolumeClaimVolumeSource: corev1.PersistentVolumeClaimVolumeSource{ClaimName: "pvc", ReadOnly: true}}},
		},
		"ephemeral": {
			v1beta1.AdditionalDisk{VolumeSource: v1beta1.VolumeSource{
				Ephemeral: &v1beta1.EphemeralSource{PersistentVolumeClaim: claimSource("pvc", false)}}},
			kubevirtv1.VolumeSource{Ephemeral: &kubevirtv1.EphemeralVolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "pvc"}}},
		},
		"configMap": {
			v1beta1.AdditionalDisk{VolumeSource: v1beta1.VolumeSource{
				ConfigMap: &v1beta1.ConfigMapSource{Name: "app-config", Optional: ptr.To(true), VolumeLabel: "cfg"}}},
			kubevirtv1.VolumeSource{ConfigMap: &kubevirtv1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: "app-config"}, Optional: ptr.To(true), VolumeLabel: "cfg"}},
		},
		"secret": {
			v1beta1.AdditionalDisk{VolumeSource: v1beta1.VolumeSource{
				Secret: &v1beta1.SecretSource{SecretName: "app-secret", VolumeLabel: "sec"}}},
			kubevirtv1.VolumeSource{Secret: &kubevirtv1.SecretVolumeSource{SecretName: "app-secret", VolumeLabel: "sec"}},
		},
		"serviceAccount": {
			v1beta1.AdditionalDisk{VolumeSource: v1beta1.VolumeSource{
				ServiceAccount: &v1beta1.ServiceAccountSource{ServiceAccountName: "sa"}}},
			kubevirtv1.VolumeSource{ServiceAccount: &kubevirtv1.ServiceAccountVolumeSource{ServiceAccountName: "sa"}},
		},
		"downwardAPI": {
			v1beta1.AdditionalDisk{VolumeSource: v1beta1.VolumeSource{
				DownwardAPI: &v1beta1.DownwardAPISource{Fields: []corev1.DownwardAPIVolumeFile{{Path: "labels"}}}}},
			kubevirtv1.VolumeSource{DownwardAPI: &kubevirtv1.DownwardAPIVolumeSource{
				Fields: []corev1.DownwardAPIVolumeFile{{Path: "labels"}}}},
		},
		"emptyDisk": {
			v1beta1.AdditionalDisk{EmptyDisk: &v1beta1.EmptyDiskSource{Capacity: resource.MustParse("1Gi")}},
			kubevirtv1.VolumeSource{EmptyDisk: &kubevirtv1.EmptyDiskSource{Capacity: resource.MustParse("1Gi")}},
		},
		"containerDisk": {
			v1beta1.AdditionalDisk{ContainerDisk: &v1beta1.ContainerDiskSource{
				Image: "example.com/disk:1", Path: "/disk/a.img", ImagePullSecret: "pull", ImagePullPolicy: corev1.PullAlways}},
			kubevirtv1.VolumeSource{ContainerDisk: &kubevirtv1.ContainerDiskSource{
				Image: "example.com/disk:1", Path: "/disk/a.img", ImagePullSecret: "pull", ImagePullPolicy: corev1.PullAlways}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.disk.Name = "data"
			spec := machine(t, guideExample(t, withAdditionalDisks(test.disk))).Spec.Template.Spec
			assert.Equal(t, kubevirtv1.Volume{Name: "data", VolumeSource: test.want}, spec.Volumes[1])
			disk := spec.Domain.Devices.Disks[1]
			assert.Equal(t, "data", disk.Name)
			assert.Equal(t, kubevirtv1.DiskBusVirtio, disk.Disk.Bus)
			claim := test.disk.PersistentVolumeClaim
			assert.Equal(t, claim != nil && claim.ReadOnly, disk.Disk.ReadOnly)

			if test.disk.EmptyDisk != nil || test.disk.ContainerDisk != nil || test.disk.Ephemeral != nil {
				return
			}
			filesystem := v1beta1.Filesystem{Name: "share", VolumeSource: test.disk.VolumeSource}
			spec = machine(t, guideExample(t, withAdditionalDisks(), func(vs *v1beta1.VirtualServer) {
				vs.Spec.Storage.Filesystems = []v1beta1.Filesystem{filesystem}
			})).Spec.Template.Spec
			assert.Equal(t, kubevirtv1.Volume{Name: "share", VolumeSource: test.want}, spec.Volumes[1])
			assert.Len(t, spec.Domain.Devices.Disks, 2, "a filesystem takes no disk letter")
		})
	}
}

func TestEphemeralRoot(t *testing.T) {
	vs := guideExample(t, func(vs *v1beta1.VirtualServer) { vs.Spec.Storage.Root.Ephemeral = true })
	root := machine(t, vs).Spec.Template.Spec.Volumes[0]
	assert.Equal(t, testVM, root.Ephemeral.PersistentVolumeClaim.ClaimName)
	assert.Nil(t, root.DataVolume)
	assert.NotNil(t, DataVolume(vs).Spec.Source, "the disk is imported all the same")
}

func TestDisks(t *testing.T) {
	long := strings.Repeat("a", 40)
	vs := guideExample(t, withAdditionalDisks(claimDisk("data", "x"),
		v1beta1.AdditionalDisk{Name: "given", Serial: "CVLY623300HK240D"},
		v1beta1.AdditionalDisk{Name: "thief", Serial: "data"}, claimDisk(long, "y"), claimDisk(long+"b", "z")))
	disks := Disks(vs)
	require.Len(t, disks, 6)
	assert.Equal(t, v1beta1.DiskStatus{Name: "root", Device: "/dev/vda", Serial: "root", ByID: "/dev/disk/by-id/virtio-root"}, disks[0])
	assert.Equal(t, "/dev/vdb", disks[1].Device)
	assert.Equal(t, "CVLY623300HK240D", disks[2].Serial)

	seen := map[string]bool{}
	for _, disk := range disks {
		assert.False(t, seen[disk.Serial], "serial %s is given twice", disk.Serial)
		seen[disk.Serial] = true
		assert.LessOrEqual(t, len(disk.Serial), MaxSerialLength)
		assert.Regexp(t, `^[A-Za-z0-9_.+-]+$`, disk.Serial)
		assert.Equal(t, "/dev/disk/by-id/virtio-"+disk.Serial, disk.ByID)
	}
	assert.Equal(t, disks, Disks(vs), "derived serials are stable")

	vs.UID, vs.Status.VM.Name = "another", "managed-virtualserver-00000"
	assert.Equal(t, disks, Disks(vs), "derived serials outlive the VirtualServer")
}

func TestLetters(t *testing.T) {
	for i, want := range map[int]string{0: "a", 25: "z", 26: "aa", 27: "ab", 51: "az", 52: "ba", 701: "zz", 702: "aaa"} {
		assert.Equal(t, want, letters(i))
	}
}

func TestDataVolume(t *testing.T) {
	vs := guideExample(t, func(vs *v1beta1.VirtualServer) {
		vs.Annotations = map[string]string{"cdi.kubevirt.io/storage.prePopulated": "yes"}
	})
	dataVolume := DataVolume(vs)
	assert.Equal(t, testVM, dataVolume.Name)
	assert.Empty(t, dataVolume.OwnerReferences)
	assert.Equal(t, map[string]string{
		AnnotationName: "vs-example",
		"cdi.kubevirt.io/storage.bind.immediate.requested": "true",
	}, dataVolume.Annotations, "no annotation of the user is copied")
	assert.Nil(t, dataVolume.Spec.Storage)
	assert.Empty(t, dataVolume.Spec.ServiceAccountName)
	claim := dataVolume.Spec.PVC
	assert.Equal(t, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, claim.AccessModes)
	assert.Equal(t, corev1.PersistentVolumeFilesystem, *claim.VolumeMode)
	assert.Equal(t, "cephfs-hdd", *claim.StorageClassName)
	assert.True(t, resource.MustParse("4Gi").Equal(claim.Resources.Requests[corev1.ResourceStorage]))
	assert.Equal(t, vs.Spec.Storage.Root.Source.HTTP.URL, dataVolume.Spec.Source.HTTP.URL)

	dataVolume.Spec.Source.HTTP.URL = "changed"
	assert.NotEqual(t, "changed", vs.Spec.Storage.Root.Source.HTTP.URL, "the spec is not shared")
}

func TestSourceChanged(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*v1beta1.VirtualServer)
		want bool
	}{
		"nothing": {func(*v1beta1.VirtualServer) {}, false},
		"url":     {func(vs *v1beta1.VirtualServer) { vs.Spec.Storage.Root.Source.HTTP.URL = "https://example.com/b" }, true},
		"kind": {func(vs *v1beta1.VirtualServer) {
			vs.Spec.Storage.Root.Source = cdiv1.DataVolumeSource{Blank: &cdiv1.DataVolumeBlankImage{}}
		}, true},
		"storage class": {func(vs *v1beta1.VirtualServer) { vs.Spec.Storage.Root.PVC.StorageClassName = ptr.To("ssd") }, true},
		"volume mode":   {func(vs *v1beta1.VirtualServer) { vs.Spec.Storage.Root.PVC.VolumeMode = corev1.PersistentVolumeBlock }, true},
		"size":          {func(vs *v1beta1.VirtualServer) { vs.Spec.Storage.Root.PVC.Size = resource.MustParse("8Gi") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			live := DataVolume(guideExample(t))
			assert.Equal(t, test.want, SourceChanged(live, DataVolume(guideExample(t, test.edit))))
		})
	}
}
