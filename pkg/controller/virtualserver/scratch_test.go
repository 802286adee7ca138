package virtualserver

import (
	"testing"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	snapshotfake "github.com/kubernetes-csi/external-snapshotter/client/v8/clientset/versioned/fake"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/scratch"
	"tensorstack.dev/virtualserver/pkg/status"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// copyBench is a bench with one machine that has an ephemeral claim as a filesystem.
type copyBench struct {
	*bench
	snapshots *snapshotfake.Clientset
	name      string
}

func newCopyBench(t *testing.T, snapshots bool) *copyBench {
	vs := testServer()
	vs.Spec.Storage.Filesystems = []v1beta1.Filesystem{{Name: "data", VolumeSource: v1beta1.VolumeSource{
		Ephemeral: &v1beta1.EphemeralSource{PersistentVolumeClaim: &v1beta1.PersistentVolumeClaimSource{ClaimName: "shared"}}}}}
	b := &copyBench{bench: newBench(t, vs), snapshots: snapshotfake.NewSimpleClientset()}
	b.clients.Snapshots = b.snapshots
	source := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "shared", UID: "shared"}}
	source.Spec.StorageClassName = ptr.To("fast")
	source.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
	source.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	source.Status.Phase = corev1.ClaimBound
	require.NoError(t, b.kubernetes.Tracker().Add(source))
	require.NoError(t, b.kubernetes.Tracker().Add(&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "fast"}, Provisioner: "csi.example.com"}))
	if snapshots {
		require.NoError(t, b.snapshots.Tracker().Add(&snapshotv1.VolumeSnapshotClass{
			ObjectMeta: metav1.ObjectMeta{Name: "snaps"}, Driver: "csi.example.com"}))
	}
	b.settle("web")
	b.name = b.server("web").Status.VM.Name
	return b
}

// begin makes an instance from the template, as KubeVirt does.
func (b *copyBench) begin(uid types.UID) string {
	machine := b.kubevirt.machines[b.name]
	vmi := &kubevirtv1.VirtualMachineInstance{
		ObjectMeta: *machine.Spec.Template.ObjectMeta.DeepCopy(), Spec: *machine.Spec.Template.Spec.DeepCopy(),
	}
	vmi.Namespace, vmi.Name, vmi.UID = testNamespace, b.name, uid
	vmi.Status.Phase = kubevirtv1.Pending
	b.kubevirt.instances[b.name] = vmi
	return translate.ClaimOf(&vmi.Spec, "data")
}

func (b *copyBench) next(t *testing.T) string {
	t.Helper()
	_, _, err := b.pass("web")
	require.NoError(t, err)
	return translate.ClaimOf(&b.kubevirt.machines[b.name].Spec.Template.Spec, "data")
}

func (b *copyBench) snapshot(t *testing.T, name string) *snapshotv1.VolumeSnapshot {
	t.Helper()
	found, err := b.snapshots.SnapshotV1().VolumeSnapshots(testNamespace).Get(t.Context(), name, metav1.GetOptions{})
	require.NoError(t, err)
	return found
}

func (b *copyBench) ready() *metav1.Condition {
	return meta.FindStatusCondition(b.server("web").Status.Conditions, v1beta1.ConditionReady)
}

func TestEachRunGetsACopyOfAnEphemeralClaim(t *testing.T) {
	b := newCopyBench(t, true)
	claim := b.begin("run-1")
	assert.True(t, scratch.Is(claim, b.name, "data"))

	assert.NotEqual(t, claim, b.next(t), "the next run gets another name before anything is made")
	snapshot := b.snapshot(t, claim)
	assert.Equal(t, "shared", *snapshot.Spec.Source.PersistentVolumeClaimName)
	assert.Equal(t, "snaps", *snapshot.Spec.VolumeSnapshotClassName)
	require.Len(t, snapshot.OwnerReferences, 1)
	assert.Equal(t, types.UID("run-1"), snapshot.OwnerReferences[0].UID)
	assert.Equal(t, status.ReasonCopyingFilesystem, b.ready().Reason)
	assert.Contains(t, b.ready().Message, "Filesystem data gets a copy of PersistentVolumeClaim shared for this run: a snapshot is being taken.")

	b.next(t)
	assert.NotContains(t, b.kubevirt.volumes, claim, "the snapshot is not ready")
	snapshot.Status = &snapshotv1.VolumeSnapshotStatus{ReadyToUse: ptr.To(true), RestoreSize: ptr.To(resource.MustParse("2Gi"))}
	_, err := b.snapshots.SnapshotV1().VolumeSnapshots(testNamespace).UpdateStatus(t.Context(), snapshot, metav1.UpdateOptions{})
	require.NoError(t, err)
	b.next(t)
	made := b.kubevirt.volumes[claim]
	require.NotNil(t, made)
	assert.Equal(t, claim, made.Spec.Source.Snapshot.Name)
	assert.Equal(t, "2Gi", made.Spec.PVC.Resources.Requests.Storage().String())
	assert.Equal(t, types.UID("run-1"), made.OwnerReferences[0].UID)
	assert.Equal(t, "run-1", made.Annotations[translate.AnnotationInstance])
	assert.NotContains(t, made.Annotations, translate.AnnotationName, "nobody adopts it")

	b.next(t)
	assert.Contains(t, b.ready().Message, "it is being filled")
	require.NoError(t, b.kubernetes.Tracker().Add(&corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "full"}, Type: corev1.EventTypeWarning, Reason: "ErrExceededQuota",
		InvolvedObject: corev1.ObjectReference{Kind: "DataVolume", Name: claim, UID: made.UID}, LastTimestamp: metav1.NewTime(b.clock.Now()),
		Message: "exceeded quota: storage, requested: 2Gi, limited: 1Gi",
	}))
	b.next(t)
	assert.Contains(t, b.ready().Message, "it does not go on: DataVolume "+claim+": exceeded quota: storage, requested: 2Gi, limited: 1Gi.")
	made.Status.Phase = cdiv1.Succeeded
	b.next(t)
	list, err := b.snapshots.SnapshotV1().VolumeSnapshots(testNamespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	assert.Empty(t, list.Items, "it has served")
	b.next(t)
	assert.Empty(t, b.writes(), "nothing is left to do")

	b.kubevirt.instances[b.name].Status.Phase = kubevirtv1.Succeeded
	b.next(t)
	assert.NotContains(t, b.kubevirt.volumes, claim)
}

// The store is lost, and the VirtualServer applied again: it goes on where the one before was.
func TestACopyIsFinishedByWhoAdoptsTheMachine(t *testing.T) {
	b := newCopyBench(t, true)
	claim := b.begin("run-1")
	next := b.next(t)
	snapshot := b.snapshot(t, claim)
	snapshot.Status = &snapshotv1.VolumeSnapshotStatus{ReadyToUse: ptr.To(true)}
	_, err := b.snapshots.SnapshotV1().VolumeSnapshots(testNamespace).UpdateStatus(t.Context(), snapshot, metav1.UpdateOptions{})
	require.NoError(t, err)

	again := b.server("web").DeepCopy()
	again.UID, again.Finalizers, again.ResourceVersion = "new-uid", nil, ""
	again.Status = v1beta1.VirtualServerStatus{NamespaceUID: again.Status.NamespaceUID}
	require.NoError(t, b.servers.Tracker().Delete(v1beta1.SchemeGroupVersion.WithResource("virtualservers"), testNamespace, "web"))
	require.NoError(t, b.servers.Tracker().Add(again))
	for range 5 {
		assert.Equal(t, next, b.next(t), "no other name for the next run")
	}
	assert.Equal(t, b.name, b.server("web").Status.VM.Name)
	require.Contains(t, b.kubevirt.volumes, claim)
	assert.Equal(t, types.UID("run-1"), b.kubevirt.volumes[claim].OwnerReferences[0].UID)
	assert.Equal(t, b.name, b.server("web").Status.VM.Name, "the copy was not taken for a disk to adopt")
}

func TestAnotherRunNeverGetsTheNameOfTheLast(t *testing.T) {
	b := newCopyBench(t, true)
	names := map[string]bool{}
	for _, uid := range []types.UID{"run-1", "run-2", "run-3"} {
		claim := b.begin(uid)
		assert.False(t, names[claim], claim)
		names[claim] = true
		assert.NotEqual(t, claim, b.next(t))
	}
}

func TestACopyOfAnotherRunIsNotUsed(t *testing.T) {
	b := newCopyBench(t, true)
	claim := b.begin("run-1")
	b.next(t)
	// Somebody wrote an old name into the machine.
	foreign := &cdiv1.DataVolume{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: claim, UID: "dv",
		Annotations: map[string]string{translate.AnnotationInstance: "run-0"}}}
	foreign.Status.Phase = cdiv1.Succeeded
	b.kubevirt.volumes[claim] = foreign
	b.next(t)
	assert.NotContains(t, b.kubevirt.volumes, claim)

	b.kubevirt.volumes[claim] = foreign
	b.kubevirt.instances[b.name].Status.Phase = kubevirtv1.Running
	_, events, err := b.pass("web")
	require.NoError(t, err)
	assert.Contains(t, b.kubevirt.calls, "restart")
	assert.Contains(t, events[0], "RestartedOnFreshCopy")
}

func TestWithoutSnapshotsACopyWaitsForWriters(t *testing.T) {
	b := newCopyBench(t, false)
	claim := b.begin("run-1")
	writer := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "writer"}}
	writer.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "shared"}}}}
	writer.Spec.Containers = []corev1.Container{{VolumeMounts: []corev1.VolumeMount{{Name: "v"}}}}
	require.NoError(t, b.kubernetes.Tracker().Add(writer))
	b.next(t)
	assert.NotContains(t, b.kubevirt.volumes, claim)
	assert.Contains(t, b.ready().Message, "it waits until nobody writes to the claim. Pod writer may.")

	require.NoError(t, b.kubernetes.CoreV1().Pods(testNamespace).Delete(t.Context(), "writer", metav1.DeleteOptions{}))
	b.next(t)
	require.Contains(t, b.kubevirt.volumes, claim)
	assert.Equal(t, "shared", b.kubevirt.volumes[claim].Spec.Source.PVC.Name)
	b.kubevirt.volumes[claim].Status.RestartCount = 2
	b.next(t)
	assert.Contains(t, b.ready().Message, "the copy has failed 2 times and is tried again. CDI reads the claim as user 107")
}
