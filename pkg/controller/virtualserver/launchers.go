package virtualserver

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

// buried keeps the last launcher pod of each machine that is gone. A pod can go before anybody looks at why: it is all that
// tells a machine that was evicted from one that crashed.
type buried struct {
	mu   sync.Mutex
	pods map[cache.ObjectName]*corev1.Pod
}

// bury keeps a launcher pod that is gone, if its machine has a VirtualServer.
func (c *caches) bury(pod *corev1.Pod) {
	owner := metav1.GetControllerOf(pod)
	if owner == nil || len(c.serversOf(pod.Namespace, owner.Name)) == 0 {
		return
	}
	c.buried.mu.Lock()
	defer c.buried.mu.Unlock()
	if c.buried.pods == nil {
		c.buried.pods = map[cache.ObjectName]*corev1.Pod{}
	}
	c.buried.pods[cache.ObjectName{Namespace: pod.Namespace, Name: owner.Name}] = pod
}

// of returns the pod if it was one of the instance.
func (b *buried) of(namespace, machine string, instance types.UID) *corev1.Pod {
	b.mu.Lock()
	defer b.mu.Unlock()
	pod := b.pods[cache.ObjectName{Namespace: namespace, Name: machine}]
	if pod == nil || pod.Labels[kubevirtv1.CreatedByLabel] != string(instance) {
		return nil
	}
	return pod
}

// forget drops what is kept of a machine.
func (b *buried) forget(namespace, machine string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pods, cache.ObjectName{Namespace: namespace, Name: machine})
}

// launcherPod returns the pod of the instance: the one on its node, or else the newest, or else the one that is gone, which
// gone says. Without an instance it returns the newest pod of the machine.
func (c *caches) launcherPod(
	namespace, machine string, instance *kubevirtv1.VirtualMachineInstance,
) (found *corev1.Pod, gone bool) {
	for _, pod := range indexed[corev1.Pod](c.launchers, byOwner, namespace+"/"+machine) {
		switch {
		case instance == nil:
			found = newer(found, pod)
		case pod.Labels[kubevirtv1.CreatedByLabel] != string(instance.UID):
		case found == nil || onNode(pod, instance) == onNode(found, instance):
			found = newer(found, pod)
		case onNode(pod, instance):
			// A migration has another one.
			found = pod
		}
	}
	if found == nil && instance != nil {
		found = c.buried.of(namespace, machine, instance.UID)
		return found, found != nil
	}
	return found, false
}

func onNode(pod *corev1.Pod, instance *kubevirtv1.VirtualMachineInstance) bool {
	return instance.Status.NodeName != "" && pod.Spec.NodeName == instance.Status.NodeName
}
