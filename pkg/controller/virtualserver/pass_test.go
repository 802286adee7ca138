package virtualserver

import (
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/naming"
	"tensorstack.dev/virtualserver/pkg/translate"
)

func testServer() *v1beta1.VirtualServer {
	vs := &v1beta1.VirtualServer{
		ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "web", UID: "vs-uid", ResourceVersion: "1", Generation: 1},
		Spec: v1beta1.VirtualServerSpec{
			Resources: v1beta1.Resources{
				CPU: v1beta1.CPU{Cores: intstr.FromInt32(1)}, Memory: resource.MustParse("1Gi"),
			},
			Storage: v1beta1.Storage{Root: v1beta1.RootDisk{
				PVC:    v1beta1.RootDiskClaim{Size: resource.MustParse("4Gi")},
				Source: cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{URL: "http://images/a"}},
			}},
			Network:   v1beta1.Network{TCP: []int32{80}},
			CloudInit: "#cloud-config\npassword: secret",
		},
		Status: v1beta1.VirtualServerStatus{NamespaceUID: testNamespaceUID, RunStrategy: always},
	}
	v1beta1.SetDefaults_VirtualServerSpec(&vs.Spec)
	v1beta1.SetDefaults_Network(&vs.Spec.Network)
	v1beta1.SetDefaults_RootDisk(&vs.Spec.Storage.Root)
	return vs
}

// settle runs passes until nothing is written.
func (b *bench) settle(name string) {
	b.t.Helper()
	for range 10 {
		_, _, err := b.pass(name)
		require.NoError(b.t, err)
		if len(b.writes()) == 0 {
			return
		}
	}
	require.Fail(b.t, "it never comes to rest", "writes: %v", b.writes())
}

func TestOnePassMakesEverythingAndTheNextWritesNothing(t *testing.T) {
	b := newBench(t, testServer())

	_, events, err := b.pass("web")
	require.NoError(t, err)
	assert.Equal(t, []string{
		"create DataVolume", "create VirtualMachine", "create secrets", "create services",
		"patch virtualservers ", "update virtualservers status", "update virtualservers status",
	}, b.writes())
	vs := b.server("web")
	name := naming.VMName("web", "vs-uid", 0)
	assert.Equal(t, name, vs.Status.VM.Name)
	assert.Equal(t, []string{finalizer}, vs.Finalizers)
	require.Contains(t, b.kubevirt.machines, name)
	assert.Equal(t, "vs-uid", b.kubevirt.machines[name].Labels[translate.LabelUID])
	assert.Equal(t, kubevirtv1.RunStrategyAlways, ptr.Deref(b.kubevirt.machines[name].Spec.RunStrategy, ""))
	assert.NotContains(t, strings.Join(events, "\n"), "password", "no user data in events")
	assert.Contains(t, strings.Join(events, "\n"), "CreatedVirtualMachine")

	_, events, err = b.pass("web")
	require.NoError(t, err)
	assert.Empty(t, b.writes(), "steady state")
	assert.Empty(t, events)
}

func TestNameIsRecordedBeforeAnythingIsCreated(t *testing.T) {
	b := newBench(t, testServer())
	killed := errors.New("killed")
	b.kubevirt.fail = func(string) error { return killed }

	_, _, err := b.pass("web")
	require.ErrorIs(t, err, killed)
	assert.Equal(t, naming.VMName("web", "vs-uid", 0), b.server("web").Status.VM.Name)
	assert.NotContains(t, b.kubevirt.calls, "create VirtualMachine", "it waits for its disk")
}

func TestEphemeralRootHoldsTheMachine(t *testing.T) {
	vs := testServer()
	vs.Spec.Storage.Root.Ephemeral = true
	b := newBench(t, vs)
	b.settle("web")
	assert.Empty(t, b.kubevirt.machines)

	for _, dv := range b.kubevirt.volumes {
		dv.Status.Phase = cdiv1.Succeeded
	}
	b.settle("web")
	assert.Len(t, b.kubevirt.machines, 1)
}

func TestTakenNameIsHashedAgain(t *testing.T) {
	theirs := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: testNamespace, Name: naming.VMName("web", "vs-uid", 0),
	}}
	b := newBench(t, testServer(), theirs)
	b.settle("web")

	vs := b.server("web")
	assert.Equal(t, int32(1), vs.Status.VM.CollisionCount)
	assert.Equal(t, naming.VMName("web", "vs-uid", 1), vs.Status.VM.Name)
	assert.Len(t, b.kubevirt.machines, 1)
	assert.Contains(t, b.kubevirt.machines, vs.Status.VM.Name)
	assert.Len(t, b.kubevirt.volumes, 1, "what was made under the taken name is gone")
	kept, err := b.kubernetes.CoreV1().Secrets(testNamespace).Get(t.Context(), theirs.Name, metav1.GetOptions{})
	require.NoError(t, err, "their Secret is untouched")
	assert.Empty(t, kept.Data)
}

func TestDeletionEndsWithNothingLeft(t *testing.T) {
	b := newBench(t, testServer())
	b.settle("web")
	vs := b.server("web")
	vs.DeletionTimestamp = ptr.To(metav1.Now())
	b.update(vs)

	for range 10 {
		_, _, err := b.pass("web")
		if b.server("web").Finalizers == nil {
			break
		}
		require.NoError(t, err)
	}
	assert.Empty(t, b.server("web").Finalizers)
	assert.Empty(t, b.kubevirt.machines)
	assert.Empty(t, b.kubevirt.volumes)
	b.fill()
	assert.Empty(t, b.caches.secrets.GetStore().List())
	assert.Empty(t, b.caches.services.GetStore().List())
}

func TestAnotherVirtualServerOfTheNameAdoptsTheMachine(t *testing.T) {
	b := newBench(t, testServer())
	b.settle("web")
	name := b.server("web").Status.VM.Name
	b.kubevirt.machines[name].Spec.RunStrategy = ptr.To(kubevirtv1.RunStrategyHalted)
	b.kubevirt.machines[name].Annotations[translate.AnnotationAppliedRunStrategy] = string(halted)
	b.kubevirt.machines[name].Annotations[annotationAppliedVersion] = "1000"

	again := testServer()
	again.UID = "new-uid"
	require.NoError(t, b.servers.Tracker().Delete(v1beta1.SchemeGroupVersion.WithResource("virtualservers"), testNamespace, "web"))
	require.NoError(t, b.servers.Tracker().Add(again))
	_, events, err := b.pass("web")
	require.NoError(t, err)
	assert.Contains(t, strings.Join(events, "\n"), "Adopted")
	b.settle("web")

	vs := b.server("web")
	assert.Equal(t, name, vs.Status.VM.Name)
	assert.Equal(t, halted, vs.Status.RunStrategy, "nothing is started")
	assert.Len(t, b.kubevirt.machines, 1)
	assert.Equal(t, "new-uid", b.kubevirt.machines[name].Labels[translate.LabelUID])
	assert.Equal(t, "new-uid", b.kubevirt.volumes[name].Labels[translate.LabelUID])
}

// A pod keeps the labels that its machine had at its start, so the Service must select by one that no adoption changes.
func TestTheServiceReachesAMachineThatWasAdoptedWhileItRan(t *testing.T) {
	first := testServer()
	first.Spec.Network.TCP = []int32{22}
	b := newBench(t, first)
	b.settle("web")
	name := b.server("web").Status.VM.Name
	pod := maps.Clone(b.kubevirt.machines[name].Spec.Template.ObjectMeta.Labels)
	reaches := func() bool {
		service, err := b.kubernetes.CoreV1().Services(testNamespace).Get(t.Context(), name, metav1.GetOptions{})
		require.NoError(t, err)
		require.NotEmpty(t, service.Spec.Selector)
		return labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(pod))
	}
	assert.True(t, reaches())

	again := first.DeepCopy()
	again.UID, again.Status = "new-uid", v1beta1.VirtualServerStatus{NamespaceUID: first.Status.NamespaceUID}
	again.Labels = map[string]string{"team": "blue"}
	again.Spec.Network.TCP = []int32{22, 80}
	require.NoError(t, b.servers.Tracker().Delete(v1beta1.SchemeGroupVersion.WithResource("virtualservers"), testNamespace, "web"))
	require.NoError(t, b.servers.Tracker().Add(again))
	b.settle("web")
	assert.Equal(t, name, b.server("web").Status.VM.Name)
	assert.NotEqual(t, pod, b.kubevirt.machines[name].Spec.Template.ObjectMeta.Labels, "the next pod has other labels")
	assert.True(t, reaches(), "the pod that runs still has the old ones")
}

func TestOperationOfAnOlderStoreIsNotCarriedOut(t *testing.T) {
	vs := testServer()
	vs.Spec.RunStrategy, vs.Status.RunStrategy = manual, manual
	b := newBench(t, vs)
	b.settle("web")
	vs = b.server("web")
	b.kubevirt.machines[vs.Status.VM.Name].Annotations[annotationAppliedVersion] = "1000"
	vs.Status.PendingOperation = &v1beta1.Operation{
		ID: "op", Type: v1beta1.OperationStart, FromRunStrategy: manual, ToRunStrategy: manual,
	}
	b.updateStatus(vs)

	_, _, err := b.pass("web")
	require.NoError(t, err)
	assert.NotContains(t, b.writes(), "start")
	require.Len(t, b.server("web").Status.Operations, 1)
	assert.Equal(t, v1beta1.OperationFailed, b.server("web").Status.Operations[0].Result)
	b.settle("web")
}

// KubeVirt would turn Halted into Always for a start that it holds.
func TestQueuedStartIsTakenBackBeforeTheMachineIsHalted(t *testing.T) {
	vs := testServer()
	vs.Spec.RunStrategy, vs.Status.RunStrategy = manual, manual
	b := newBench(t, vs)
	b.settle("web")
	vs = b.server("web")
	vs.Spec.RunStrategy, vs.Status.RunStrategy = halted, halted
	b.update(vs)
	name := vs.Status.VM.Name
	b.kubevirt.machines[name].Status.StateChangeRequests = []kubevirtv1.VirtualMachineStateChangeRequest{startRequest}

	_, _, err := b.pass("web")
	require.NoError(t, err)
	assert.Contains(t, b.writes(), "cancel")
	assert.Equal(t, kubevirtv1.RunStrategyManual, ptr.Deref(b.kubevirt.machines[name].Spec.RunStrategy, ""))

	b.kubevirt.machines[name].Status.StateChangeRequests = nil
	b.settle("web")
	assert.Equal(t, kubevirtv1.RunStrategyHalted, ptr.Deref(b.kubevirt.machines[name].Spec.RunStrategy, ""))
}

// Another change of the queue came first. That is no problem of the machine's.
func TestLostRaceIsTriedAgain(t *testing.T) {
	queueChanged := apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", "the test failed", 0, false)
	for name, test := range map[string]struct {
		queue  []kubevirtv1.VirtualMachineStateChangeRequest
		answer error
	}{
		"when a request is taken back": {[]kubevirtv1.VirtualMachineStateChangeRequest{pausedStart}, queueChanged},
		"when a start is asked for":    {nil, apierrors.NewInternalError(queueChanged)},
	} {
		t.Run(name, func(t *testing.T) {
			vs := testServer()
			vs.Spec.RunStrategy, vs.Status.RunStrategy = manual, manual
			b := newBench(t, vs)
			b.settle("web")
			vs = b.server("web")
			vs.Status.PendingOperation = &v1beta1.Operation{Type: v1beta1.OperationStart, FromRunStrategy: manual, ToRunStrategy: manual}
			b.updateStatus(vs)
			b.kubevirt.machines[vs.Status.VM.Name].Status.StateChangeRequests = test.queue
			b.kubevirt.fail = func(call string) error {
				if call == "start" || call == "cancel" {
					return test.answer
				}
				return nil
			}

			result, _, err := b.pass("web")
			require.NoError(t, err)
			assert.True(t, result.retry)
			assert.NotNil(t, b.server("web").Status.PendingOperation)
			assert.True(t, meta.IsStatusConditionTrue(b.server("web").Status.Conditions, v1beta1.ConditionReconciled))
		})
	}
}
