package translate

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func TestRestartRequired(t *testing.T) {
	for name, test := range map[string]struct {
		before func(*v1beta1.VirtualServer)
		edit   func(*v1beta1.VirtualServer)
		want   []string
	}{
		"nothing": {edit: func(*v1beta1.VirtualServer) {}},
		"run strategy acts at once": {
			edit: func(vs *v1beta1.VirtualServer) { vs.Spec.RunStrategy = v1beta1.RunStrategyHalted }},
		"cores": {
			edit: func(vs *v1beta1.VirtualServer) { vs.Spec.Resources.CPU.Cores = intstr.FromInt32(4) },
			want: []string{"spec.resources.cpu.cores: 1 -> 4"}},
		"cores written as a number": {
			edit: func(vs *v1beta1.VirtualServer) { vs.Spec.Resources.CPU.Cores = intstr.FromInt32(1) }},
		"model": {
			edit: func(vs *v1beta1.VirtualServer) { vs.Spec.Resources.CPU.Model = "Conroe" },
			want: []string{"spec.resources.cpu.model: host-model -> Conroe"}},
		"model taken back": {
			before: func(vs *v1beta1.VirtualServer) { vs.Spec.Resources.CPU.Model = "Conroe" },
			edit:   func(*v1beta1.VirtualServer) {},
			want:   []string{"spec.resources.cpu.model: Conroe -> none"}},
		"memory": {
			edit: func(vs *v1beta1.VirtualServer) { vs.Spec.Resources.Memory = resource.MustParse("16Gi") },
			want: []string{"spec.resources.memory: 8Gi -> 16Gi"}},
		"memory written another way": {
			edit: func(vs *v1beta1.VirtualServer) { vs.Spec.Resources.Memory = resource.MustParse("8192Mi") }},
		"gpus": {
			edit: func(vs *v1beta1.VirtualServer) { vs.Spec.Resources.GPU = &v1beta1.GPU{Type: "a.com/gpu", Count: 2} },
			want: []string{"spec.resources.gpu: none -> 2 x a.com/gpu"}},
		"ephemeral root": {
			edit: func(vs *v1beta1.VirtualServer) { vs.Spec.Storage.Root.Ephemeral = true },
			want: []string{"spec.storage.root: persistent -> ephemeral"}},
		"disk added": {
			edit: withAdditionalDisks(claimDisk("disk-name", "pvc-as-disk"), claimDisk("more", "x")),
			want: []string{"spec.storage.additionalDisks[more]: none -> PVC x, serial more"}},
		"disk removed": {
			edit: withAdditionalDisks(),
			want: []string{"spec.storage.additionalDisks[disk-name]: PVC pvc-as-disk, serial disk-name -> none"}},
		"disk changed": {
			edit: withAdditionalDisks(claimDisk("disk-name", "other")),
			want: []string{"spec.storage.additionalDisks[disk-name]: PVC pvc-as-disk, serial disk-name -> PVC other, serial disk-name"}},
		"disk order": {
			before: withAdditionalDisks(claimDisk("a", "x"), claimDisk("b", "y")),
			edit:   withAdditionalDisks(claimDisk("b", "y"), claimDisk("a", "x")),
			want:   []string{"spec.storage.additionalDisks order: root, a, b, cloudinit -> root, b, a, cloudinit"}},
		"filesystem": {
			edit: func(vs *v1beta1.VirtualServer) { vs.Spec.Storage.Filesystems[0].PersistentVolumeClaim.ReadOnly = true },
			want: []string{"spec.storage.filesystems[my-filesys]: PVC pvc-as-fs -> PVC pvc-as-fs read-only"}},
		"ports, which only the Service knows": {
			edit: func(vs *v1beta1.VirtualServer) { vs.Spec.Network.UDP = []int32{80} }},
		"mac": {
			edit: func(vs *v1beta1.VirtualServer) { vs.Spec.Network.MACAddress = "02:00:00:4c:1f:07" },
			want: []string{"spec.network.macAddress: none -> 02:00:00:4c:1f:07"}},
		"dns": {
			edit: func(vs *v1beta1.VirtualServer) {
				vs.Spec.Network.DNSPolicy = corev1.DNSNone
				vs.Spec.Network.DNSConfig = &corev1.PodDNSConfig{Nameservers: []string{"10.0.0.1"}, Searches: []string{"lab"},
					Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: ptr.To("2")}, {Name: "rotate"}}}
			},
			want: []string{"spec.network.dnsPolicy: ClusterFirst -> None",
				"spec.network.dnsConfig: none -> nameservers 10.0.0.1, searches lab, option ndots:2, option rotate"}},
		"cloud-init text": {
			edit: func(vs *v1beta1.VirtualServer) { vs.Spec.CloudInit = "#cloud-config\npassword: hunter2" },
			want: []string{"spec.cloudInit: changed"}},
		"cloud-init by reference": {
			edit: func(vs *v1beta1.VirtualServer) {
				vs.Spec.CloudInit, vs.Spec.CloudInitSecretRef = "", &corev1.LocalObjectReference{Name: "mine"}
			},
			want: []string{"spec.cloudInit: Secret " + testVM + " -> Secret mine"}},
		"no cloud-init any more": {
			edit: func(vs *v1beta1.VirtualServer) { vs.Spec.CloudInit = "" },
			want: []string{"spec.cloudInit: Secret " + testVM + " -> none"}},
	} {
		t.Run(name, func(t *testing.T) {
			var edits []func(*v1beta1.VirtualServer)
			if test.before != nil {
				edits = append(edits, test.before)
			}
			live := hotplugged(admitted(machine(t, guideExample(t, edits...))))
			vmi := running(live)
			desired := machine(t, guideExample(t, test.edit))
			merged, _ := MergeVirtualMachine(live, desired)
			for kind, vm := range map[string]*kubevirtv1.VirtualMachine{"desired": desired, "merged": merged} {
				if kind == "merged" && name == "mac" {
					// The merge overwrites the address that another tool had set, and says so.
					continue
				}
				var got []string
				for _, change := range RestartRequired(vm, strippedOfHotplug(vmi, kind)) {
					got = append(got, change.String())
				}
				assert.Equal(t, test.want, got, kind)
				assert.NotContains(t, strings.Join(got, ""), "hunter2")
			}
			back, _ := MergeVirtualMachine(merged, machine(t, guideExample(t, edits...)))
			assert.Empty(t, RestartRequired(back, vmi), "taking the edit back clears it")
		})
	}
}

// strippedOfHotplug takes away the address that hotplugged gave to the interface, unless the merged machine keeps it.
func strippedOfHotplug(vmi *kubevirtv1.VirtualMachineInstance, kind string) *kubevirtv1.VirtualMachineInstance {
	vmi = vmi.DeepCopy()
	if kind == "desired" {
		vmi.Spec.Domain.Devices.Interfaces[0].MacAddress = ""
	}
	return vmi
}

func TestRestartRequiredNeedsAMachineThatRuns(t *testing.T) {
	desired := machine(t, guideExample(t, func(vs *v1beta1.VirtualServer) { vs.Spec.CloudInit = "x" }))
	vmi := running(machine(t, guideExample(t)))
	assert.NotEmpty(t, RestartRequired(desired, vmi))
	assert.Empty(t, RestartRequired(desired, nil))
	assert.Empty(t, RestartRequired(nil, vmi))
	assert.Empty(t, RestartRequired(&kubevirtv1.VirtualMachine{}, vmi))
	assert.Empty(t, RestartRequired(desired, deletedAt(vmi.DeepCopy())))
	ended := vmi.DeepCopy()
	ended.Status.Phase = kubevirtv1.Failed
	assert.Empty(t, RestartRequired(desired, ended))
	assert.NotPanics(t, func() { RestartRequired(desired, &kubevirtv1.VirtualMachineInstance{}) })
	assert.NotPanics(t, func() {
		RestartRequired(&kubevirtv1.VirtualMachine{Spec: kubevirtv1.VirtualMachineSpec{
			Template: &kubevirtv1.VirtualMachineInstanceTemplateSpec{}}}, &kubevirtv1.VirtualMachineInstance{})
	})
}

// TestMemoryThatKubeVirtPlugsIn needs no restart where the machine can migrate. Once KubeVirt means to plug it in, the spec of
// the instance tells the new amount whether the guest has it or not.
func TestMemoryThatKubeVirtPlugsIn(t *testing.T) {
	begun := func(condition corev1.ConditionStatus, more ...func(*kubevirtv1.VirtualMachineInstance)) func(*kubevirtv1.VirtualMachineInstance) {
		return func(vmi *kubevirtv1.VirtualMachineInstance) {
			vmi.Spec.Domain.Memory.Guest = ptr.To(resource.MustParse("16Gi"))
			vmi.Status.Conditions = append(vmi.Status.Conditions, kubevirtv1.VirtualMachineInstanceCondition{
				Type: kubevirtv1.VirtualMachineInstanceMemoryChange, Status: condition})
			for _, change := range more {
				change(vmi)
			}
		}
	}
	migration := func(state kubevirtv1.VirtualMachineInstanceMigrationState) func(*kubevirtv1.VirtualMachineInstance) {
		return func(vmi *kubevirtv1.VirtualMachineInstance) { vmi.Status.MigrationState = &state }
	}
	started := ptr.To(metav1.Now())
	for name, test := range map[string]struct {
		memory string
		// from is what the guest was given, 8Gi if it is empty.
		from    string
		vmi     func(*kubevirtv1.VirtualMachineInstance)
		also    func(*v1beta1.VirtualServer)
		restart string
	}{
		"more":                {memory: "16Gi"},
		"more than possible":  {memory: "64Gi", restart: "8Gi -> 64Gi"},
		"less":                {memory: "4Gi", restart: "8Gi -> 4Gi"},
		"not in whole blocks": {memory: "16777217Ki", restart: "8Gi -> 16777217Ki"},
		"too little for it":   {memory: "768Mi", from: "512Mi", restart: "512Mi -> 768Mi"},
		"cannot migrate": {memory: "16Gi", restart: "8Gi -> 16Gi", vmi: func(vmi *kubevirtv1.VirtualMachineInstance) {
			vmi.Status.Conditions[0].Status = corev1.ConditionFalse
		}},
		"another architecture": {memory: "16Gi", restart: "8Gi -> 16Gi", vmi: func(vmi *kubevirtv1.VirtualMachineInstance) {
			vmi.Spec.Architecture = "arm64"
		}},
		"another change as well":                  {memory: "16Gi", restart: "8Gi -> 16Gi", also: withAdditionalDisks()},
		"begun, and nothing migrates the machine": {memory: "16Gi", restart: "8Gi -> 16Gi", vmi: begun(corev1.ConditionTrue)},
		"begun, a migration runs": {memory: "16Gi",
			vmi: begun(corev1.ConditionTrue, migration(kubevirtv1.VirtualMachineInstanceMigrationState{StartTimestamp: started}))},
		"begun, an older migration has ended": {memory: "16Gi", restart: "8Gi -> 16Gi", vmi: begun(corev1.ConditionTrue,
			migration(kubevirtv1.VirtualMachineInstanceMigrationState{StartTimestamp: started, EndTimestamp: started, Completed: true}))},
		"begun, the migration failed": {memory: "16Gi", restart: "8Gi -> 16Gi", vmi: begun(corev1.ConditionTrue,
			migration(kubevirtv1.VirtualMachineInstanceMigrationState{StartTimestamp: started, Failed: true}))},
		"it failed": {memory: "16Gi", restart: "8Gi -> 16Gi", vmi: begun(corev1.ConditionFalse)},
		"done": {memory: "16Gi", vmi: func(vmi *kubevirtv1.VirtualMachineInstance) {
			vmi.Spec.Domain.Memory.Guest = ptr.To(resource.MustParse("16Gi"))
			vmi.Status.Memory.GuestRequested = ptr.To(resource.MustParse("16384Mi"))
		}},
		"plugged, and taken back to what it booted with": {memory: "8Gi", restart: "16Gi -> 8Gi", vmi: func(vmi *kubevirtv1.VirtualMachineInstance) {
			vmi.Spec.Domain.Memory.Guest = ptr.To(resource.MustParse("16Gi"))
			vmi.Status.Memory.GuestRequested = ptr.To(resource.MustParse("16Gi"))
		}},
		"an instance that does not tell": {memory: "16Gi", vmi: func(vmi *kubevirtv1.VirtualMachineInstance) { vmi.Status.Memory = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			from := resource.MustParse("8Gi")
			if test.from != "" {
				from = resource.MustParse(test.from)
			}
			vmi := running(machine(t, guideExample(t)))
			vmi.Spec.Architecture = "amd64"
			vmi.Spec.Domain.Memory.Guest, vmi.Spec.Domain.Memory.MaxGuest = &from, ptr.To(resource.MustParse("32Gi"))
			vmi.Status.Memory = &kubevirtv1.MemoryStatus{GuestAtBoot: &from, GuestCurrent: &from, GuestRequested: &from}
			vmi.Status.Conditions = []kubevirtv1.VirtualMachineInstanceCondition{
				{Type: kubevirtv1.VirtualMachineInstanceIsMigratable, Status: corev1.ConditionTrue}}
			if test.vmi != nil {
				test.vmi(vmi)
			}
			vs := guideExample(t, func(vs *v1beta1.VirtualServer) { vs.Spec.Resources.Memory = resource.MustParse(test.memory) })
			if test.also != nil {
				test.also(vs)
			}
			memory := ""
			for _, change := range RestartRequired(machine(t, vs), vmi) {
				if change.Field == "spec.resources.memory" {
					memory = change.From + " -> " + change.To
				}
			}
			assert.Equal(t, test.restart, memory)
		})
	}
}
