package status

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

// A claim that names no class waits in silence until the cluster has a default one.
func TestARootDiskWithoutAStorageClassSaysWhatItWaitsFor(t *testing.T) {
	claim := func(phase corev1.PersistentVolumeClaimPhase, class *string) *corev1.PersistentVolumeClaim {
		return &corev1.PersistentVolumeClaim{
			Spec:   corev1.PersistentVolumeClaimSpec{StorageClassName: class},
			Status: corev1.PersistentVolumeClaimStatus{Phase: phase},
		}
	}
	for what, test := range map[string]struct {
		phase cdiv1.DataVolumePhase
		claim *corev1.PersistentVolumeClaim
		none  bool
		want  string
	}{
		"no DataVolume yet":                       {want: "StorageClassNotFound", none: true},
		"no claim yet":                            {phase: cdiv1.Pending, none: true, want: "StorageClassNotFound"},
		"a claim that waits":                      {phase: cdiv1.Pending, claim: claim(corev1.ClaimPending, nil), none: true, want: "StorageClassNotFound"},
		"a claim that waits for a consumer":       {phase: cdiv1.PendingPopulation, claim: claim(corev1.ClaimPending, ptr.To("fast")), none: true, want: "PendingPopulation"},
		"the claim got its class before":          {phase: cdiv1.ImportScheduled, claim: claim(corev1.ClaimPending, ptr.To("fast")), none: true, want: "ImportScheduled"},
		"bound to a volume that was made by hand": {phase: cdiv1.ImportInProgress, claim: claim(corev1.ClaimBound, nil), none: true, want: "ImportInProgress"},
		"imported":           {phase: cdiv1.Succeeded, claim: claim(corev1.ClaimBound, nil), none: true, want: "Succeeded"},
		"there is a default": {phase: cdiv1.Pending, claim: claim(corev1.ClaimPending, nil), want: "Pending"},
	} {
		t.Run(what, func(t *testing.T) {
			s := newScene(t, "Always")
			s.DataVolume = nil
			if test.phase != "" {
				s.importing(test.phase, "N/A", 0)
			}
			s.Claim, s.NoDefaultClass = test.claim, test.none
			got := condition(t, s.derive(), "DataImported")
			assert.Equal(t, test.want, got.Reason)
			if test.want == "StorageClassNotFound" {
				assert.Contains(t, got.Message, "no default StorageClass")
			}
		})
	}
}
