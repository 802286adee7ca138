package virtualserver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/status"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// A disk that was not made for the machine is neither imported into nor changed nor deleted, whatever it is called and whatever
// labels it has.
func TestARootDiskOfSomebodyElse(t *testing.T) {
	for name, root := range map[string]v1beta1.RootDisk{
		"a claim":      {PersistentVolumeClaim: &v1beta1.RootDiskVolume{ClaimName: "boot"}},
		"an image":     {ContainerDisk: &v1beta1.ContainerDiskSource{Image: "registry.example.com/fedora:43"}},
		"over a claim": {PersistentVolumeClaim: &v1beta1.RootDiskVolume{ClaimName: "boot"}, Ephemeral: true},
	} {
		t.Run(name, func(t *testing.T) {
			vs := testServer()
			vs.Spec.Storage.Root = root
			b := newBench(t, vs)
			b.settle("web")
			vm := b.server("web").Status.VM.Name
			require.Contains(t, b.kubevirt.machines, vm, "it does not wait for an import")
			assert.Empty(t, b.kubevirt.volumes)
			imported := meta.FindStatusCondition(b.server("web").Status.Conditions, v1beta1.ConditionDataImported)
			require.NotNil(t, imported)
			assert.Equal(t, status.ReasonNotNeeded, imported.Reason)

			// A claim with the machine's own name, and even its labels, as an earlier VirtualServer may have left it.
			claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: vm, UID: "claim", Labels: translate.Labels(vs)}}
			require.NoError(t, b.kubernetes.Tracker().Add(claim))
			b.settle("web")
			gone := b.server("web")
			gone.DeletionTimestamp = ptr.To(metav1.Now())
			b.update(gone)
			for range 10 {
				_, _, err := b.pass("web")
				require.NoError(t, err)
				if current, err := b.servers.TensorstackV1beta1().VirtualServers(testNamespace).Get(t.Context(), "web", metav1.GetOptions{}); err != nil || len(current.Finalizers) == 0 {
					break
				}
			}
			assert.Empty(t, b.kubevirt.machines)
			kept, err := b.kubernetes.CoreV1().PersistentVolumeClaims(testNamespace).Get(t.Context(), vm, metav1.GetOptions{})
			require.NoError(t, err)
			assert.Equal(t, claim.Labels, kept.Labels)
			if current, err := b.servers.TensorstackV1beta1().VirtualServers(testNamespace).Get(t.Context(), "web", metav1.GetOptions{}); err == nil {
				assert.Empty(t, current.Finalizers, "nothing holds the deletion up")
			}
		})
	}
}

// Nothing tells of a scheduler that is not there, so a timer does.
func TestASchedulerThatIsNotThereIsFoundByATimer(t *testing.T) {
	vs := testServer()
	vs.Spec.Scheduler = &v1beta1.Scheduler{T9kScheduler: &v1beta1.T9kScheduler{Queue: "default"}}
	vs.Spec.Storage.Root = v1beta1.RootDisk{ContainerDisk: &v1beta1.ContainerDiskSource{Image: "registry.example.com/fedora:43"}}
	b := newBench(t, vs)
	b.settle("web")
	machine := b.server("web").Status.VM.Name
	template := b.kubevirt.machines[machine].Spec.Template
	instance := &kubevirtv1.VirtualMachineInstance{ObjectMeta: *template.ObjectMeta.DeepCopy(), Spec: template.Spec}
	instance.Namespace, instance.Name, instance.UID = testNamespace, machine, "run-1"
	instance.Status.Phase = kubevirtv1.Scheduling
	b.kubevirt.instances[machine] = instance
	clock := b.clock.(*clocktesting.FakeClock)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "virt-launcher-x", UID: "pod", CreationTimestamp: metav1.NewTime(clock.Now()),
			Labels:          map[string]string{kubevirtv1.CreatedByLabel: "run-1", translate.LabelUID: "vs-uid"},
			OwnerReferences: []metav1.OwnerReference{{Kind: kindInstance, Name: machine, UID: "run-1", Controller: ptr.To(true)}}},
		Spec: corev1.PodSpec{SchedulerName: template.Spec.SchedulerName},
	}
	require.NoError(t, b.kubernetes.Tracker().Add(pod))

	result, _, err := b.pass("web")
	require.NoError(t, err)
	assert.Equal(t, v1beta1.StatusStarting, b.server("web").Status.PrintableStatus)
	require.NotZero(t, result.again)
	require.LessOrEqual(t, result.again, 25*time.Second)
	clock.Step(result.again)
	_, _, err = b.pass("web")
	require.NoError(t, err)
	assert.Equal(t, v1beta1.StatusFailedUnschedulable, b.server("web").Status.PrintableStatus)
	assert.Contains(t, b.server("web").Status.Message, "no scheduler of that name")
	assert.Contains(t, b.server("web").Status.Message, "t9k-scheduler")
}
