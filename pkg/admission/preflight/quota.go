package preflight

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/validation"
	"tensorstack.dev/virtualserver/pkg/limits"
	"tensorstack.dev/virtualserver/pkg/quantity"
)

// quotaWarnings compares the machine's needs with what the quotas of the namespace leave. Quotas with scopes are left out:
// which pods they count depends on fields that KubeVirt sets.
func (p *Plugin) quotaWarnings(namespace string, spec *tensorstack.VirtualServerSpec, importer corev1.ResourceRequirements) []string {
	quotas, err := p.quotas.ResourceQuotas(namespace).List(labels.Everything())
	if err != nil {
		return nil
	}
	slices.SortFunc(quotas, func(a, b *corev1.ResourceQuota) int { return strings.Compare(a.Name, b.Name) })
	needs := quotaNeeds(spec)
	told := map[corev1.ResourceName]bool{}
	var warnings []string
	for _, text := range limits.Shortfalls(machineLimits(spec), nil, p.limitRanges(namespace)) {
		warnings = append(warnings, "spec.resources: "+text+": the machine does not start")
	}
	for _, quota := range quotas {
		if len(quota.Spec.Scopes) > 0 || quota.Spec.ScopeSelector != nil {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(needs)) {
			hard, limited := quota.Status.Hard[name]
			if !limited {
				continue
			}
			left := hard.DeepCopy()
			left.Sub(quota.Status.Used[name])
			if need := needs[name]; left.Cmp(need) < 0 {
				told[name] = true
				warnings = append(warnings, fmt.Sprintf("spec: the ResourceQuota %q leaves %s of %s and the machine needs %s: it waits until there is room",
					quota.Name, left.String(), name, need.String()))
			}
		}
	}
	for _, text := range importShortfalls(spec, importer, told, quotas, p.limitRanges(namespace)) {
		warnings = append(warnings, "spec.storage.root: "+text+": the import waits until there is room")
	}
	return warnings
}

func (p *Plugin) limitRanges(namespace string) []*corev1.LimitRange {
	if !p.rangesSynced() {
		return nil
	}
	ranges, err := p.ranges.LimitRanges(namespace).List(labels.Everything())
	if err != nil {
		return nil
	}
	return ranges
}

// importShortfalls says what the import does not get, unless that was told of the machine.
func importShortfalls(
	spec *tensorstack.VirtualServerSpec, importer corev1.ResourceRequirements, told map[corev1.ResourceName]bool,
	quotas []*corev1.ResourceQuota, ranges []*corev1.LimitRange,
) []string {
	if !validation.MakesRootDisk(&spec.Storage.Root) {
		return nil
	}
	source := &spec.Storage.Root.Source
	scratch := source.PVC == nil && source.Snapshot == nil && source.Blank == nil && source.Upload == nil
	need := limits.Import(spec.Storage.Root.PVC.Size, scratch, importer)
	for name := range told {
		delete(need.Quota, name)
	}
	return limits.Shortfalls(need, quotas, ranges)
}

// machineLimits is what the pod of the machine needs of LimitRanges. KubeVirt gives it limits only where a quota asks for them.
func machineLimits(spec *tensorstack.VirtualServerSpec) limits.Need {
	need := machineNeed(spec)
	need.Limits = corev1.ResourceList{corev1.ResourceMemory: need.Limits[corev1.ResourceMemory]}
	need.Requests = corev1.ResourceList{}
	return need
}

func machineNeed(spec *tensorstack.VirtualServerSpec) limits.Need {
	cores, err := quantity.Cores(spec.Resources.CPU.Cores)
	if err != nil {
		cores = 0
	}
	return limits.Machine(spec.Resources.Memory, int64(cores))
}

// quotaNeeds returns what the objects behind a machine take from quotas.
func quotaNeeds(spec *tensorstack.VirtualServerSpec) corev1.ResourceList {
	one := *resource.NewQuantity(1, resource.DecimalSI)
	needs := corev1.ResourceList{
		corev1.ResourcePods:                         one,
		"count/pods":                                one,
		"count/virtualmachines.kubevirt.io":         one,
		"count/virtualmachineinstances.kubevirt.io": one,
	}
	if validation.MakesRootDisk(&spec.Storage.Root) {
		maps.Copy(needs, rootDiskNeeds(&spec.Storage.Root.PVC))
	}
	for name, quantity := range machineNeed(spec).Quota {
		needs[name] = quantity
	}
	if len(spec.Network.TCP)+len(spec.Network.UDP)+len(spec.Network.Ports) > 0 {
		needs[corev1.ResourceServices], needs["count/services"] = one, one
	}
	if spec.CloudInit != "" {
		needs[corev1.ResourceSecrets], needs["count/secrets"] = one, one
	}
	if gpu := spec.Resources.GPU; gpu != nil {
		needs[corev1.ResourceName(corev1.DefaultResourceRequestsPrefix+gpu.Type)] = *resource.NewQuantity(int64(gpu.Count), resource.DecimalSI)
	}
	return needs
}

// rootDiskNeeds returns what a root disk takes that is made for the machine.
func rootDiskNeeds(claim *tensorstack.RootDiskClaim) corev1.ResourceList {
	one := *resource.NewQuantity(1, resource.DecimalSI)
	needs := corev1.ResourceList{
		corev1.ResourcePersistentVolumeClaims: one,
		corev1.ResourceRequestsStorage:        claim.Size,
		"count/persistentvolumeclaims":        one,
		"count/datavolumes.cdi.kubevirt.io":   one,
	}
	if name := claim.StorageClassName; name != nil && *name != "" {
		const suffix = ".storageclass.storage.k8s.io/"
		needs[corev1.ResourceName(*name+suffix+"requests.storage")] = claim.Size
		needs[corev1.ResourceName(*name+suffix+"persistentvolumeclaims")] = one
	}
	return needs
}
