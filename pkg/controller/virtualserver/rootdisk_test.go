package virtualserver

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/status"
	"tensorstack.dev/virtualserver/pkg/translate"
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

func markedClaim(size string) *corev1.PersistentVolumeClaim {
	claim := claimOf(size)
	metav1.SetMetaDataAnnotation(&claim.ObjectMeta, translate.AnnotationImported, "true")
	return claim
}

func lost(claim *corev1.PersistentVolumeClaim) *corev1.PersistentVolumeClaim {
	claim.Status.Phase = corev1.ClaimLost
	return claim
}

func goingClaim(claim *corev1.PersistentVolumeClaim) *corev1.PersistentVolumeClaim {
	claim.DeletionTimestamp = ptr.To(metav1.Now())
	return claim
}

func TestDecideDisk(t *testing.T) {
	desired := dataVolume("http://a", "4Gi", "")
	failedVolume := dataVolume("http://b", "2Gi", cdiv1.Failed)
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
		{"the volume was lost", failedVolume, lost(markedClaim("8Gi")), diskKeep},
		{"the volume that was lost is back", failedVolume, markedClaim("8Gi"), diskKeep},
		{"the import of a clone failed", failedVolume, claimOf("8Gi"), diskAgain},
		{"a claim without a volume grows too", nil, claimOf("1Gi"), diskGrow},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, decideDisk(test.live, desired, test.claim))
		})
	}
}

// claimFor is the claim that CDI makes for the root disk of the server.
func (b *bench) claimFor(vs *v1beta1.VirtualServer) {
	b.t.Helper()
	claim := claimOf("4Gi")
	claim.Status.Phase = corev1.ClaimBound
	claim.Spec.DataSourceRef = &corev1.TypedObjectReference{Kind: "VolumeImportSource", Name: "populator"}
	claim.Namespace, claim.Name, claim.Labels = testNamespace, vs.Status.VM.Name, translate.Labels(vs)
	_, err := b.kubernetes.CoreV1().PersistentVolumeClaims(testNamespace).Create(b.t.Context(), claim, metav1.CreateOptions{})
	require.NoError(b.t, err)
}

func (b *bench) claim(name string) *corev1.PersistentVolumeClaim {
	b.t.Helper()
	claim, err := b.kubernetes.CoreV1().PersistentVolumeClaims(testNamespace).Get(b.t.Context(), name, metav1.GetOptions{})
	require.NoError(b.t, err)
	return claim
}

// What CDI says of the DataVolume changes when the volume is lost, and may not have changed back when it returns.
func TestWhatWasImportedIsWrittenDown(t *testing.T) {
	b := newBench(t, testServer())
	b.settle("web")
	vs := b.server("web")
	name := vs.Status.VM.Name
	b.claimFor(vs)
	b.settle("web")
	assert.False(t, translate.MarkedImported(b.claim(name)), "it is being imported")
	b.kubevirt.volumes[name].Status.Phase = cdiv1.Succeeded
	b.settle("web")
	assert.True(t, translate.MarkedImported(b.claim(name)))

	b.kubevirt.volumes[name].Status.Phase = cdiv1.Failed
	vs = b.server("web")
	vs.Spec.Storage.Root.Source.HTTP.URL = "http://images/another"
	b.update(vs)
	b.settle("web")
	require.Contains(t, b.kubevirt.volumes, name)
	assert.Equal(t, "http://images/a", b.kubevirt.volumes[name].Spec.Source.HTTP.URL)
}

// CDI calls the DataVolume succeeded for a while after it has made another claim for one that somebody deleted.
func TestAClaimThatWasMadeAnewIsNotImported(t *testing.T) {
	claim := claimOf("4Gi")
	claim.Status.Phase = corev1.ClaimPending
	claim.Spec.DataSourceRef = &corev1.TypedObjectReference{Kind: "VolumeImportSource", Name: "populator"}
	assert.False(t, filled(claim))
	claim.Status.Phase = corev1.ClaimBound
	assert.True(t, filled(claim), "its populator is done")

	claim.Spec.DataSourceRef = nil
	assert.False(t, filled(claim), "a claim of a class without populators is bound first")
	metav1.SetMetaDataAnnotation(&claim.ObjectMeta, status.AnnotationPodPhase, "Running")
	assert.False(t, filled(claim))
	metav1.SetMetaDataAnnotation(&claim.ObjectMeta, status.AnnotationPodPhase, "Succeeded")
	assert.True(t, filled(claim))
}

// The source was edited during the import. The DataVolume is gone already, and its claim goes with it.
func TestAClaimThatGoesWithItsDataVolumeIsNoDisk(t *testing.T) {
	vs := testServer()
	vs.Spec.Storage.Root.Ephemeral = true
	b := newBench(t, vs)
	_, _, err := b.pass("web")
	require.NoError(t, err)
	name := b.server("web").Status.VM.Name
	b.claimFor(b.server("web"))
	claim := b.claim(name)
	claim.OwnerReferences = []metav1.OwnerReference{{Kind: kindDataVolume, Name: name, UID: "gone", Controller: ptr.To(true)}}
	_, err = b.kubernetes.CoreV1().PersistentVolumeClaims(testNamespace).Update(t.Context(), claim, metav1.UpdateOptions{})
	require.NoError(t, err)
	b.kubevirt.volumes = map[string]*cdiv1.DataVolume{}
	b.settle("web")
	assert.Empty(t, b.kubevirt.machines)
	assert.False(t, translate.MarkedImported(b.claim(name)))
	assert.True(t, meta.IsStatusConditionTrue(b.server("web").Status.Conditions, v1beta1.ConditionReconciled))

	require.NoError(t, b.kubernetes.CoreV1().PersistentVolumeClaims(testNamespace).Delete(t.Context(), name, metav1.DeleteOptions{}))
	b.settle("web")
	assert.Len(t, b.kubevirt.volumes, 1)
}

// The claim alone would say that its import ended long ago, and a guest with a throw-away disk would start from half an image.
func TestAnImportThatTheCacheDoesNotHoldYetHoldsTheMachine(t *testing.T) {
	vs := testServer()
	vs.Spec.Storage.Root.Ephemeral = true
	b := newBench(t, vs)
	b.volumesUnseen = true
	_, _, err := b.pass("web")
	require.NoError(t, err)
	result, _, err := b.pass("web")
	require.NoError(t, err)
	assert.True(t, result.retry, "nothing tells when the cache is filled")
	b.claimFor(b.server("web"))
	b.settle("web")
	assert.Empty(t, b.kubevirt.machines)

	b.kubevirt.volumes[b.server("web").Status.VM.Name].Status.Phase = cdiv1.Succeeded
	b.settle("web")
	assert.Len(t, b.kubevirt.machines, 1)
	b.kubevirt.volumes = map[string]*cdiv1.DataVolume{}
	b.settle("web")
	assert.Empty(t, b.kubevirt.volumes, "somebody deleted the DataVolume of an imported disk")
}
