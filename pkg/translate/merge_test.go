package translate

import (
	"math/rand"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func TestMergeLeavesAnAdmittedMachineAlone(t *testing.T) {
	desired := machine(t, guideExample(t))
	for name, live := range map[string]*kubevirtv1.VirtualMachine{
		"as written":             desired.DeepCopy(),
		"defaulted":              admitted(desired),
		"hotplugged":             hotplugged(admitted(desired)),
		"memory written another": memoryRewritten(admitted(desired)),
	} {
		t.Run(name, func(t *testing.T) {
			before := live.DeepCopy()
			merged, changed := MergeVirtualMachine(live, desired)
			assert.False(t, changed)
			assert.True(t, equality.Semantic.DeepEqual(before, merged))
			assert.Equal(t, before, live, "the live object is not touched")
		})
	}
}

func memoryRewritten(vm *kubevirtv1.VirtualMachine) *kubevirtv1.VirtualMachine {
	vm.Spec.Template.Spec.Domain.Memory.Guest = ptr.To(resource.MustParse("8192Mi"))
	return vm
}

func TestMergeHealsWhatIsOurs(t *testing.T) {
	desired := machine(t, guideExample(t))
	for name, spoil := range map[string]func(vm *kubevirtv1.VirtualMachine){
		"cpu":           func(vm *kubevirtv1.VirtualMachine) { vm.Spec.Template.Spec.Domain.CPU.Cores = 9 },
		"no cpu":        func(vm *kubevirtv1.VirtualMachine) { vm.Spec.Template.Spec.Domain.CPU = nil },
		"no USB":        func(vm *kubevirtv1.VirtualMachine) { vm.Spec.Template.Spec.Domain.Devices.ClientPassthrough = nil },
		"no memory":     func(vm *kubevirtv1.VirtualMachine) { vm.Spec.Template.Spec.Domain.Memory = nil },
		"no template":   func(vm *kubevirtv1.VirtualMachine) { vm.Spec.Template = nil },
		"disk bus":      func(vm *kubevirtv1.VirtualMachine) { vm.Spec.Template.Spec.Domain.Devices.Disks[1].Disk.Bus = "sata" },
		"disk kind":     func(vm *kubevirtv1.VirtualMachine) { vm.Spec.Template.Spec.Domain.Devices.Disks[1].Disk = nil },
		"no disks":      func(vm *kubevirtv1.VirtualMachine) { vm.Spec.Template.Spec.Domain.Devices.Disks = nil },
		"volume source": func(vm *kubevirtv1.VirtualMachine) { vm.Spec.Template.Spec.Volumes[0].DataVolume.Name = "other" },
		"interface":     func(vm *kubevirtv1.VirtualMachine) { vm.Spec.Template.Spec.Domain.Devices.Interfaces = nil },
		"binding": func(vm *kubevirtv1.VirtualMachine) {
			nic := &vm.Spec.Template.Spec.Domain.Devices.Interfaces[0]
			nic.Masquerade, nic.Bridge = nil, &kubevirtv1.InterfaceBridge{}
		},
		"network":      func(vm *kubevirtv1.VirtualMachine) { vm.Spec.Template.Spec.Networks[0].Pod = nil },
		"labels":       func(vm *kubevirtv1.VirtualMachine) { vm.Labels = nil },
		"annotations":  func(vm *kubevirtv1.VirtualMachine) { vm.Spec.Template.ObjectMeta.Annotations = nil },
		"run strategy": func(vm *kubevirtv1.VirtualMachine) { vm.Spec.RunStrategy, vm.Spec.Running = nil, ptr.To(false) },
		"eviction":     func(vm *kubevirtv1.VirtualMachine) { vm.Spec.Template.Spec.EvictionStrategy = nil },
	} {
		t.Run(name, func(t *testing.T) {
			live := admitted(desired)
			spoil(live)
			merged, changed := MergeVirtualMachine(live, desired)
			require.True(t, changed)
			_, changed = MergeVirtualMachine(merged, desired)
			assert.False(t, changed, "a merge is a fixed point")
			assert.Equal(t, "42", merged.ResourceVersion)
			assert.Equal(t, kubevirtv1.RunStrategyAlways, *merged.Spec.RunStrategy)
			assert.Nil(t, merged.Spec.Running)
			want, got := desired.Spec.Template.Spec, merged.Spec.Template.Spec
			assert.Equal(t, want.Domain.Devices, got.Domain.Devices)
			assert.Equal(t, want.Volumes, got.Volumes)
			assert.Equal(t, want.Domain.CPU, got.Domain.CPU)
		})
	}
}

func TestMergeKeepsWhatIsNotOurs(t *testing.T) {
	live := hotplugged(admitted(machine(t, guideExample(t))))
	// docs/status.md tells people to set one.
	probe := &kubevirtv1.Probe{PeriodSeconds: 5}
	live.Spec.Template.Spec.ReadinessProbe = probe
	desired := machine(t, guideExample(t, func(vs *v1beta1.VirtualServer) {
		vs.Spec.Resources.Memory = resource.MustParse("16Gi")
		vs.Spec.Storage.AdditionalDisks = []v1beta1.AdditionalDisk{claimDisk("second", "y")}
		vs.Spec.Storage.Filesystems = nil
	}))
	merged, changed := MergeVirtualMachine(live, desired)
	require.True(t, changed)
	spec := merged.Spec.Template.Spec
	assert.Equal(t, []string{"root", "second", "cloudinit", "hotplug"}, names(spec.Volumes, volumeName))
	assert.Equal(t, []string{"root", "second", "cloudinit", "hotplug"}, names(spec.Domain.Devices.Disks, diskName))
	assert.Empty(t, spec.Domain.Devices.Filesystems, "a filesystem that was ours goes")
	assert.Equal(t, []string{"other"}, names(spec.Domain.Devices.GPUs, gpuName))
	assert.Equal(t, kubevirtv1.CacheNone, spec.Domain.Devices.Disks[0].Cache)
	assert.Equal(t, "02:11:22:33:44:55", spec.Domain.Devices.Interfaces[0].MacAddress)
	assert.Equal(t, []kubevirtv1.CPUFeature{{Name: "vmx"}}, spec.Domain.CPU.Features)
	assert.Equal(t, "q35", spec.Domain.Machine.Type)
	assert.Equal(t, map[string]string{"zone": "a"}, spec.NodeSelector)
	assert.Equal(t, probe, spec.ReadinessProbe)
	assert.Equal(t, "blue", merged.Labels["team"])
	assert.Equal(t, "daily", merged.Spec.Template.ObjectMeta.Labels["backup"])
	assert.Equal(t, live.Finalizers, merged.Finalizers)
	assert.Equal(t, live.Status, merged.Status)
	_, changed = MergeVirtualMachine(merged, desired)
	assert.False(t, changed)
}

func names[T any](entries []T, name func(T) string) []string {
	var all []string
	for _, entry := range entries {
		all = append(all, name(entry))
	}
	return all
}

// TestMergeRemovesWhatWeSetBefore sets the optional fields and takes them back.
func TestMergeRemovesWhatWeSetBefore(t *testing.T) {
	live := admitted(machine(t, guideExample(t, func(vs *v1beta1.VirtualServer) {
		vs.Spec.Resources.CPU.Model = "Conroe"
		vs.Spec.Resources.GPU = &v1beta1.GPU{Type: "example.com/gpu", Count: 3}
		vs.Spec.Network.MACAddress = "02:00:00:4c:1f:07"
	})))
	merged, changed := MergeVirtualMachine(live, machine(t, guideExample(t, func(vs *v1beta1.VirtualServer) {
		vs.Spec.Resources.GPU = &v1beta1.GPU{Type: "example.com/gpu", Count: 1}
	})))
	require.True(t, changed)
	domain := merged.Spec.Template.Spec.Domain
	assert.Empty(t, domain.CPU.Model)
	assert.Equal(t, []string{"gpu-0"}, names(domain.Devices.GPUs, gpuName))
	assert.Empty(t, domain.Devices.Interfaces[0].MacAddress)
}

// TestMergeMovesANameFromDiskToFilesystem covers a name that changes sides.
func TestMergeMovesANameFromDiskToFilesystem(t *testing.T) {
	live := admitted(machine(t, guideExample(t)))
	desired := machine(t, guideExample(t, withAdditionalDisks(), func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.Filesystems[0].Name = "disk-name"
	}))
	merged, changed := MergeVirtualMachine(live, desired)
	require.True(t, changed)
	assert.Equal(t, desired.Spec.Template.Spec.Domain.Devices, merged.Spec.Template.Spec.Domain.Devices)
	assert.Equal(t, desired.Spec.Template.Spec.Volumes, merged.Spec.Template.Spec.Volumes)
}

// TestAdoptedMachineKeepsItsIdentity merges for a new VirtualServer with the same name and another UID.
func TestAdoptedMachineKeepsItsIdentity(t *testing.T) {
	live := admitted(machine(t, guideExample(t)))
	desired := machine(t, guideExample(t, func(vs *v1beta1.VirtualServer) { vs.UID = "new" }))
	merged, changed := MergeVirtualMachine(live, desired)
	require.True(t, changed)
	assert.Equal(t, "new", merged.Labels[LabelUID])
	assert.Equal(t, live.Spec.Template.Spec, merged.Spec.Template.Spec, "nothing that a guest sees changes")
	assert.Empty(t, RestartRequired(merged, running(live)))
}

func TestMergeWithoutARunStrategyKeepsTheLiveOne(t *testing.T) {
	live := admitted(machine(t, guideExample(t)))
	live.Spec.RunStrategy = ptr.To(kubevirtv1.RunStrategyManual)
	desired, err := VirtualMachine(guideExample(t), Options{})
	require.NoError(t, err)
	merged, changed := MergeVirtualMachine(live, desired)
	assert.False(t, changed)
	assert.Equal(t, kubevirtv1.RunStrategyManual, *merged.Spec.RunStrategy)
	assert.Equal(t, "Always", merged.Annotations[AnnotationAppliedRunStrategy])
}

// TestMergeIsAFixedPoint edits a random machine into another random machine. The second merge must change nothing, and
// the result must not remember the machine that was, except for what is not ours.
func TestMergeIsAFixedPoint(t *testing.T) {
	const rounds = 500
	seed := int64(20240321)
	random := rand.New(rand.NewSource(seed))
	for round := range rounds {
		first := machine(t, randomServer(t, random))
		live := admitted(first)
		if random.Intn(2) == 0 {
			live = hotplugged(live)
		}
		desired := machine(t, randomServer(t, random))
		merged, _ := MergeVirtualMachine(live, desired)
		again, changed := MergeVirtualMachine(merged, desired)
		require.False(t, changed, "seed %d round %d", seed, round)
		require.Equal(t, merged, again)

		back, _ := MergeVirtualMachine(merged, first)
		want, got := live.Spec.Template.Spec, back.Spec.Template.Spec
		require.True(t, equality.Semantic.DeepEqual(want.Domain.Devices.Disks, got.Domain.Devices.Disks) &&
			equality.Semantic.DeepEqual(want.Volumes, got.Volumes) &&
			equality.Semantic.DeepEqual(want.Domain.CPU, got.Domain.CPU), "seed %d round %d: going back must restore", seed, round)
		if vmi := running(admitted(first)); len(RestartRequired(first, vmi)) != 0 {
			t.Fatalf("seed %d round %d: %v", seed, round, RestartRequired(first, vmi))
		}
	}
}

// randomServer returns a random valid VirtualServer.
func randomServer(t *testing.T, random *rand.Rand) *v1beta1.VirtualServer {
	t.Helper()
	pick := func(texts ...string) string { return texts[random.Intn(len(texts))] }
	vs := guideExample(t, withAdditionalDisks())
	vs.Spec.Resources.CPU.Cores = intstr.FromInt32(1 + random.Int31n(4))
	vs.Spec.Resources.CPU.Model = pick("", "Conroe", "Skylake")
	if random.Intn(2) == 0 {
		vs.Spec.Resources.GPU = &v1beta1.GPU{Type: pick("a.com/x", "b.com/y"), Count: random.Int31n(4)}
	}
	vs.Spec.Storage.Root.Ephemeral = random.Intn(2) == 0
	vs.Spec.Storage.Filesystems = nil
	for _, i := range random.Perm(5)[:random.Intn(5)] {
		name := string(rune('a' + i))
		disk := claimDisk(name, pick("x", "y"))
		if random.Intn(3) == 0 {
			vs.Spec.Storage.Filesystems = append(vs.Spec.Storage.Filesystems,
				v1beta1.Filesystem{Name: name, VolumeSource: disk.VolumeSource})
			continue
		}
		disk.Serial = pick("", "", "S"+name)
		vs.Spec.Storage.AdditionalDisks = append(vs.Spec.Storage.AdditionalDisks, disk)
	}
	vs.Spec.Network.MACAddress = pick("", "02:00:00:4c:1f:07")
	vs.Spec.Network.TCP = [][]int32{nil, {80}, {443, 80}}[random.Intn(3)]
	vs.Spec.Network.UDP = [][]int32{nil, {53}, {80}}[random.Intn(3)]
	vs.Spec.CloudInit = pick("", "#cloud-config\n", "#cloud-config\nruncmd: []\n")
	return vs
}
