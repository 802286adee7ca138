package simulation

import (
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	kubernetesfake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

// The launcher pod: made before its instance is scheduled, deleted by virt-controller after the instance was marked
// (deleteAllMatchingPods in pkg/virt-controller/watch/vmi/lifecycle.go), and by whoever evicts it.

const (
	podGrace = 45
	// shutdownTime is how long the guest of an evicted pod takes at least. It makes the order of things visible in
	// timestamps, as it is in a real cluster.
	shutdownTime = 2*time.Second + 7*time.Millisecond
)

func (k *KubeVirt) setPod(pod *corev1.Pod) {
	kind := watch.Modified
	if k.pod == nil {
		kind = watch.Added
	}
	k.stamp(pod)
	k.pod = pod
	k.podFeed.publish(kind, pod)
}

func (k *KubeVirt) dropPod() {
	if k.pod == nil {
		return
	}
	gone := k.pod.DeepCopy()
	k.stamp(gone)
	k.pod = nil
	k.podFeed.publish(watch.Deleted, gone)
}

func (k *KubeVirt) createPod() {
	vmi := k.instance
	labels := map[string]string{kubevirtv1.CreatedByLabel: string(vmi.UID)}
	for key, value := range vmi.Labels {
		labels[key] = value
	}
	k.setPod(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: vmi.Namespace, Name: "virt-launcher-" + strconv.Itoa(k.instances), Labels: labels,
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(vmi, kubevirtv1.VirtualMachineInstanceGroupVersionKind)},
	}})
}

// deletePod marks the pod. A guest that runs in it begins to shut down.
func (k *KubeVirt) deletePod(conditions ...corev1.PodCondition) {
	if k.pod == nil || k.pod.DeletionTimestamp != nil {
		return
	}
	pod := k.pod.DeepCopy()
	pod.DeletionTimestamp = ptr.To(metav1.NewTime(time.Now().Add(podGrace * time.Second)))
	pod.DeletionGracePeriodSeconds = ptr.To[int64](podGrace)
	pod.Status.Conditions = append(pod.Status.Conditions, conditions...)
	k.setPod(pod)
	if k.instance != nil && !k.instance.IsFinal() {
		k.tell("VirtualMachineInstance", "ShuttingDown", "Signaled Graceful Shutdown")
	}
}

// evict takes the pod away: by the eviction API, or by hand.
func (k *KubeVirt) evict() {
	k.killed = true
	if k.coin() {
		k.deletePod()
		return
	}
	k.deletePod(corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue,
		Reason: "EvictionByEvictionAPI", Message: "Eviction API: evicting", LastTransitionTime: metav1.Now()})
}

// tell writes an event about the instance.
func (k *KubeVirt) tell(kind, reason, message string) {
	event := corev1.Event{Reason: reason, Message: message, FirstTimestamp: metav1.Now(), LastTimestamp: metav1.Now()}
	event.InvolvedObject = corev1.ObjectReference{Kind: kind, Name: k.instance.Name, UID: k.instance.UID}
	k.events = append(k.events, event)
}

// serve lets the controller see pods and events. What it writes of events is lost.
func (k *KubeVirt) serve(kubernetes *kubernetesfake.Clientset) {
	kubernetes.PrependReactor("*", "events", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if action.GetVerb() != "list" {
			return true, &corev1.Event{}, nil
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		return true, &corev1.EventList{Items: slices.Clone(k.events)}, nil
	})
	kubernetes.PrependReactor("get", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
		k.mu.Lock()
		defer k.mu.Unlock()
		name := action.(clienttesting.GetAction).GetName()
		if k.pod == nil || k.pod.Name != name {
			return true, nil, apierrors.NewNotFound(corev1.Resource("pods"), name)
		}
		return true, k.pod.DeepCopy(), nil
	})
	kubernetes.PrependReactor("list", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
		k.mu.Lock()
		defer k.mu.Unlock()
		list := &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(k.version)}}
		restrictions := action.(clienttesting.ListAction).GetListRestrictions()
		if k.pod != nil && !forImporters(restrictions.Labels.String()) {
			list.Items = append(list.Items, *k.pod.DeepCopy())
		}
		return true, list, nil
	})
	kubernetes.PrependWatchReactor("pods", func(action clienttesting.Action) (bool, watch.Interface, error) {
		if forImporters(action.(clienttesting.WatchAction).GetWatchRestrictions().Labels.String()) {
			return true, watch.NewFake(), nil
		}
		return true, k.podFeed.watch(), nil
	})
}

func forImporters(selector string) bool {
	return strings.Contains(selector, "containerized-data-importer")
}
