package status

import (
	"encoding/json"
	"math/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func TestGuideStatusOfAStoppedMachine(t *testing.T) {
	got := newScene(t, "Halted").derive()
	imported := condition(t, got, "DataImported")
	assert.Equal(t, metav1.ConditionTrue, imported.Status)
	assert.Equal(t, "Succeeded", imported.Reason)
	assert.Equal(t, "Root disk has been imported successfully.", imported.Message)
	ready := condition(t, got, "Ready")
	assert.Equal(t, metav1.ConditionFalse, ready.Status)
	assert.Equal(t, "VMINotExists", ready.Reason)
	assert.Equal(t, "VMI does not exist", ready.Message)
	assert.Equal(t, int64(3), got.ObservedGeneration)
	assert.Len(t, got.Conditions, 5)
}

func TestGuest(t *testing.T) {
	s := newScene(t, "Always")
	vmi := s.instance(firstUID, kubevirtv1.Running)
	vmi.Status.Interfaces = []kubevirtv1.VirtualMachineInstanceNetworkInterface{
		{Name: "default", IP: "10.0.0.7", IPs: []string{"10.0.0.7", "fd00::7"}}, {IP: "10.1.0.7"}, {}}
	vmi.Status.GuestOSInfo = kubevirtv1.VirtualMachineInstanceGuestOSInfo{Name: "Ubuntu", PrettyName: "Ubuntu 20.04", ID: "ubuntu"}
	vmi.Status.VolumeStatus = []kubevirtv1.VolumeStatus{{Name: "root", Target: "vdc"}, {Name: "cloudinit", Target: "vdb"}}
	s.vmiCondition("Ready", "True", "", "")
	got := s.derive()
	assert.Equal(t, "node-a", got.Node)
	assert.Equal(t, firstUID, got.VM.InstanceUID)
	assert.Equal(t, []string{"10.0.0.7", "fd00::7"}, got.IPAddresses)
	assert.Equal(t, &v1beta1.GuestOS{Name: "Ubuntu", PrettyName: "Ubuntu 20.04"}, got.GuestOS)
	assert.Equal(t, []v1beta1.DiskStatus{{Name: "root", Device: "/dev/vdc", Serial: "root", ByID: "/dev/disk/by-id/virtio-root"}}, got.Disks)
	assert.Equal(t, metav1.ConditionTrue, condition(t, got, "Ready").Status)

	s.gone()
	gone := s.derive()
	assert.Empty(t, gone.Node)
	assert.Empty(t, gone.IPAddresses)
	assert.Nil(t, gone.GuestOS)
	assert.Equal(t, "/dev/vda", gone.Disks[0].Device)
}

func TestReady(t *testing.T) {
	for what, test := range map[string]struct {
		phase   kubevirtv1.VirtualMachineInstancePhase
		set     func(s *scene)
		status  metav1.ConditionStatus
		reason  string
		message string
	}{
		"no condition": {"Pending", func(*scene) {}, "False", "VMIConditionMissing", "VMI is missing the Ready condition"},
		"not yet": {"Scheduled", func(s *scene) {
			s.vmiCondition("Ready", "False", "GuestNotRunning", "Guest VM is not reported as running")
		},
			"False", "GuestNotRunning", "Guest VM is not reported as running"},
		"ready":        {"Running", func(s *scene) { s.vmiCondition("Ready", "True", "", "") }, "True", "Running", messageSilent},
		"stale":        {"Failed", func(s *scene) { s.vmiCondition("Ready", "True", "", "") }, "False", ReasonGuestEnded, "The guest has ended."},
		"odd reason":   {"Running", func(s *scene) { s.vmiCondition("Ready", "False", "no good!", "x") }, "False", "Other", "x"},
		"empty reason": {"Running", func(s *scene) { s.vmiCondition("Ready", "False", "", "x") }, "False", "Other", "x"},
		"paused": {"Running", func(s *scene) {
			s.vmiCondition("Ready", "False", "ReadinessGatesNotReady", "gate")
			s.vmiCondition("Paused", "True", "PausedByUser", "VMI was paused by user")
		}, "False", "Paused", "The machine is paused."},
	} {
		t.Run(what, func(t *testing.T) {
			s := newScene(t, "Always")
			s.instance(firstUID, test.phase)
			test.set(s)
			ready := condition(t, s.derive(), "Ready")
			assert.Equal(t, test.status, ready.Status)
			assert.Equal(t, test.reason, ready.Reason)
			assert.Equal(t, test.message, ready.Message)
		})
	}
}

func TestPausedNeedsALivingInstance(t *testing.T) {
	s := newScene(t, "Always")
	s.VirtualMachine.Status.Conditions = []kubevirtv1.VirtualMachineCondition{
		{Type: kubevirtv1.VirtualMachinePaused, Status: "True", Reason: "PausedByUser"}}
	assert.Equal(t, metav1.ConditionFalse, condition(t, s.derive(), "Paused").Status, "KubeVirt's condition is stale")
	s.instance(firstUID, kubevirtv1.Running)
	s.vmiCondition("Paused", "True", "PausedIOError", "VMI was paused, IO error")
	paused := condition(t, s.derive(), "Paused")
	assert.Equal(t, metav1.ConditionTrue, paused.Status)
	assert.Equal(t, "PausedIOError", paused.Reason)
	s.Instance.Status.Phase = kubevirtv1.Succeeded
	assert.Equal(t, metav1.ConditionFalse, condition(t, s.derive(), "Paused").Status)
}

func TestRestartRequiredShowsAndClears(t *testing.T) {
	s := newScene(t, "Always")
	s.instance(firstUID, kubevirtv1.Running)
	assert.Equal(t, "UpToDate", condition(t, s.derive(), "RestartRequired").Reason)

	s.VirtualServer.Spec.Resources.Memory = resource.MustParse("2Gi")
	s.VirtualServer.Spec.CloudInit = "#cloud-config\npassword: hunter3\n"
	s.desire()
	waiting := condition(t, s.derive(), "RestartRequired")
	assert.Equal(t, metav1.ConditionTrue, waiting.Status)
	assert.Equal(t, "SpecChanged", waiting.Reason)
	assert.Equal(t, "Restart the machine to apply: spec.cloudInit: changed; spec.resources.memory: 1Gi -> 2Gi", waiting.Message)

	s.Desired = nil
	assert.Equal(t, waiting, condition(t, s.derive(), "RestartRequired"), "a pass that did not get so far says nothing new")

	s.VirtualServer.Spec.Resources.Memory = resource.MustParse("1Gi")
	s.VirtualServer.Spec.CloudInit = "#cloud-config\npassword: hunter2\n"
	s.desire()
	assert.Equal(t, metav1.ConditionFalse, condition(t, s.derive(), "RestartRequired").Status)
}

func TestTimesMoveOnlyWithTheStatus(t *testing.T) {
	s := newScene(t, "Always")
	s.importing(cdiv1.ImportInProgress, "1.00%", 0)
	first := s.derive()
	s.importing(cdiv1.ImportInProgress, "2.00%", 0)
	second := s.derive()
	assert.NotEqual(t, first.Message, second.Message)
	assert.Equal(t, first.PhaseTransitions, second.PhaseTransitions)
	for _, before := range first.Conditions {
		assert.Equal(t, before.LastTransitionTime, condition(t, second, before.Type).LastTransitionTime, before.Type)
	}
	s.importing(cdiv1.Succeeded, "100.0%", 0)
	moment := s.Now
	third := s.derive()
	assert.Equal(t, metav1.NewTime(moment), condition(t, third, "DataImported").LastTransitionTime)
	assert.Equal(t, condition(t, first, "Ready").LastTransitionTime, condition(t, third, "Ready").LastTransitionTime)
	assert.Equal(t, []v1beta1.PhaseTransition{
		{Phase: "Provisioning", Time: metav1.NewTime(epoch)}, {Phase: "Starting", Time: metav1.NewTime(moment)}}, third.PhaseTransitions)
	s.importing(cdiv1.ImportInProgress, "1.00%", 0)
	moment = s.Now
	again := s.derive().PhaseTransitions
	assert.Equal(t, v1beta1.PhaseTransition{Phase: "Provisioning", Time: metav1.NewTime(moment)}, again[1], "the last one stands last")
	assert.Equal(t, v1beta1.StatusStarting, again[0].Phase)
}

func TestWhatIsNotDerivedStays(t *testing.T) {
	s := newScene(t, "Always")
	status := &s.VirtualServer.Status
	status.RunStrategy = "Manual"
	s.pending("Start", "")
	status.Operations = []v1beta1.OperationRecord{{ID: "before"}}
	status.Conditions = []metav1.Condition{{Type: "Reconciled", Status: "True", Reason: "Done"}}
	before := status.DeepCopy()
	got := s.derive()
	assert.Equal(t, before.RunStrategy, got.RunStrategy)
	assert.Equal(t, before.VM, got.VM)
	assert.Equal(t, before.PendingOperation, got.PendingOperation)
	assert.Equal(t, before.Operations, got.Operations)
	assert.Equal(t, before.Conditions[0], condition(t, got, "Reconciled"))
}

// TestRestartNeverShowsStopped follows a restart under Always as KubeVirt carries it out.
func TestRestartNeverShowsStopped(t *testing.T) {
	s := newScene(t, "Always")
	s.instance(firstUID, kubevirtv1.Running)
	seen := []v1beta1.PrintableStatus{s.derive().PrintableStatus}
	step := func(change func()) {
		change()
		seen = append(seen, s.derive().PrintableStatus)
	}
	step(func() { s.Instance.DeletionTimestamp = ptr.To(at(60)) })
	step(func() { reach(s.Instance, kubevirtv1.Succeeded, 61) })
	step(s.gone)
	step(func() { s.instance(nextUID, kubevirtv1.Pending) })
	step(func() { s.instance(nextUID, kubevirtv1.Scheduled) })
	step(func() { s.instance(nextUID, kubevirtv1.Running) })
	assert.Equal(t, []v1beta1.PrintableStatus{
		"Running", "Stopping", "Stopping", "Starting", "Starting", "Starting", "Running"}, seen)
}

func TestNoVirtualServer(t *testing.T) {
	assert.Equal(t, v1beta1.VirtualServerStatus{}, Derive(Observed{}))
}

// TestDeriveIsTotal derives from thousands of random combinations of objects, most of them impossible.
func TestDeriveIsTotal(t *testing.T) {
	const rounds = 5000
	seed := int64(20240321)
	random := rand.New(rand.NewSource(seed))
	for round := range rounds {
		o := randomObserved(random)
		require.NotPanics(t, func() {
			got := Derive(o)
			require.Contains(t, ours(), got.PrintableStatus)
			if got.PrintableStatus != v1beta1.StatusRunning {
				require.NotEmpty(t, got.Message)
			}
			for _, condition := range got.Conditions {
				require.NotEmpty(t, condition.Reason)
				require.NotEmpty(t, condition.Status)
			}
			text, err := json.Marshal(got)
			require.NoError(t, err)
			require.NotContains(t, string(text), "hunter2")

			next := o
			next.VirtualServer = o.VirtualServer.DeepCopy()
			next.VirtualServer.Status = *got.DeepCopy()
			next.Now = o.Now.Add(time.Second)
			require.Equal(t, got, Derive(next), "deriving again must change nothing")
		}, "seed %d round %d", seed, round)
	}
}

func randomObserved(random *rand.Rand) Observed {
	vs := &v1beta1.VirtualServer{Spec: v1beta1.VirtualServerSpec{CloudInit: "hunter2"}}
	o := Observed{VirtualServer: vs, Now: epoch}
	maybe := func() bool { return random.Intn(3) == 0 }
	uid := func() types.UID { return []types.UID{"", firstUID, nextUID}[random.Intn(3)] }
	moment := func() metav1.Time { return at(random.Intn(5)) }
	deleted := func(object *metav1.ObjectMeta) {
		if maybe() {
			object.DeletionTimestamp = ptr.To(moment())
		}
	}
	statuses := []corev1.ConditionStatus{"True", "False", "Unknown", ""}
	status := func() corev1.ConditionStatus { return statuses[random.Intn(len(statuses))] }
	deleted(&vs.ObjectMeta)
	vs.Status.RunStrategy = []v1beta1.RunStrategy{"", "Always", "RerunOnFailure", "Manual", "Halted", "Once"}[random.Intn(6)]
	vs.Status.VM.Name = []string{"", name}[random.Intn(2)]
	if maybe() {
		vs.Status.PendingOperation = &v1beta1.Operation{
			Type: []v1beta1.OperationType{"Start", "Stop", "Restart"}[random.Intn(3)], InstanceUID: uid()}
	}
	if maybe() {
		vs.Status.PrintableStatus, vs.Status.VM.InstanceUID = ours()[random.Intn(11)], uid()
	}
	if maybe() {
		vs.Status.Conditions = []metav1.Condition{{Type: v1beta1.ConditionFailure, Status: "False", Message: "x",
			Reason: []string{ReasonEvicting, ReasonRecovered, ReasonNoFailure}[random.Intn(3)]}}
	}
	if maybe() {
		vs.Status.LastFailure = &v1beta1.MachineFailure{InstanceUID: uid(), Reason: "GuestCrashed"}
	}
	if random.Intn(5) > 0 {
		vm := &kubevirtv1.VirtualMachine{}
		deleted(&vm.ObjectMeta)
		strategies := []kubevirtv1.VirtualMachineRunStrategy{"Always", "RerunOnFailure", "Manual", "Halted", "Once"}
		if !maybe() {
			vm.Spec.RunStrategy = ptr.To(strategies[random.Intn(5)])
			vm.Status.RunStrategy = strategies[random.Intn(5)]
		}
		all := []kubevirtv1.VirtualMachinePrintableStatus{"", "Stopped", "Provisioning", "Starting", "Running", "Unknown", "New"}
		vm.Status.PrintableStatus = all[random.Intn(len(all))]
		if maybe() {
			vm.Status.StartFailure = &kubevirtv1.VirtualMachineStartFailure{
				ConsecutiveFailCount: random.Intn(4), LastFailedVMIUID: uid()}
		}
		if maybe() {
			vm.Status.StateChangeRequests = []kubevirtv1.VirtualMachineStateChangeRequest{{Action: "Stop"}, {Action: "Start"}}
		}
		o.VirtualMachine = vm
	}
	o.Instance = randomInstance(random, maybe, uid, status, moment)
	if maybe() {
		o.LauncherPod = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{kubevirtv1.CreatedByLabel: string(uid())}}}
		o.LauncherPod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "compute", LastTerminationState: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{Reason: []string{"OOMKilled", "Error"}[random.Intn(2)], ExitCode: 1}}}}
		randomDisruption(&o, maybe, moment)
	}
	if random.Intn(4) > 0 {
		phases := []cdiv1.DataVolumePhase{"", "Pending", "ImportInProgress", "Succeeded", "Succeeded", "Failed", "Unknown", "New"}
		o.DataVolume = &cdiv1.DataVolume{Status: cdiv1.DataVolumeStatus{Phase: phases[random.Intn(len(phases))],
			Progress: "N/A", RestartCount: int32(random.Intn(2)), Conditions: []cdiv1.DataVolumeCondition{
				{Type: cdiv1.DataVolumeRunning, Status: status(), Reason: []string{"Error", "Unschedulable", ""}[random.Intn(3)],
					Message: "get https://u:hunter2@host/x?hunter2"}}}}
		deleted(&o.DataVolume.ObjectMeta)
	}
	if maybe() {
		o.Claim = &corev1.PersistentVolumeClaim{}
	}
	if maybe() {
		o.ImporterPod = &corev1.Pod{}
	}
	if maybe() {
		o.Node = &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-a"}, Status: corev1.NodeStatus{
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status()}}}}
	}
	o.NodeMissing = random.Intn(10) == 0
	o.StorageClassMissing = []string{"", "", "x"}[random.Intn(3)]
	o.NoDefaultClass = random.Intn(3) == 0
	return o
}

func randomDisruption(o *Observed, maybe func() bool, moment func() metav1.Time) {
	pod := o.LauncherPod
	o.LauncherPodGone = maybe()
	if maybe() {
		pod.DeletionTimestamp = ptr.To(moment())
	}
	if maybe() {
		pod.Status.Reason = "Evicted"
	}
	if maybe() {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: "True", LastTransitionTime: moment()}}
	}
}

func randomInstance(random *rand.Rand, maybe func() bool, uid func() types.UID, status func() corev1.ConditionStatus,
	moment func() metav1.Time) *kubevirtv1.VirtualMachineInstance {
	if maybe() {
		return nil
	}
	phases := []kubevirtv1.VirtualMachineInstancePhase{"", "Pending", "Scheduling", "Scheduled", "Running", "Running",
		"Succeeded", "Failed", "Failed", "Unknown", "WaitingForSync", "New"}
	vmi := &kubevirtv1.VirtualMachineInstance{}
	vmi.UID = uid()
	vmi.Status.Phase = phases[random.Intn(len(phases))]
	vmi.Status.NodeName = []string{"", "node-a", "node-b"}[random.Intn(3)]
	if maybe() {
		vmi.DeletionTimestamp = ptr.To(moment())
	}
	for _, phase := range phases[random.Intn(len(phases)):] {
		vmi.Status.PhaseTransitionTimestamps = append(vmi.Status.PhaseTransitionTimestamps,
			kubevirtv1.VirtualMachineInstancePhaseTransitionTimestamp{Phase: phase, PhaseTransitionTimestamp: moment()})
	}
	for _, kind := range []string{"Ready", "Paused", "PodScheduled", "Synchronized", "LiveMigratable"} {
		if !maybe() {
			continue
		}
		vmi.Status.Conditions = append(vmi.Status.Conditions, kubevirtv1.VirtualMachineInstanceCondition{
			Type: kubevirtv1.VirtualMachineInstanceConditionType(kind), Status: status(),
			Reason: []string{"", "Unschedulable", "FailedPvcNotFound"}[random.Intn(3)]})
	}
	if maybe() {
		vmi.Status.MigrationState = &kubevirtv1.VirtualMachineInstanceMigrationState{StartTimestamp: ptr.To(moment())}
	}
	return vmi
}
