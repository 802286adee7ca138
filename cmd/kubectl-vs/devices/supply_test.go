package devices

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/translate"
)

const kind = corev1.ResourceName("example.com/L4")

func node(name string, count string, edits ...func(*corev1.Node)) corev1.Node {
	node := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if count != "" {
		node.Status.Allocatable = corev1.ResourceList{kind: resource.MustParse(count), "example.com/other": resource.MustParse("9")}
	}
	for _, edit := range edits {
		edit(&node)
	}
	return node
}

func pod(namespace, name, on string, counts ...string) corev1.Pod {
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.PodSpec{NodeName: on}}
	for _, count := range counts {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{kind: resource.MustParse(count)}},
		})
	}
	return pod
}

func machinePod(namespace, vs, on, count string) corev1.Pod {
	pod := pod(namespace, "virt-launcher-"+vs, on, count)
	pod.Labels = map[string]string{translate.LabelName: vs}
	return pod
}

func ended(pod corev1.Pod, phase corev1.PodPhase) corev1.Pod {
	pod.Status.Phase = phase
	return pod
}

func TestSupply(t *testing.T) {
	cordoned := func(node *corev1.Node) { node.Spec.Unschedulable = true }
	for name, tc := range map[string]struct {
		nodes  []corev1.Node
		pods   []corev1.Pod
		hidden bool
		wanted int64
		says   string
	}{
		"no node has any": {
			nodes: []corev1.Node{node("a", ""), node("b", "")}, wanted: 1,
			says: "1 wanted; no node has any",
		},
		"all are free, but not on one node": {
			nodes: []corev1.Node{node("b", "1"), node("a", "2")}, wanted: 3,
			says: "3 wanted; free: 2 of 2 on a, 1 of 1 on b",
		},
		"machines and pods hold them": {
			nodes: []corev1.Node{node("a", "4"), node("b", "4")}, wanted: 2,
			pods: []corev1.Pod{machinePod("team-a", "train", "a", "3"), pod("team-b", "notebook", "b", "1", "3"), pod("team-b", "web", "b")},
			says: "2 wanted; free: 1 of 4 on a, 0 of 4 on b; Pod team-b/notebook has 4, VirtualServer team-a/train has 3",
		},
		"what has ended or has no node holds none": {
			nodes: []corev1.Node{node("a", "1")}, wanted: 1,
			pods: []corev1.Pod{
				ended(pod("x", "done", "a", "1"), corev1.PodSucceeded), ended(pod("x", "failed", "a", "1"), corev1.PodFailed), pod("x", "waits", "", "1"),
			},
			says: "1 wanted; free: 1 of 1 on a",
		},
		"a cordoned node": {
			nodes: []corev1.Node{node("a", "1", cordoned)}, wanted: 1,
			says: "1 wanted; free: 1 of 1 on a (cordoned)",
		},
		"a device that failed after it was given out": {
			nodes: []corev1.Node{node("a", "0")}, pods: []corev1.Pod{machinePod("x", "vs", "a", "2")}, wanted: 1,
			says: "1 wanted; free: 0 of 0 on a; VirtualServer x/vs has 2",
		},
		"pods of other namespaces may not be seen": {
			nodes: []corev1.Node{node("a", "2")}, pods: []corev1.Pod{machinePod("x", "mine", "a", "1")}, hidden: true, wanted: 2,
			says: "2 wanted; there are 2 on a; VirtualServer x/mine has 1",
		},
		"many holders": {
			nodes: []corev1.Node{node("a", "10")}, wanted: 1,
			pods: []corev1.Pod{
				pod("x", "0", "a", "1"), pod("x", "1", "a", "1"), pod("x", "2", "a", "1"), pod("x", "3", "a", "1"), pod("x", "4", "a", "1"),
				pod("x", "5", "a", "1"), pod("x", "6", "a", "1"), pod("x", "7", "a", "1"), pod("x", "8", "a", "1"), pod("x", "9", "a", "1"),
			},
			says: "1 wanted; free: 0 of 10 on a; Pod x/0 has 1, Pod x/1 has 1, Pod x/2 has 1, Pod x/3 has 1, Pod x/4 has 1, Pod x/5 has 1, " +
				"Pod x/6 has 1, Pod x/7 has 1, 2 more",
		},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tc.says, SupplyOf(kind, tc.nodes, tc.pods, !tc.hidden).Sentence(tc.wanted))
		})
	}
}
