package virtualserver

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/status"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// evictionBench has a machine that runs on node-a under a strategy, with its pod.
type evictionBench struct {
	*bench
	name string
}

func newEvictionBench(t *testing.T, strategy v1beta1.RunStrategy) *evictionBench {
	t.Helper()
	vs := testServer()
	vs.Spec.RunStrategy, vs.Status.RunStrategy = strategy, strategy
	b := &evictionBench{bench: newBench(t, vs)}
	b.settle("web")
	b.name = b.server("web").Status.VM.Name
	b.kubevirt.volumes[b.name].Status.Phase = cdiv1.Succeeded
	machine := b.kubevirt.machines[b.name]
	machine.Status.RunStrategy = kubevirtv1.VirtualMachineRunStrategy(strategy)
	require.NoError(t, b.kubernetes.Tracker().Add(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-a"}}))
	b.run("first", kubevirtv1.Running)
	b.setPod("first", func(*corev1.Pod) {})
	b.settle("web")
	require.Equal(t, types.UID("first"), b.server("web").Status.VM.InstanceUID)
	return b
}

func (b *evictionBench) run(uid types.UID, phase kubevirtv1.VirtualMachineInstancePhase) *kubevirtv1.VirtualMachineInstance {
	vmi := instance(uid, phase)
	vmi.Namespace, vmi.Name, vmi.Labels = testNamespace, b.name, map[string]string{translate.LabelUID: "vs-uid"}
	vmi.Status.NodeName = "node-a"
	b.kubevirt.instances[b.name] = vmi
	return vmi
}

func (b *evictionBench) setPod(uid types.UID, change func(*corev1.Pod)) *corev1.Pod {
	b.t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: testNamespace, Name: "virt-launcher-" + string(uid), UID: uid,
		Labels: map[string]string{kubevirtv1.CreatedByLabel: string(uid), translate.LabelUID: "vs-uid"},
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: "kubevirt.io/v1", Kind: "VirtualMachineInstance", Name: b.name, UID: uid, Controller: ptr.To(true)}},
	}, Spec: corev1.PodSpec{NodeName: "node-a"}}
	change(pod)
	pods := b.kubernetes.CoreV1().Pods(testNamespace)
	_ = pods.Delete(b.t.Context(), pod.Name, metav1.DeleteOptions{})
	require.NoError(b.t, b.kubernetes.Tracker().Add(pod))
	return pod
}

func (b *evictionBench) deletePod() {
	b.setPod("first", func(pod *corev1.Pod) {
		pod.DeletionTimestamp = ptr.To(metav1.NewTime(b.clock.Now().Add(45 * time.Second)))
		pod.DeletionGracePeriodSeconds = ptr.To[int64](45)
		pod.Finalizers = []string{"kept"}
	})
}

func (b *evictionBench) removeNode() {
	b.t.Helper()
	require.NoError(b.t, b.kubernetes.CoreV1().Nodes().Delete(b.t.Context(), "node-a", metav1.DeleteOptions{}))
}

func (b *evictionBench) removePod() {
	b.t.Helper()
	require.NoError(b.t, b.kubernetes.CoreV1().Pods(testNamespace).Delete(b.t.Context(), "virt-launcher-first", metav1.DeleteOptions{}))
}

// An evicted machine ends in several ways. Under RerunOnFailure it is started again once, whatever is left to be seen.
func TestEvictedMachineStartsAgain(t *testing.T) {
	for what, evict := range map[string]func(b *evictionBench){
		"seen at every step": func(b *evictionBench) {
			b.deletePod()
			b.settle("web")
			b.run("first", kubevirtv1.Succeeded)
		},
		"seen at the end": func(b *evictionBench) {
			b.deletePod()
			b.run("first", kubevirtv1.Succeeded)
		},
		"instance gone before the end was seen": func(b *evictionBench) {
			b.deletePod()
			b.settle("web")
			delete(b.kubevirt.instances, b.name)
			b.removePod()
		},
		"pod removed by force": func(b *evictionBench) {
			b.fill()
			b.caches.bury(b.caches.must("virt-launcher-first"))
			b.removePod()
			b.run("first", kubevirtv1.Failed)
			b.settle("web")
			delete(b.kubevirt.instances, b.name)
		},
		"no controller was there, and the node is gone": func(b *evictionBench) {
			delete(b.kubevirt.instances, b.name)
			b.removePod()
			b.removeNode()
		},
		"the node goes before the end was seen": func(b *evictionBench) {
			b.deletePod()
			b.settle("web")
			b.run("first", kubevirtv1.Succeeded)
			b.removeNode()
		},
	} {
		t.Run(what, func(t *testing.T) {
			b := newEvictionBench(t, v1beta1.RunStrategyRerunOnFailure)
			evict(b)
			_, events, err := b.pass("web")
			require.NoError(t, err)
			vs := b.server("web")
			require.NotNil(t, vs.Status.LastFailure)
			assert.Equal(t, status.ReasonEvicted, vs.Status.LastFailure.Reason)
			if what != "pod removed by force" {
				assert.Contains(t, strings.Join(events, "\n"), "Evicted")
				require.NotNil(t, vs.Status.PendingOperation)
			}
			delete(b.kubevirt.instances, b.name)
			started := 0
			for range 3 {
				_, _, err = b.pass("web")
				require.NoError(t, err)
				for _, call := range b.kubevirt.calls {
					if call == "start" {
						started++
						b.kubevirt.machines[b.name].Status.StateChangeRequests = []kubevirtv1.VirtualMachineStateChangeRequest{{Action: kubevirtv1.StartRequest}}
					}
				}
			}
			assert.Equal(t, 1, started)
			b.kubevirt.machines[b.name].Status.StateChangeRequests = nil
			b.run("second", kubevirtv1.Running).Status.NodeName = ""
			b.settle("web")
			vs = b.server("web")
			assert.Nil(t, vs.Status.PendingOperation)
			assert.Equal(t, v1beta1.StatusRunning, vs.Status.PrintableStatus)
			require.Len(t, vs.Status.Operations, 2)
			assert.Equal(t, v1beta1.OperationStart, vs.Status.Operations[0].Type)
			assert.Equal(t, v1beta1.OperationEvict, vs.Status.Operations[1].Type)
		})
	}
}

func TestEvictionUnderOtherStrategiesIsOnlyNoted(t *testing.T) {
	for _, strategy := range []v1beta1.RunStrategy{v1beta1.RunStrategyAlways, v1beta1.RunStrategyManual} {
		b := newEvictionBench(t, strategy)
		b.deletePod()
		b.settle("web")
		b.run("first", kubevirtv1.Succeeded)
		b.settle("web")
		vs := b.server("web")
		assert.Equal(t, status.ReasonEvicted, vs.Status.LastFailure.Reason)
		assert.Nil(t, vs.Status.PendingOperation)
		require.Len(t, vs.Status.Operations, 1)
		assert.Equal(t, v1beta1.OperationEvict, vs.Status.Operations[0].Type)
	}
}

// The cache of pods is ahead of that of the machine, which somebody stops by KubeVirt's own means.
func TestEvictionIsConfirmed(t *testing.T) {
	b := newEvictionBench(t, v1beta1.RunStrategyRerunOnFailure)
	b.deletePod()
	b.fill()
	stopped := b.kubevirt.machines[b.name].DeepCopy()
	stopped.Status.StateChangeRequests = []kubevirtv1.VirtualMachineStateChangeRequest{
		{Action: kubevirtv1.StopRequest, UID: ptr.To(types.UID("first"))}}
	b.kubevirt.machines[b.name] = stopped
	_, err := b.reconcile(t.Context(), cache.ObjectName{Namespace: testNamespace, Name: "web"})
	require.NoError(t, err)
	failed := meta.FindStatusCondition(b.server("web").Status.Conditions, v1beta1.ConditionFailure)
	assert.Equal(t, status.ReasonNoFailure, failed.Reason)
	assert.Empty(t, b.server("web").Status.Operations)
}

func TestPausedMachineGoesOnToShutDown(t *testing.T) {
	b := newEvictionBench(t, v1beta1.RunStrategyAlways)
	vmi := b.run("first", kubevirtv1.Running)
	vmi.Status.Conditions = []kubevirtv1.VirtualMachineInstanceCondition{
		{Type: kubevirtv1.VirtualMachineInstancePaused, Status: corev1.ConditionTrue, Reason: "PausedByUser"}}
	b.settle("web")
	assert.NotContains(t, b.kubevirt.calls, "unpause")
	deleting(vmi)
	_, events, err := b.pass("web")
	require.NoError(t, err)
	assert.Contains(t, b.kubevirt.calls, "unpause")
	assert.Contains(t, strings.Join(events, "\n"), "UnpausedToStop")

	for _, answer := range []error{
		apierrors.NewConflict(kubevirtv1.Resource("virtualmachineinstances"), b.name, errors.New("VMI is not paused")),
		apierrors.NewNotFound(kubevirtv1.Resource("virtualmachineinstances"), b.name),
		apierrors.NewInternalError(errors.New("virt-handler does not answer")),
		apierrors.NewForbidden(kubevirtv1.Resource("virtualmachineinstances"), b.name, errors.New("no right")),
		errors.New("broken connection"),
	} {
		b.kubevirt.fail = func(call string) error { return map[string]error{"unpause": answer}[call] }
		_, _, err = b.pass("web")
		require.NoError(t, err, "it never stands in the way")
		assert.Equal(t, v1beta1.StatusStopping, b.server("web").Status.PrintableStatus)
	}
}

// must returns a launcher pod from the cache.
func (c *caches) must(name string) *corev1.Pod {
	return lookup[corev1.Pod](c.launchers, testNamespace, name)
}
