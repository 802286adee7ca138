package virtualserver

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/translate"
)

// watched is a bench whose machine runs on node-a, and the queue of what its handlers ask for.
func watched(t *testing.T) (*bench, *[]cache.ObjectName) {
	t.Helper()
	b := newBench(t, testServer())
	b.settle("web")
	name := b.server("web").Status.VM.Name
	vmi := running("i")
	vmi.Namespace, vmi.Name, vmi.Status.NodeName = testNamespace, name, "node-a"
	vmi.Labels = map[string]string{translate.LabelUID: "vs-uid"}
	b.kubevirt.instances[name] = vmi
	b.fill()
	return b, &[]cache.ObjectName{}
}

func TestNodesCountOnlyWhenTheirHealthChanges(t *testing.T) {
	b, queue := watched(t)
	handler := b.caches.handleNodes(func(name cache.ObjectName) { *queue = append(*queue, name) })
	node := func(ready corev1.ConditionStatus, schedulable, heartbeat string) *corev1.Node {
		return &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{
				Name:        "node-a",
				Labels:      map[string]string{kubevirtv1.NodeSchedulable: schedulable},
				Annotations: map[string]string{kubevirtv1.VirtHandlerHeartbeat: heartbeat},
			},
			Spec:   corev1.NodeSpec{Taints: []corev1.Taint{{Key: "k"}}},
			Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}},
		}
	}
	handler.OnUpdate(node("True", "true", "1"), node("True", "true", "2"))
	assert.Empty(t, *queue, "a heartbeat is no news")
	handler.OnUpdate(node("True", "true", "2"), node("Unknown", "true", "2"))
	assert.Len(t, *queue, 1)
	handler.OnUpdate(node("Unknown", "true", "2"), node("Unknown", "false", "2"))
	assert.Len(t, *queue, 2)
	handler.OnDelete(node("Unknown", "false", "2"))
	assert.Equal(t, cache.ObjectName{Namespace: testNamespace, Name: "web"}, (*queue)[2])
	other := node("True", "true", "1")
	other.Name = "node-b"
	handler.OnDelete(other)
	assert.Len(t, *queue, 3, "no machine runs on it")
}

func TestPodsCountForWhatControlsThem(t *testing.T) {
	b, queue := watched(t)
	name := b.server("web").Status.VM.Name
	require.NoError(t, b.caches.claims.GetIndexer().Add(&corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: name, UID: "claim"},
	}))
	ownedBy := func(owner string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Namespace: testNamespace, Name: "pod",
			OwnerReferences: []metav1.OwnerReference{{Name: owner, Controller: new(true)}},
		}}
	}
	enqueue := func(object cache.ObjectName) { *queue = append(*queue, object) }
	b.caches.enqueuePodOwner(enqueue, ownedBy(name))
	b.caches.enqueuePodOwner(enqueue, ownedBy(primePrefix+"claim"))
	web := cache.ObjectName{Namespace: testNamespace, Name: "web"}
	assert.Equal(t, []cache.ObjectName{web, web}, *queue)
	b.caches.enqueuePodOwner(enqueue, ownedBy("another"))
	b.caches.enqueuePodOwner(enqueue, &corev1.Pod{})
	assert.Len(t, *queue, 2)
}

func TestImporterPodIsFoundBehindAHelperClaim(t *testing.T) {
	b, _ := watched(t)
	name := b.server("web").Status.VM.Name
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: name, UID: "claim"}}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: testNamespace, Name: "importer",
		OwnerReferences: []metav1.OwnerReference{{Name: primePrefix + "claim", Controller: new(true)}},
	}}
	require.NoError(t, b.caches.importers.GetIndexer().Add(pod))
	assert.Equal(t, pod, b.caches.importerPod(testNamespace, name, claim))
	assert.Nil(t, b.caches.importerPod(testNamespace, name, nil))
}

func TestPanicIsAnErrorOfOneVirtualServer(t *testing.T) {
	b := newBench(t, testServer())
	b.kubevirt.fail = func(string) error { panic("broken") }
	_, _, err := b.pass("web")
	require.ErrorContains(t, err, "broken")
}
