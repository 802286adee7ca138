package fuzzer

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func (g generator) bus() v1beta1.DiskBus {
	return pick(g, v1beta1.DiskBus(""), "virtio", "sata", "scsi", "usb")
}

// existingRoot is a root disk that is not made for the machine.
func (g generator) existingRoot() v1beta1.RootDisk {
	root := v1beta1.RootDisk{Bus: g.bus(), Ephemeral: g.rarely(), DeletionPolicy: pick(g, v1beta1.DeletionPolicy(""), "Retain")}
	if g.Intn(2) == 0 {
		root.ContainerDisk = g.containerDisk()
	} else {
		root.PersistentVolumeClaim = &v1beta1.RootDiskVolume{ClaimName: g.name()}
	}
	if rare, rarer := g.rarely(), g.rarely(); rare && rarer {
		root.Source = g.source()
	}
	return root
}

func (g generator) firmware(storage *v1beta1.Storage) *v1beta1.Firmware {
	flag := func() *bool { return pick(g, nil, ptr.To(true), ptr.To(false)) }
	firmware := &v1beta1.Firmware{
		UUID:   pick(g, types.UID(""), "3d2a7e9c-5a1e-4b5e-9a53-2f0a3ce9b1d4", "3D2A7E9C-5A1E-4B5E-9A53-2F0A3CE9B1D4", "3d2a7e9c5a1e4b5e9a532f0a3ce9b1d4", "x"),
		Serial: pick(g, "", "SN-0001", "a, b=c", strings.Repeat("s", 255), strings.Repeat("s", 256), "ä", "a\nb"),
	}
	firmware.Bootloader = pick(g, nil, &v1beta1.Bootloader{EFI: &v1beta1.EFI{SecureBoot: flag(), Persistent: flag()}},
		&v1beta1.Bootloader{BIOS: &v1beta1.BIOS{UseSerial: flag()}}, &v1beta1.Bootloader{}, &v1beta1.Bootloader{BIOS: &v1beta1.BIOS{}, EFI: &v1beta1.EFI{}})
	if g.rarely() {
		firmware.KernelBoot = &v1beta1.KernelBoot{KernelArgs: pick(g, "", "console=ttyS0", strings.Repeat("a", 2048), "a\nb")}
		if g.Intn(4) > 0 {
			firmware.KernelBoot.Container = &v1beta1.KernelBootContainer{
				Image: pick(g, "registry.example.com/kernel:1", "A", ""), ImagePullSecret: pick(g, "", "pull", "A"),
				ImagePullPolicy: pick(g, corev1.PullPolicy(""), "Always", "x"), KernelPath: pick(g, "/boot/vmlinuz", "", "boot", "/"),
				InitrdPath: pick(g, "", "/boot/initrd", "/a/../b"),
			}
		}
	}
	if g.rarely() {
		firmware.ACPI = &v1beta1.ACPI{SlicNameRef: pick(g, "", "none")}
		for _, disk := range storage.AdditionalDisks {
			firmware.ACPI.MsdmNameRef = disk.Name
		}
	}
	return firmware
}

func (g generator) scheduler() *v1beta1.Scheduler {
	return pick(g, nil, &v1beta1.Scheduler{T9kScheduler: &v1beta1.T9kScheduler{Queue: pick(g, "default", "Team.A_1", strings.Repeat("q", 63), strings.Repeat("q", 64),
		"a b", "")}}, &v1beta1.Scheduler{})
}

func (g generator) placement() v1beta1.Placement {
	placement := v1beta1.Placement{
		NodeSelector: pick(g, nil, map[string]string{"kubernetes.io/hostname": "node-a"}, map[string]string{"zone": ""}, map[string]string{"a b": "c"},
			map[string]string{"zone": "a b"}),
		PriorityClassName: pick(g, "", "high", "system-node-critical", "A"),
		SchedulerName:     pick(g, "", "other", "t9k-scheduler", "A b"),
	}
	if g.rarely() {
		placement.Tolerations = []corev1.Toleration{{
			Key: pick(g, "gpu", "example.com/gpu", "", "a b"), Operator: pick(g, corev1.TolerationOperator(""), "Equal", "Exists", "In"),
			Value: pick(g, "", "yes", "a b"), Effect: pick(g, corev1.TaintEffect(""), "NoSchedule", "NoExecute", "Never"),
			TolerationSeconds: pick(g, nil, nil, ptr.To(int64(60))),
		}}
	}
	if g.rarely() {
		placement.Affinity = g.affinity()
	}
	if g.rarely() {
		placement.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: pick(g, int32(1), 3, 0, -1), TopologyKey: pick(g, "topology.kubernetes.io/zone", "zone", "", "a b"),
			WhenUnsatisfiable: pick(g, corev1.DoNotSchedule, corev1.ScheduleAnyway, "", "x"), LabelSelector: g.selector(),
			MinDomains: pick(g, nil, nil, ptr.To(int32(2)), ptr.To(int32(0))), NodeTaintsPolicy: pick(g, nil, ptr.To(corev1.NodeInclusionPolicyHonor),
				ptr.To(corev1.NodeInclusionPolicy("x"))), MatchLabelKeys: pick(g, nil, []string{"team"}, []string{"a b"}),
		}}
	}
	return placement
}

func (g generator) selector() *metav1.LabelSelector {
	return pick(g, &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, nil,
		&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: "In", Values: []string{"a"}}}},
		&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: "Exists", Values: []string{"a"}}}},
		&metav1.LabelSelector{MatchLabels: map[string]string{"a b": "c"}})
}

func (g generator) affinity() *corev1.Affinity {
	requirement := corev1.NodeSelectorRequirement{
		Key: pick(g, "zone", "example.com/disk", "a b", ""), Operator: pick(g, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpExists, corev1.NodeSelectorOpGt, "x"),
		Values: pick(g, []string{"1"}, nil, []string{"a", "b"}, []string{"a b"}),
	}
	term := corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{requirement}}
	pod := corev1.PodAffinityTerm{
		LabelSelector: g.selector(), TopologyKey: pick(g, "kubernetes.io/hostname", "zone", "", "a b"), NamespaceSelector: pick(g, nil, g.selector()),
		Namespaces: pick(g, nil, []string{"other"}, []string{"A"}, []string{""}),
	}
	weight := pick(g, int32(1), 100, 50, 0, 101)
	switch g.Intn(4) {
	case 0:
		return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: pick(g, []corev1.NodeSelectorTerm{term}, nil, []corev1.NodeSelectorTerm{{}})}}}
	case 1:
		return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{
			{Weight: weight, Preference: term}}}}
	case 2:
		return &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{pod}}}
	default:
		return &corev1.Affinity{PodAffinity: &corev1.PodAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{
			{Weight: weight, PodAffinityTerm: pod}}}}
	}
}
