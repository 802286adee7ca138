package disk

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func storageClass(mode storagev1.VolumeBindingMode) *storagev1.StorageClass {
	yes := true
	return &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: "disk"}, Provisioner: Provisioner,
		VolumeBindingMode: &mode, AllowVolumeExpansion: &yes,
	}
}

func claimOf(size string, change func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "root", UID: "u-1",
			Annotations: map[string]string{annotationProvisioner: Provisioner},
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)},
			},
		},
	}
	if change != nil {
		change(claim)
	}
	return claim
}

func bound(have string) func(*corev1.PersistentVolumeClaim) {
	return func(claim *corev1.PersistentVolumeClaim) {
		claim.Spec.VolumeName = "pvc-u-1"
		claim.Status.Phase = corev1.ClaimBound
		claim.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(have)}
	}
}

func TestDecide(t *testing.T) {
	now, waits := storagev1.VolumeBindingImmediate, storagev1.VolumeBindingWaitForFirstConsumer
	foreign := storageClass(now)
	foreign.Provisioner = "example.com/other"
	rigid := storageClass(now)
	rigid.AllowVolumeExpansion = nil
	tests := map[string]struct {
		claim *corev1.PersistentVolumeClaim
		class *storagev1.StorageClass
		want  action
	}{
		"immediate":            {claimOf("1Gi", nil), storageClass(now), provision},
		"no class":             {claimOf("1Gi", nil), nil, nothing},
		"foreign class":        {claimOf("1Gi", nil), foreign, nothing},
		"not our turn yet":     {claimOf("1Gi", func(c *corev1.PersistentVolumeClaim) { c.Annotations = nil }), storageClass(now), nothing},
		"waits for a consumer": {claimOf("1Gi", nil), storageClass(waits), nothing},
		"has a consumer":       {claimOf("1Gi", func(c *corev1.PersistentVolumeClaim) { c.Annotations[annotationSelectedNode] = "node-a" }), storageClass(waits), provision},
		"from a snapshot": {claimOf("1Gi", func(c *corev1.PersistentVolumeClaim) {
			group := "snapshot.storage.k8s.io"
			c.Spec.DataSourceRef = &corev1.TypedObjectReference{APIGroup: &group, Kind: "VolumeSnapshot", Name: "x"}
		}), storageClass(now), provision},
		"from a claim": {claimOf("1Gi", func(c *corev1.PersistentVolumeClaim) {
			c.Spec.DataSourceRef = &corev1.TypedObjectReference{Kind: "PersistentVolumeClaim", Name: "x"}
		}), storageClass(now), provision},
		"has a data source": {claimOf("1Gi", func(c *corev1.PersistentVolumeClaim) {
			c.Spec.DataSourceRef = &corev1.TypedObjectReference{Kind: "VolumeImportSource", Name: "x"}
		}), storageClass(now), nothing},
		"going away":   {claimOf("1Gi", func(c *corev1.PersistentVolumeClaim) { c.DeletionTimestamp = &metav1.Time{} }), storageClass(now), nothing},
		"bound":        {claimOf("1Gi", bound("1Gi")), storageClass(now), nothing},
		"grows":        {claimOf("2Gi", bound("1Gi")), storageClass(now), expand},
		"may not grow": {claimOf("2Gi", bound("1Gi")), rigid, nothing},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, decide(test.claim, test.class))
		})
	}
}

func TestNewVolume(t *testing.T) {
	block := corev1.PersistentVolumeBlock
	claim := claimOf("3Gi", func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeMode = &block })
	volume, err := newVolume(claim, storageClass(storagev1.VolumeBindingImmediate))
	require.NoError(t, err)
	assert.Equal(t, "pvc-u-1", volume.Name)
	assert.Equal(t, "3Gi", volume.Spec.Capacity.Storage().String())
	assert.Equal(t, corev1.PersistentVolumeBlock, *volume.Spec.VolumeMode)
	assert.Equal(t, claim.Spec.AccessModes, volume.Spec.AccessModes)
	assert.Equal(t, claim.UID, volume.Spec.ClaimRef.UID)
	assert.Equal(t, corev1.PersistentVolumeReclaimDelete, volume.Spec.PersistentVolumeReclaimPolicy)
	assert.Nil(t, volume.Spec.NodeAffinity)

	_, err = newVolume(claimOf("0", nil), storageClass(storagev1.VolumeBindingImmediate))
	assert.ErrorContains(t, err, "asks for no storage")
}

func TestRemovable(t *testing.T) {
	volume, err := newVolume(claimOf("1Gi", nil), storageClass(storagev1.VolumeBindingImmediate))
	require.NoError(t, err)
	assert.False(t, removable(volume), "in use")
	volume.Status.Phase = corev1.VolumeReleased
	assert.True(t, removable(volume))
	volume.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
	assert.False(t, removable(volume), "retained")
	volume.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimDelete
	volume.Annotations = nil
	assert.False(t, removable(volume), "not ours")
}

func TestExpandedClaim(t *testing.T) {
	claim := claimOf("2Gi", bound("1Gi"))
	claim.Status.Conditions = []corev1.PersistentVolumeClaimCondition{{Type: corev1.PersistentVolumeClaimResizing}}
	updated := expandedClaim(claim, resource.MustParse("2Gi"))
	assert.Equal(t, "2Gi", updated.Status.Capacity.Storage().String())
	assert.Empty(t, updated.Status.Conditions)
	assert.Equal(t, "1Gi", claim.Status.Capacity.Storage().String(), "the cached object must not change")
}
