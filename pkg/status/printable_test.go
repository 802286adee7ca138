package status

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// ours are the eleven states of the guide.
func ours() []v1beta1.PrintableStatus {
	return []v1beta1.PrintableStatus{"Stopped", "Provisioning", "Starting", "Running", "Paused", "Stopping", "Terminating",
		"CrashLoopBackOff", "Migrating", "Unknown", "FailedUnschedulable"}
}

// kubeVirtStatuses reads the constants of type VirtualMachinePrintableStatus from KubeVirt's source, so that a new one
// fails the test.
func kubeVirtStatuses(t *testing.T) []kubevirtv1.VirtualMachinePrintableStatus {
	t.Helper()
	api, err := build.Import("kubevirt.io/api/core/v1", ".", build.FindOnly)
	require.NoError(t, err)
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(api.Dir, "types.go"), nil, 0)
	require.NoError(t, err)
	var statuses []kubevirtv1.VirtualMachinePrintableStatus
	ast.Inspect(file, func(node ast.Node) bool {
		spec, isValue := node.(*ast.ValueSpec)
		if !isValue {
			return true
		}
		if kind, isName := spec.Type.(*ast.Ident); isName && kind.Name == "VirtualMachinePrintableStatus" {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			statuses = append(statuses, kubevirtv1.VirtualMachinePrintableStatus(text))
		}
		return true
	})
	return statuses
}

// TestEveryStatusOfKubeVirtIsMapped walks the constants of KubeVirt.
func TestEveryStatusOfKubeVirtIsMapped(t *testing.T) {
	want := map[kubevirtv1.VirtualMachinePrintableStatus]v1beta1.PrintableStatus{
		"Stopped": "Stopped", "Provisioning": "Provisioning", "Starting": "Starting", "Running": "Running", "Paused": "Paused",
		"Stopping": "Stopping", "Terminating": "Terminating", "CrashLoopBackOff": "CrashLoopBackOff", "Migrating": "Migrating",
		"Unknown": "Unknown", "ErrorUnschedulable": "FailedUnschedulable", "ErrImagePull": "Starting",
		"ImagePullBackOff": "Starting", "ErrorPvcNotFound": "Provisioning", "DataVolumeError": "Provisioning",
		"WaitingForVolumeBinding": "Provisioning", "WaitingForReceiver": "Unknown",
	}
	statuses := kubeVirtStatuses(t)
	require.Len(t, statuses, len(want))
	for _, status := range statuses {
		mapped, known := want[status]
		require.True(t, known, "KubeVirt has a new status %s", status)
		assert.Equal(t, mapped, FromKubeVirt(status), status)
		for _, strategy := range []v1beta1.RunStrategy{"Always", "RerunOnFailure", "Manual", "Halted", "Once", ""} {
			for _, phase := range []kubevirtv1.VirtualMachineInstancePhase{"none", "", "Pending", "Scheduling", "Scheduled",
				"Running", "Succeeded", "Failed", "Unknown", "WaitingForSync"} {
				s := newScene(t, strategy)
				s.VirtualMachine.Status.PrintableStatus = status
				if phase != "none" {
					s.instance(firstUID, phase)
				}
				got := s.derive()
				assert.Contains(t, ours(), got.PrintableStatus)
				if got.PrintableStatus != v1beta1.StatusRunning {
					assert.NotEmpty(t, got.Message, "%s/%s/%s: whatever is not running says why", status, strategy, phase)
				}
			}
		}
	}
	assert.Equal(t, v1beta1.StatusUnknown, FromKubeVirt("SomethingNew"))
}

// TestPrintableStatus reaches all eleven states.
func TestPrintableStatus(t *testing.T) {
	reached := map[v1beta1.PrintableStatus]bool{}
	for what, test := range map[string]struct {
		strategy v1beta1.RunStrategy
		set      func(s *scene)
		want     v1beta1.PrintableStatus
		message  string
	}{
		"nothing yet": {"Always", func(s *scene) { s.VirtualMachine, s.DataVolume = nil, nil }, "Provisioning",
			"DataVolume " + name + ": not created yet"},
		"no name yet": {"Always", func(s *scene) {
			s.VirtualMachine, s.DataVolume = nil, nil
			s.VirtualServer.Status.VM.Name = ""
		}, "Provisioning", "DataVolume: not created yet"},
		"imported, no machine yet": {"Always", func(s *scene) { s.VirtualMachine = nil }, "Provisioning",
			"VirtualMachine " + name + ": not created yet"},
		"import of a halted machine": {"Halted", func(s *scene) { s.importing(cdiv1.ImportInProgress, "42.50%", 0) }, "Stopped",
			"Run strategy is Halted; use start to run the machine. DataVolume " + name + ": importing, 42.50%."},
		"import with a pending instance": {"Always", func(s *scene) {
			s.importing(cdiv1.ImportScheduled, "N/A", 0)
			s.instance(firstUID, kubevirtv1.Pending)
		}, "Provisioning", "DataVolume " + name + ": importing"},
		"missing claim of another disk": {"Always", func(s *scene) {
			s.instance(firstUID, kubevirtv1.Pending)
			const text = "PVC default/pvc-as-disk does not exist, waiting for it to appear"
			s.vmiCondition("Synchronized", "False", "FailedPvcNotFound", text)
			s.vmiCondition("PodScheduled", "False", "Unschedulable", text)
			s.LauncherPod = nil
		}, "Provisioning", "VMI " + name + ": FailedPvcNotFound: PVC default/pvc-as-disk does not exist, waiting for it to appear"},
		"unbound claim of another disk": {"Always", func(s *scene) {
			s.instance(firstUID, kubevirtv1.Scheduling)
			s.VirtualMachine.Status.PrintableStatus = kubevirtv1.VirtualMachineStatusWaitingForVolumeBinding
		}, "Provisioning", "VirtualMachine " + name + ": waiting for its claims to be bound"},
		"KubeVirt's Stopped under Always":         {"Always", func(*scene) {}, "Starting", "VirtualMachine " + name + ": about to start"},
		"KubeVirt's Stopped under RerunOnFailure": {"RerunOnFailure", func(*scene) {}, "Starting", ""},
		"refused by admission": {"Always", func(s *scene) {
			s.VirtualMachine.Status.Conditions = []kubevirtv1.VirtualMachineCondition{
				{Type: kubevirtv1.VirtualMachineFailure, Status: "True", Reason: "FailedCreate", Message: "admission\ndenied"}}
		}, "Starting", "VirtualMachine " + name + ": FailedCreate: admission denied"},
		"start under Manual": {"Manual", func(s *scene) { s.pending("Start", "") }, "Starting", ""},
		"KubeVirt's start under Manual": {"Manual", func(s *scene) {
			s.VirtualMachine.Status.StateChangeRequests = []kubevirtv1.VirtualMachineStateChangeRequest{{Action: kubevirtv1.StartRequest}}
		}, "Starting", ""},
		"instance not seen yet": {"Manual", func(s *scene) {
			s.VirtualMachine.Status.PrintableStatus = kubevirtv1.VirtualMachineStatusStarting
		}, "Starting", ""},
		"pod being made": {"Always", func(s *scene) {
			s.instance(firstUID, kubevirtv1.Scheduling)
			s.LauncherPod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "compute", State: corev1.ContainerState{
				Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no such image"}}}}
		}, "Starting", "Pod virt-launcher-x: container compute: ImagePullBackOff: no such image"},
		"pod refused": {"Always", func(s *scene) {
			s.instance(firstUID, kubevirtv1.Pending)
			s.vmiCondition("Synchronized", "False", "FailedCreate", "GPU is not permitted")
		}, "Starting", "VMI " + name + ": FailedCreate: GPU is not permitted"},
		"scheduled": {"Always", func(s *scene) { s.instance(firstUID, kubevirtv1.Scheduled) }, "Starting",
			"VMI " + name + ": waiting for node node-a to start the guest"},
		"guest shutdown under Always": {"Always", func(s *scene) {
			s.instance(firstUID, kubevirtv1.Succeeded).DeletionTimestamp = ptr.To(at(60))
		}, "Starting", ""},
		"start after an eviction": {"RerunOnFailure", func(s *scene) {
			// KubeVirt's start asks for the end of what is left first.
			s.instance(firstUID, kubevirtv1.Succeeded).DeletionTimestamp = ptr.To(at(61))
			s.VirtualMachine.Status.StateChangeRequests = []kubevirtv1.VirtualMachineStateChangeRequest{
				{Action: kubevirtv1.StopRequest, UID: ptr.To(firstUID)}, {Action: kubevirtv1.StartRequest}}
			s.pending("Start", firstUID)
		}, "Starting", ""},
		"unschedulable": {"Always", func(s *scene) {
			s.instance(firstUID, kubevirtv1.Scheduling)
			s.vmiCondition("PodScheduled", "False", "Unschedulable", "PVC default/a does not exist, waiting for it to appear")
			s.LauncherPod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
				Reason: corev1.PodReasonUnschedulable, Message: "0/2 nodes are available: 2 Insufficient memory."}}
		}, "FailedUnschedulable", "Pod virt-launcher-x: 0/2 nodes are available: 2 Insufficient memory."},
		"the scheduler has not looked, and the instance keeps an older message": {"Always", func(s *scene) {
			s.instance(firstUID, kubevirtv1.Scheduling)
			s.vmiCondition("PodScheduled", "False", "Unschedulable", "PVC default/a does not exist, waiting for it to appear")
		}, "Starting", "Pod virt-launcher-x: waiting to be ready"},
		"the scheduler has not looked again since the import": {"Always", func(s *scene) {
			s.Claim = &corev1.PersistentVolumeClaim{Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound}}
			s.waitsForClaims()
		}, "Starting", "Pod virt-launcher-x: waiting to be ready"},
		"another claim is missing": {"Always", func(s *scene) {
			s.Claim = &corev1.PersistentVolumeClaim{Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound}}
			s.VirtualServer.Spec.Storage.AdditionalDisks = []v1beta1.AdditionalDisk{{Name: "data", VolumeSource: v1beta1.VolumeSource{
				PersistentVolumeClaim: &v1beta1.PersistentVolumeClaimSource{ClaimName: "data"}}}}
			s.waitsForClaims()
		}, "FailedUnschedulable", "Pod virt-launcher-x: 0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims."},
		"running": {"Always", func(s *scene) { s.instance(firstUID, kubevirtv1.Running) }, "Running", ""},
		"paused": {"Always", func(s *scene) {
			s.instance(firstUID, kubevirtv1.Running)
			s.vmiCondition("Paused", "True", "PausedByUser", "VMI was paused by user")
		}, "Paused", "VMI " + name + ": VMI was paused by user"},
		"migrating": {"Always", func(s *scene) {
			s.instance(firstUID, kubevirtv1.Running).Status.MigrationState = &kubevirtv1.VirtualMachineInstanceMigrationState{
				StartTimestamp: ptr.To(at(5)), SourceNode: "node-a", TargetNode: "node-b"}
		}, "Migrating", "VMI " + name + ": moving from node node-a to node-b"},
		"stopping": {"Halted", func(s *scene) {
			s.instance(firstUID, kubevirtv1.Running).DeletionTimestamp = ptr.To(at(100))
		}, "Stopping", "VMI " + name + ": the guest is shutting down, it is killed at 2024-03-21T08:29:09Z"},
		"about to stop":      {"Halted", func(s *scene) { s.instance(firstUID, kubevirtv1.Running) }, "Stopping", ""},
		"stop under Manual":  {"Manual", func(s *scene) { s.instance(firstUID, kubevirtv1.Running); s.pending("Stop", firstUID) }, "Stopping", ""},
		"stop of another":    {"Manual", func(s *scene) { s.instance(nextUID, kubevirtv1.Running); s.pending("Stop", firstUID) }, "Running", ""},
		"restart not begun":  {"Always", func(s *scene) { s.instance(firstUID, kubevirtv1.Running); s.pending("Restart", firstUID) }, "Running", ""},
		"stopped":            {"Halted", func(*scene) {}, "Stopped", "Run strategy is Halted; use start to run the machine."},
		"stopped and Manual": {"Manual", func(*scene) {}, "Stopped", "Run strategy is Manual; use start to run the machine."},
		"guest shutdown under RerunOnFailure": {"RerunOnFailure", func(s *scene) {
			s.VirtualMachine.Status.RunStrategy = kubevirtv1.RunStrategyRerunOnFailure
		}, "Stopped", "The guest shut down, and run strategy RerunOnFailure starts it only after a failure; use start."},
		"guest shutdown under Manual": {"Manual", func(s *scene) { s.instance(firstUID, kubevirtv1.Succeeded) }, "Stopped", ""},
		"crash under RerunOnFailure":  {"RerunOnFailure", func(s *scene) { s.instance(firstUID, kubevirtv1.Failed) }, "Starting", ""},
		"back-off": {"Always", func(s *scene) {
			s.VirtualMachine.Status.StartFailure = &kubevirtv1.VirtualMachineStartFailure{
				ConsecutiveFailCount: 3, LastFailedVMIUID: firstUID, RetryAfterTimestamp: ptr.To(at(90))}
		}, "CrashLoopBackOff", "VirtualMachine " + name + ": 3 starts failed, next try at 2024-03-21T08:28:29Z, last cause: BootFailed"},
		"back-off of a machine that was stopped": {"Halted", func(s *scene) {
			s.VirtualMachine.Status.StartFailure = &kubevirtv1.VirtualMachineStartFailure{ConsecutiveFailCount: 3}
		}, "Stopped", ""},
		"node lost": {"Always", func(s *scene) { s.instance(firstUID, kubevirtv1.Running); s.node("Unknown") }, "Unknown",
			"Node node-a: not heard from since 2024-03-21T08:27:09Z"},
		"node gone": {"Always", func(s *scene) { s.instance(firstUID, kubevirtv1.Running); s.Node, s.NodeMissing = nil, true }, "Unknown", "Node node-a: the node does not exist"},
		"not yet ours": {"Once", func(s *scene) {
			s.VirtualMachine.Status.PrintableStatus = kubevirtv1.VirtualMachineStatusWaitingForReceiver
		}, "Unknown", "VirtualMachine " + name + `: KubeVirt reports "WaitingForReceiver"`},
		"deleted": {"Always", func(s *scene) {
			s.instance(firstUID, kubevirtv1.Running)
			s.VirtualServer.DeletionTimestamp = ptr.To(at(1))
		}, "Terminating", "VMI " + name + ": about to stop"},
		"deleted, the node is lost": {"Always", func(s *scene) {
			s.instance(firstUID, kubevirtv1.Running)
			s.node("Unknown")
			s.VirtualServer.DeletionTimestamp, s.Instance.DeletionTimestamp = ptr.To(at(1)), ptr.To(at(1))
		}, "Terminating", "Node node-a: not heard from since 2024-03-21T08:27:09Z"},
		"deleted, the ended instance is left": {"Always", func(s *scene) {
			s.instance(firstUID, kubevirtv1.Succeeded)
			s.VirtualServer.DeletionTimestamp, s.VirtualMachine = ptr.To(at(1)), nil
		}, "Terminating", "VMI " + name + ": ended, being removed"},
		"machine deleted by hand": {"Always", func(s *scene) { s.VirtualMachine.DeletionTimestamp = ptr.To(at(1)) }, "Terminating",
			"VirtualMachine " + name + ": being deleted"},
	} {
		t.Run(what, func(t *testing.T) {
			s := newScene(t, test.strategy)
			test.set(s)
			got := s.derive()
			assert.Equal(t, test.want, got.PrintableStatus)
			if test.message != "" || test.want == v1beta1.StatusRunning {
				assert.Equal(t, test.message, got.Message)
			}
			reached[got.PrintableStatus] = true
		})
	}
	for _, status := range ours() {
		assert.True(t, reached[status], "%s was never reached", status)
	}
}

func TestVirtHandlerThatFellSilent(t *testing.T) {
	s := newScene(t, "Always")
	s.instance(firstUID, kubevirtv1.Running)
	s.Node.Labels = map[string]string{kubevirtv1.NodeSchedulable: "false"}
	s.Node.Annotations = map[string]string{kubevirtv1.VirtHandlerHeartbeat: "2024-03-21T08:26:00Z"}
	assert.Equal(t, v1beta1.StatusRunning, s.derive().PrintableStatus, "a heartbeat of a minute ago is fresh")
	s.Node.Annotations[kubevirtv1.VirtHandlerHeartbeat] = "2024-03-21T08:20:00Z"
	got := s.derive()
	assert.Equal(t, v1beta1.StatusUnknown, got.PrintableStatus)
	assert.Equal(t, "Node node-a: virt-handler not heard from since 2024-03-21T08:20:00Z", got.Message)
	assert.Equal(t, metav1.ConditionUnknown, condition(t, got, "Ready").Status)
	assert.Equal(t, metav1.ConditionUnknown, condition(t, got, "Failure").Status)
}

// waitsForClaims gives the machine a pod that the scheduler refused for want of a claim.
func (s *scene) waitsForClaims() {
	s.instance(firstUID, kubevirtv1.Scheduling)
	s.LauncherPod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
		Reason: corev1.PodReasonUnschedulable, Message: "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims."}}
}
