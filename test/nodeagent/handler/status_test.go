package handler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/test/nodeagent/faults"
	"tensorstack.dev/virtualserver/test/nodeagent/guest"
)

// still is a guest that is in one state; the methods that a test does not
// need are those of the nil interface.
type still struct {
	guest.Guest
	machine guest.Machine
	status  guest.Status
	booted  time.Time
}

func (s still) Status() guest.Status   { return s.status }
func (s still) Machine() guest.Machine { return s.machine }
func (s still) System() guest.System   { return guest.System{ID: "simulated", Booted: s.booted} }

func machineWithDisks() *kubevirtv1.VirtualMachineInstance {
	disk := func(name string, bus kubevirtv1.DiskBus, serial string) kubevirtv1.Disk {
		return kubevirtv1.Disk{Name: name, Serial: serial, DiskDevice: kubevirtv1.DiskDevice{Disk: &kubevirtv1.DiskTarget{Bus: bus}}}
	}
	vmi := &kubevirtv1.VirtualMachineInstance{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "vm", UID: "u-1"}}
	memory := resource.MustParse("2Gi")
	vmi.Spec.Domain = kubevirtv1.DomainSpec{
		CPU:    &kubevirtv1.CPU{Sockets: 2, Cores: 3},
		Memory: &kubevirtv1.Memory{Guest: &memory},
		Devices: kubevirtv1.Devices{
			Disks: []kubevirtv1.Disk{
				disk("root", kubevirtv1.DiskBusVirtio, "ROOT"), disk("seed", kubevirtv1.DiskBusSATA, ""), disk("data", kubevirtv1.DiskBusVirtio, ""),
			},
			Interfaces: []kubevirtv1.Interface{{
				Name:  "default",
				Ports: []kubevirtv1.Port{{Port: 443}, {Port: 53, Protocol: "UDP"}, {Port: 53, Protocol: "tcp"}},
			}},
		},
	}
	vmi.Spec.Volumes = []kubevirtv1.Volume{
		{Name: "root", VolumeSource: kubevirtv1.VolumeSource{DataVolume: &kubevirtv1.DataVolumeSource{Name: "root-claim"}}},
		{Name: "seed", VolumeSource: kubevirtv1.VolumeSource{CloudInitNoCloud: &kubevirtv1.CloudInitNoCloudSource{}}},
		{Name: "data", VolumeSource: kubevirtv1.VolumeSource{Ephemeral: &kubevirtv1.EphemeralVolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data-claim"}}}},
	}
	return vmi
}

func sizes(claim string) int64 { return map[string]int64{"root-claim": 10, "data-claim": 20}[claim] }

func TestNewMachine(t *testing.T) {
	machine := newMachine(machineWithDisks(), sizes, false)
	assert.Equal(t, []guest.Disk{
		{Name: "root", Target: "vda", Serial: "ROOT", Bytes: 10}, {Name: "seed", Target: "sda"}, {Name: "data", Target: "vdb", Bytes: 20},
	}, machine.Disks)
	assert.Equal(t, uint32(6), machine.CPUs)
	assert.Equal(t, int64(2<<30), machine.MemoryBytes)
	assert.Equal(t, "vm", machine.Hostname)
	assert.Equal(t, []int32{443, 53}, machine.Ports)
	assert.False(t, machine.Paused)

	vmi := machineWithDisks()
	paused := kubevirtv1.StartStrategyPaused
	vmi.Spec.StartStrategy = &paused
	assert.True(t, newMachine(vmi, sizes, false).Paused)
	assert.False(t, newMachine(vmi, sizes, true).Paused, "a guest that ran before was resumed since")
}

func TestLetter(t *testing.T) {
	for n, want := range map[int]string{0: "a", 25: "z", 26: "aa", 27: "ab", 701: "zz", 702: "aaa"} {
		assert.Equal(t, want, letter(n))
	}
}

func TestReport(t *testing.T) {
	vmi := machineWithDisks()
	now := metav1.Now()
	vmi.Status.Conditions = []kubevirtv1.VirtualMachineInstanceCondition{{Type: "Foreign", Status: corev1.ConditionTrue}}
	vmi.Status.VolumeStatus = []kubevirtv1.VolumeStatus{{Name: "root"}, {Name: "data"}}
	g := still{machine: newMachine(vmi, sizes, false), status: guest.Status{State: guest.Paused, Frozen: true}}
	report(vmi, g, faults.Defaults(), now)

	require.Len(t, vmi.Status.Interfaces, 1)
	assert.Equal(t, g.machine.IP, vmi.Status.Interfaces[0].IP)
	assert.Regexp(t, "^52:54:00:", vmi.Status.Interfaces[0].MAC)
	assert.Equal(t, "vda", vmi.Status.VolumeStatus[0].Target)
	assert.Equal(t, "vdb", vmi.Status.VolumeStatus[1].Target)
	assert.Equal(t, "frozen", vmi.Status.FSFreezeStatus)
	assert.Equal(t, "simulated", vmi.Status.GuestOSInfo.ID)
	for _, kind := range []kubevirtv1.VirtualMachineInstanceConditionType{
		"Foreign", kubevirtv1.VirtualMachineInstancePaused, kubevirtv1.VirtualMachineInstanceAgentConnected, kubevirtv1.VirtualMachineInstanceIsMigratable,
	} {
		assert.NotNil(t, condition(&vmi.Status, kind), kind)
	}
	before := vmi.Status.DeepCopy()
	report(vmi, g, faults.Defaults(), metav1.NewTime(now.Add(time.Hour)))
	assert.Equal(t, *before, vmi.Status, "a second report must change nothing")

	g.status = guest.Status{State: guest.Running}
	settings := faults.Defaults()
	settings.GuestAgent = faults.Absent
	report(vmi, g, settings, now)
	assert.Nil(t, condition(&vmi.Status, kubevirtv1.VirtualMachineInstancePaused))
	assert.Nil(t, condition(&vmi.Status, kubevirtv1.VirtualMachineInstanceAgentConnected))
	assert.Empty(t, vmi.Status.GuestOSInfo.ID)
	assert.Empty(t, vmi.Status.FSFreezeStatus)
}

// The guest agent comes some time after the machine is Running, and comes anew after a reboot.
func TestAgentComesLater(t *testing.T) {
	vmi, now := machineWithDisks(), metav1.Now()
	g := still{machine: newMachine(vmi, sizes, false), status: guest.Status{State: guest.Running}, booted: now.Time}
	assert.Equal(t, agentDelay, report(vmi, g, faults.Defaults(), now))
	assert.Nil(t, condition(&vmi.Status, kubevirtv1.VirtualMachineInstanceAgentConnected))
	assert.Zero(t, report(vmi, g, faults.Defaults(), metav1.NewTime(now.Add(agentDelay))))
	assert.NotNil(t, condition(&vmi.Status, kubevirtv1.VirtualMachineInstanceAgentConnected))
	g.machine.Attach = true
	assert.Zero(t, report(vmi, g, faults.Defaults(), now), "a guest that is taken up again has booted long ago")
	assert.NotNil(t, condition(&vmi.Status, kubevirtv1.VirtualMachineInstanceAgentConnected))
}

func TestMigratable(t *testing.T) {
	shared := func(mode corev1.PersistentVolumeAccessMode) *kubevirtv1.VirtualMachineInstance {
		vmi := &kubevirtv1.VirtualMachineInstance{}
		vmi.Status.VolumeStatus = []kubevirtv1.VolumeStatus{{PersistentVolumeClaimInfo: &kubevirtv1.PersistentVolumeClaimInfo{
			ClaimName: "root", AccessModes: []corev1.PersistentVolumeAccessMode{mode}}}}
		return vmi
	}
	gpu := shared(corev1.ReadWriteMany)
	gpu.Spec.Domain.Devices.GPUs = []kubevirtv1.GPU{{Name: "gpu-0"}}
	for reason, vmi := range map[string]*kubevirtv1.VirtualMachineInstance{
		"": shared(corev1.ReadWriteMany), "DisksNotLiveMigratable": shared(corev1.ReadWriteOnce), "HostDeviceNotLiveMigratable": gpu,
	} {
		reportMigration(vmi, metav1.Now())
		got := condition(&vmi.Status, kubevirtv1.VirtualMachineInstanceIsMigratable)
		assert.Equal(t, reason, got.Reason)
		assert.Equal(t, reason == "", got.Status == corev1.ConditionTrue)
	}
}

func TestHotplug(t *testing.T) {
	vmi, now := machineWithDisks(), metav1.Now()
	plugged := kubevirtv1.VolumeStatus{Name: "data", Phase: kubevirtv1.HotplugVolumeAttachedToNode, HotplugVolume: &kubevirtv1.HotplugVolumeStatus{}}
	reportVolume(vmi, &plugged, disks(vmi, sizes), now)
	assert.Equal(t, kubevirtv1.VolumeReady, plugged.Phase)
	assert.Equal(t, "vdb", plugged.Target)

	gone := plugged
	gone.Name = "other"
	reportVolume(vmi, &gone, disks(vmi, sizes), now)
	assert.Equal(t, kubevirtv1.HotplugVolumeUnMounted, gone.Phase)
	assert.Empty(t, gone.Target)

	dump := kubevirtv1.VolumeStatus{Name: "data", Phase: kubevirtv1.HotplugVolumeMounted,
		HotplugVolume: &kubevirtv1.HotplugVolumeStatus{}, MemoryDumpVolume: &kubevirtv1.DomainMemoryDumpInfo{}}
	reportVolume(vmi, &dump, nil, now)
	assert.Equal(t, kubevirtv1.MemoryDumpVolumeCompleted, dump.Phase)
	assert.NotEmpty(t, dump.MemoryDumpVolume.TargetFileName)
}

func TestStopStart(t *testing.T) {
	vmi := &kubevirtv1.VirtualMachineInstance{}
	vmi.Status.NodeName = "node-a"
	_, stopping := stopStart(vmi, nil)
	assert.False(t, stopping)

	deadline, grace := metav1.NewTime(time.Unix(1030, 0)), int64(30)
	pod := &corev1.Pod{Spec: corev1.PodSpec{NodeName: "node-a"}}
	pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &deadline, &grace
	start, stopping := stopStart(vmi, []*corev1.Pod{pod})
	assert.True(t, stopping)
	assert.Equal(t, time.Unix(1000, 0), start)

	pod.Spec.NodeName = "node-b"
	_, stopping = stopStart(vmi, []*corev1.Pod{pod})
	assert.False(t, stopping, "the pod of another node is a migration's")

	asked := metav1.NewTime(time.Unix(990, 0))
	vmi.DeletionTimestamp = &asked
	start, _ = stopStart(vmi, []*corev1.Pod{pod})
	assert.Equal(t, time.Unix(990, 0), start)
}

func TestSetPhase(t *testing.T) {
	var status kubevirtv1.VirtualMachineInstanceStatus
	first, second := metav1.NewTime(time.Unix(1, 0)), metav1.NewTime(time.Unix(2, 0))
	setPhase(&status, kubevirtv1.Running, first)
	setPhase(&status, kubevirtv1.Running, second)
	setPhase(&status, kubevirtv1.Failed, second)
	require.Len(t, status.PhaseTransitionTimestamps, 2)
	assert.Equal(t, first, status.PhaseTransitionTimestamps[0].PhaseTransitionTimestamp)
	assert.Equal(t, kubevirtv1.Failed, status.Phase)
}

func TestMachinePatch(t *testing.T) {
	old := &kubevirtv1.VirtualMachineInstance{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "7"}}
	old.Status.Phase = kubevirtv1.Scheduled
	old.Status.FSFreezeStatus = "frozen"
	updated := old.DeepCopy()
	updated.Status.Phase = kubevirtv1.Running
	updated.Status.FSFreezeStatus = ""
	patch, err := machinePatch(old, updated)
	require.NoError(t, err)
	assert.JSONEq(t, `[{"op":"replace","path":"/metadata/resourceVersion","value":"7"},
		{"op":"remove","path":"/status/fsFreezeStatus"},
		{"op":"add","path":"/status/phase","value":"Running"}]`, string(patch))

	stamp := metav1.NewTime(time.Unix(0, 0))
	old.Status.Conditions = []kubevirtv1.VirtualMachineInstanceCondition{{Type: "Foreign", Status: corev1.ConditionTrue}}
	updated = old.DeepCopy()
	addCondition(&updated.Status, kubevirtv1.VirtualMachineInstanceCondition{Type: "Ours", Status: corev1.ConditionTrue}, stamp)
	patch, err = machinePatch(old, updated)
	require.NoError(t, err)
	assert.JSONEq(t, `[{"op":"replace","path":"/metadata/resourceVersion","value":"7"},
		{"op":"add","path":"/status/conditions","value":[
			{"type":"Foreign","status":"True","lastProbeTime":null,"lastTransitionTime":null},
			{"type":"Ours","status":"True","lastProbeTime":"1970-01-01T00:00:00Z","lastTransitionTime":"1970-01-01T00:00:00Z"}]}]`,
		string(patch), "unset times must stay null")
}
