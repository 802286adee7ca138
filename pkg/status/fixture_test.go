package status

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/translate"
)

const (
	name     = "managed-virtualserver-9dda9"
	firstUID = types.UID("11111111-0000-0000-0000-000000000000")
	nextUID  = types.UID("22222222-0000-0000-0000-000000000000")
)

// epoch is the time of the first observation in every test.
var epoch = time.Date(2024, 3, 21, 8, 26, 59, 0, time.UTC)

func at(seconds int) metav1.Time {
	return metav1.NewTime(epoch.Add(time.Duration(seconds) * time.Second))
}

// scene is an Observed that a test changes step by step; each derivation is fed to the next.
type scene struct {
	t *testing.T
	Observed
}

// newScene has a VirtualServer with an imported disk, a VirtualMachine and no instance.
func newScene(t *testing.T, strategy v1beta1.RunStrategy) *scene {
	t.Helper()
	vs := &v1beta1.VirtualServer{
		ObjectMeta: metav1.ObjectMeta{Name: "vs-example", Namespace: "default", UID: "vs-uid", Generation: 3},
		Spec: v1beta1.VirtualServerSpec{
			RunStrategy: strategy,
			Resources:   v1beta1.Resources{CPU: v1beta1.CPU{Cores: intstr.FromInt32(1)}, Memory: resource.MustParse("1Gi")},
			CloudInit:   "#cloud-config\npassword: hunter2\n",
		},
		Status: v1beta1.VirtualServerStatus{
			RunStrategy: strategy,
			VM:          v1beta1.VirtualMachineReference{Name: name, CollisionCount: 1},
		},
	}
	s := &scene{t: t, Observed: Observed{VirtualServer: vs, Now: epoch}}
	s.desire()
	s.VirtualMachine = s.Desired.DeepCopy()
	s.VirtualMachine.Status.PrintableStatus = kubevirtv1.VirtualMachineStatusStopped
	s.importing(cdiv1.Succeeded, "100.0%", 0)
	return s
}

// desire translates the spec anew.
func (s *scene) desire() {
	s.t.Helper()
	vm, err := translate.VirtualMachine(s.VirtualServer, translate.Options{RunStrategy: s.VirtualServer.Status.RunStrategy})
	require.NoError(s.t, err)
	s.Desired = vm
}

func (s *scene) importing(phase cdiv1.DataVolumePhase, progress string, restarts int32, conditions ...cdiv1.DataVolumeCondition) {
	s.DataVolume = &cdiv1.DataVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Status: cdiv1.DataVolumeStatus{
			Phase: phase, Progress: cdiv1.DataVolumeProgress(progress), RestartCount: restarts, Conditions: conditions},
	}
}

func running(status corev1.ConditionStatus, reason, message string) cdiv1.DataVolumeCondition {
	return cdiv1.DataVolumeCondition{Type: cdiv1.DataVolumeRunning, Status: status, Reason: reason, Message: message}
}

// instance gives the machine an instance in the phase, with every phase before it in its history.
func (s *scene) instance(uid types.UID, phase kubevirtv1.VirtualMachineInstancePhase) *kubevirtv1.VirtualMachineInstance {
	template := s.VirtualMachine.Spec.Template.DeepCopy()
	vmi := &kubevirtv1.VirtualMachineInstance{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	vmi.Name, vmi.UID = name, uid
	for i, reached := range []kubevirtv1.VirtualMachineInstancePhase{
		kubevirtv1.Pending, kubevirtv1.Scheduling, kubevirtv1.Scheduled, kubevirtv1.Running} {
		reach(vmi, reached, i)
		if reached == phase {
			break
		}
	}
	final := phase == kubevirtv1.Succeeded || phase == kubevirtv1.Failed
	if phase == kubevirtv1.Scheduled || phase == kubevirtv1.Running || final {
		vmi.Status.NodeName = "node-a"
		s.node(corev1.ConditionTrue)
	}
	if final {
		reach(vmi, phase, 60)
	}
	vmi.Status.Phase = phase
	s.Instance = vmi
	s.LauncherPod = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: "virt-launcher-x", Labels: map[string]string{kubevirtv1.CreatedByLabel: string(uid)}}}
	s.VirtualMachine.Status.RunStrategy = ptr.Deref(s.VirtualMachine.Spec.RunStrategy, "")
	return vmi
}

func reach(vmi *kubevirtv1.VirtualMachineInstance, phase kubevirtv1.VirtualMachineInstancePhase, second int) {
	vmi.Status.Phase = phase
	vmi.Status.PhaseTransitionTimestamps = append(vmi.Status.PhaseTransitionTimestamps,
		kubevirtv1.VirtualMachineInstancePhaseTransitionTimestamp{Phase: phase, PhaseTransitionTimestamp: at(second)})
}

func (s *scene) gone() { s.Instance, s.LauncherPod = nil, nil }

func (s *scene) node(ready corev1.ConditionStatus) {
	s.Node = &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "node-a"},
		Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeReady, Status: ready, LastTransitionTime: at(10), Message: "Kubelet stopped posting node status."}}},
	}
}

func (s *scene) vmiCondition(kind string, status corev1.ConditionStatus, reason, message string) {
	s.Instance.Status.Conditions = append(s.Instance.Status.Conditions, kubevirtv1.VirtualMachineInstanceCondition{
		Type: kubevirtv1.VirtualMachineInstanceConditionType(kind), Status: status, Reason: reason, Message: message})
}

func (s *scene) terminated(reason string) {
	s.LauncherPod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "compute", State: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{Reason: reason, ExitCode: 137}}}}
}

func (s *scene) pending(kind v1beta1.OperationType, uid types.UID) {
	s.VirtualServer.Status.PendingOperation = &v1beta1.Operation{ID: "op", Type: kind, InstanceUID: uid}
}

// strategy sets the strategy in force, and the one that KubeVirt has.
func (s *scene) strategy(strategy v1beta1.RunStrategy) {
	s.VirtualServer.Status.RunStrategy = strategy
	s.VirtualMachine.Spec.RunStrategy = ptr.To(kubevirtv1.VirtualMachineRunStrategy(strategy))
}

// derive derives, checks that deriving again changes nothing, and keeps the result for the next time.
func (s *scene) derive() v1beta1.VirtualServerStatus {
	s.t.Helper()
	before := s.VirtualServer.DeepCopy()
	result := Derive(s.Observed)
	require.Equal(s.t, before, s.VirtualServer, "the input must not change")
	s.VirtualServer.Status = *result.DeepCopy()
	s.Now = s.Now.Add(time.Minute)
	require.Equal(s.t, result, Derive(s.Observed), "deriving again must change nothing")
	return result
}

func condition(t *testing.T, status v1beta1.VirtualServerStatus, kind string) metav1.Condition {
	t.Helper()
	found := meta.FindStatusCondition(status.Conditions, kind)
	require.NotNil(t, found, kind)
	return *found
}
