package virtualserver

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

func dataVolume(url, size string, phase cdiv1.DataVolumePhase) *cdiv1.DataVolume {
	return &cdiv1.DataVolume{
		Spec: cdiv1.DataVolumeSpec{
			Source: &cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{URL: url}},
			PVC: &corev1.PersistentVolumeClaimSpec{Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)},
			}},
		},
		Status: cdiv1.DataVolumeStatus{Phase: phase},
	}
}

func claimOf(size string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{
		Resources: corev1.VolumeResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)},
		},
	}}
}

func goingVolume(volume *cdiv1.DataVolume) *cdiv1.DataVolume {
	volume.DeletionTimestamp = ptr.To(metav1.Now())
	return volume
}

func goingClaim(claim *corev1.PersistentVolumeClaim) *corev1.PersistentVolumeClaim {
	claim.DeletionTimestamp = ptr.To(metav1.Now())
	return claim
}

func TestDecideDisk(t *testing.T) {
	desired := dataVolume("http://a", "4Gi", "")
	for _, test := range []struct {
		name  string
		live  *cdiv1.DataVolume
		claim *corev1.PersistentVolumeClaim
		want  diskAction
	}{
		{"nothing is there", nil, nil, diskCreate},
		{"importing", dataVolume("http://a", "4Gi", cdiv1.ImportInProgress), claimOf("4Gi"), diskKeep},
		{"importing, written in another way", dataVolume("http://a", "4096Mi", cdiv1.ImportInProgress), nil, diskKeep},
		{"imported", dataVolume("http://a", "4Gi", cdiv1.Succeeded), claimOf("4Gi"), diskKeep},
		{"the source was edited before the import", dataVolume("http://b", "4Gi", cdiv1.ImportInProgress), claimOf("4Gi"), diskAgain},
		{"the size was edited before the import", dataVolume("http://a", "1Gi", cdiv1.ImportInProgress), claimOf("1Gi"), diskAgain},
		{"the source was edited after the import", dataVolume("http://b", "4Gi", cdiv1.Succeeded), claimOf("4Gi"), diskKeep},
		{"the size grew after the import", dataVolume("http://a", "1Gi", cdiv1.Succeeded), claimOf("1Gi"), diskGrow},
		{"the volume has grown already", dataVolume("http://a", "1Gi", cdiv1.Succeeded), claimOf("4Gi"), diskKeep},
		{"somebody made the volume larger", dataVolume("http://a", "4Gi", cdiv1.Succeeded), claimOf("8Gi"), diskKeep},
		{"the volume is being deleted", goingVolume(dataVolume("http://a", "4Gi", cdiv1.Succeeded)), claimOf("4Gi"), diskWait},
		{"somebody deleted the claim", dataVolume("http://a", "4Gi", cdiv1.Succeeded), goingClaim(claimOf("4Gi")), diskWait},
		{"the source was edited while the claim goes", dataVolume("http://b", "4Gi", cdiv1.ImportInProgress), goingClaim(claimOf("4Gi")), diskAgain},
		{"the claim of a deleted volume is in use", nil, goingClaim(claimOf("4Gi")), diskWait},
		{"a claim without a volume may hold data", nil, claimOf("4Gi"), diskKeep},
		{"a claim without a volume grows too", nil, claimOf("1Gi"), diskGrow},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, decideDisk(test.live, desired, test.claim))
		})
	}
}
