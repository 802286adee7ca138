package app

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// claimOf is the claim of the machine's disk in a phase, of a StorageClass.
func claimOf(phase corev1.PersistentVolumeClaimPhase, class string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "managed-virtualserver-9dda9"},
		Spec:       corev1.PersistentVolumeClaimSpec{StorageClassName: &class},
		Status:     corev1.PersistentVolumeClaimStatus{Phase: phase},
	}
}

func launcher(name string, created int, edit func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name, CreationTimestamp: at(created),
		Labels: map[string]string{"kubevirt.io": "virt-launcher", machineLabel: "managed-virtualserver-9dda9"}}}
	edit(pod)
	return pod
}

func warning(kind, name, message string, second int) *corev1.Event {
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: "team", Name: name + message[:4] + at(second).Format("05")},
		InvolvedObject: corev1.ObjectReference{Kind: kind, Name: name}, Type: corev1.EventTypeWarning, Message: message, LastTimestamp: at(second),
	}
}

func condition(kind string, status metav1.ConditionStatus, reason, message string) func(*v1beta1.VirtualServer) {
	return func(vs *v1beta1.VirtualServer) {
		vs.Status.Conditions = append(vs.Status.Conditions, metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message})
	}
}

// Each chain leads from the machine down to the object that blocks it, and ends in what to do.
func TestWhy(t *testing.T) {
	const claim = "managed-virtualserver-9dda9"
	for name, test := range map[string]struct {
		server *v1beta1.VirtualServer
		world  []runtime.Object
		chain  []string
		hint   string
	}{
		"it runs": {
			server: machine(), chain: []string{"VirtualServer my-vs: Running"},
		},
		"a GPU that others hold": {
			server: machine(is(v1beta1.StatusFailedUnschedulable, "no node"), func(vs *v1beta1.VirtualServer) {
				vs.Spec.Resources.GPU = &v1beta1.GPU{Type: "example.com/L4", Count: 2}
			}),
			world: []runtime.Object{
				&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-a"}, Status: corev1.NodeStatus{
					Allocatable: corev1.ResourceList{"example.com/L4": resource.MustParse("2")},
				}},
				&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "elsewhere", Name: "notebook"}, Spec: corev1.PodSpec{
					NodeName: "node-a",
					Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{
						Requests: corev1.ResourceList{"example.com/L4": resource.MustParse("1")},
					}}},
				}},
			},
			chain: []string{
				"VirtualServer my-vs: FailedUnschedulable: no node",
				"GPU example.com/L4: 2 wanted; free: 1 of 2 on node-a; Pod elsewhere/notebook has 1",
			},
			hint: "ask for fewer resources, or ask an administrator what the nodes offer.",
		},
		"not seen yet": {
			server: machine(is("", ""), func(vs *v1beta1.VirtualServer) { vs.Status.VM.Name = "" }),
			chain:  []string{"VirtualServer my-vs: not seen by the controller yet"},
		},
		"a StorageClass that does not exist": {
			server: machine(is(v1beta1.StatusProvisioning, "the disk waits"), condition(v1beta1.ConditionDataImported, metav1.ConditionFalse, "Pending", "no volume")),
			world: []runtime.Object{
				claimOf(corev1.ClaimPending, "fast"),
				warning("PersistentVolumeClaim", claim, "old words", 1),
				warning("PersistentVolumeClaim", claim, `storageclass "fast" not found`, 2),
				warning("Pod", claim, "about another kind", 3),
			},
			chain: []string{
				"VirtualServer my-vs: Provisioning: the disk waits",
				"Condition DataImported: Pending, no volume",
				"PersistentVolumeClaim " + claim + `: storageclass "fast" not found`,
				"StorageClass fast: does not exist",
			},
			hint: "storageClassName",
		},
		"a StorageClass that the user may not look for": {
			server: machine(is(v1beta1.StatusProvisioning, ""), condition(v1beta1.ConditionDataImported, metav1.ConditionFalse, "StorageClassNotFound", "no fast")),
			chain:  []string{"VirtualServer my-vs: Provisioning", "Condition DataImported: StorageClassNotFound, no fast"},
			hint:   "storageClassName",
		},
		"a volume that takes its time": {
			server: machine(is(v1beta1.StatusProvisioning, "")),
			world:  []runtime.Object{claimOf(corev1.ClaimPending, "slow"), &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "slow"}}},
			chain:  []string{"VirtualServer my-vs: Provisioning", "PersistentVolumeClaim " + claim + ": Pending"},
		},
		"an import that fails": {
			server: machine(is(v1beta1.StatusProvisioning, "import fails"), func(vs *v1beta1.VirtualServer) {
				vs.Status.Import = &v1beta1.ImportStatus{LastError: "404"}
			}, condition(v1beta1.ConditionDataImported, metav1.ConditionFalse, "ImportFailed", "404 Not Found")),
			world: []runtime.Object{claimOf(corev1.ClaimBound, "fast")},
			chain: []string{"VirtualServer my-vs: Provisioning: import fails", "Condition DataImported: ImportFailed, 404 Not Found"},
			hint:  "spec.storage.root.source",
		},
		"no node is large enough": {
			server: machine(is(v1beta1.StatusFailedUnschedulable, "0/2 nodes"), func(vs *v1beta1.VirtualServer) { vs.Status.Node = "" }),
			world: []runtime.Object{
				launcher("virt-launcher-a", 9, func(pod *corev1.Pod) {
					pod.Status.Phase = corev1.PodPending
					pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "Insufficient memory"}}
				}),
				launcher("virt-launcher-b", 1, func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodSucceeded }),
			},
			chain: []string{"VirtualServer my-vs: FailedUnschedulable: 0/2 nodes", "Pod virt-launcher-a: Unschedulable, Insufficient memory"},
			hint:  "fewer resources",
		},
		"a volume that cannot be mounted": {
			server: machine(is(v1beta1.StatusStarting, "")),
			world: []runtime.Object{
				launcher("virt-launcher-a", 1, func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodPending }),
				warning("Pod", "virt-launcher-a", "FailedMount: no such device", 4),
			},
			chain: []string{"VirtualServer my-vs: Starting", "Pod virt-launcher-a: Pending, FailedMount: no such device"},
		},
		"a silent node": {
			server: machine(is(v1beta1.StatusUnknown, "node node-a is silent")),
			world: []runtime.Object{
				launcher("virt-launcher-a", 1, func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodRunning }),
				&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-a"}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
					{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, Message: "kubelet stopped posting"}}}},
			},
			chain: []string{"VirtualServer my-vs: Unknown: node node-a is silent", "Pod virt-launcher-a: Running", "Node node-a: not ready, kubelet stopped posting"},
			hint:  "down for good",
		},
		"it crashes": {
			server: machine(is(v1beta1.StatusCrashLoopBackOff, ""), condition(v1beta1.ConditionFailure, metav1.ConditionTrue, "GuestCrashed", "panic")),
			chain:  []string{"VirtualServer my-vs: CrashLoopBackOff", "Condition Failure: GuestCrashed, panic"},
			hint:   "kubectl vs console my-vs",
		},
		"an operation is pending": {
			server: machine(is(v1beta1.StatusStopping, ""), func(vs *v1beta1.VirtualServer) {
				vs.Status.PendingOperation = &v1beta1.Operation{Type: v1beta1.OperationStop, RequestedBy: "ann", Message: "the guest shuts down"}
			}),
			chain: []string{"VirtualServer my-vs: Stopping", "Operation Stop by ann: pending. the guest shuts down"},
		},
		"it stops, and its pod still runs": {
			server: machine(is(v1beta1.StatusStopping, "")),
			world:  []runtime.Object{launcher("virt-launcher-a", 1, func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodRunning })},
			chain:  []string{"VirtualServer my-vs: Stopping"},
		},
		"paused in a pod that runs": {
			server: machine(is(v1beta1.StatusPaused, "")),
			world:  []runtime.Object{launcher("virt-launcher-a", 1, func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodRunning })},
			chain:  []string{"VirtualServer my-vs: Paused"}, hint: "kubectl vs unpause my-vs",
		},
		"stopped, with a disk that the first start imports": {
			server: machine(is(v1beta1.StatusStopped, ""), condition(v1beta1.ConditionDataImported, metav1.ConditionFalse, "WaitForFirstConsumer", "no node")),
			world:  []runtime.Object{claimOf(corev1.ClaimPending, "local"), &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "local"}}},
			chain:  []string{"VirtualServer my-vs: Stopped"}, hint: "kubectl vs start my-vs",
		},
		"paused":  {server: machine(is(v1beta1.StatusPaused, "")), chain: []string{"VirtualServer my-vs: Paused"}, hint: "kubectl vs unpause my-vs"},
		"stopped": {server: machine(is(v1beta1.StatusStopped, "")), chain: []string{"VirtualServer my-vs: Stopped"}, hint: "kubectl vs start my-vs"},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := gather(t.Context(), fake.NewClientset(test.world...), test.server)
			require.NoError(t, err)
			var chain []string
			for _, link := range explain(found, at(59).Time) {
				chain = append(chain, link.object+": "+link.says)
			}
			assert.Equal(t, test.chain, chain)
			if test.hint == "" {
				assert.Empty(t, aSession(t).hint(found))
			}
			assert.Contains(t, aSession(t).hint(found), test.hint)
			assert.Empty(t, found.hidden)
		})
	}
}

// Whoever may see the nodes and the pods of his own namespace only is told that much.
func TestWhyOfAGPUWithoutARightToOtherNamespaces(t *testing.T) {
	vs := machine(is(v1beta1.StatusFailedUnschedulable, ""), func(vs *v1beta1.VirtualServer) {
		vs.Spec.Resources.GPU = &v1beta1.GPU{Type: "example.com/L4", Count: 1}
	})
	client := fake.NewClientset(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-a"}, Status: corev1.NodeStatus{
		Allocatable: corev1.ResourceList{"example.com/L4": resource.MustParse("2")},
	}})
	client.PrependReactor("list", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if action.GetNamespace() != "" {
			return false, nil, nil
		}
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", nil)
	})
	found, err := gather(t.Context(), client, vs)
	require.NoError(t, err)
	assert.Equal(t, []string{"Pods of other namespaces"}, found.hidden)
	assert.Equal(t, link{"GPU example.com/L4", "1 wanted; there are 2 on node-a"}, explain(found, at(59).Time)[1])
}

func TestWhySaysWhatTheUserMayNotSee(t *testing.T) {
	client := fake.NewClientset()
	client.PrependReactor("*", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		resource := action.GetResource()
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: resource.Resource}, "", nil)
	})
	found, err := gather(t.Context(), client, machine())
	require.NoError(t, err)
	assert.Equal(t, "PersistentVolumeClaims, Pods, Nodes, Events", strings.Join(found.hidden, ", "))
	assert.Len(t, explain(found, at(59).Time), 1)
}
