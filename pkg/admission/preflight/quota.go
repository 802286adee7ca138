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
)

// quotaWarnings compares the machine's needs with what the quotas of the namespace leave. Quotas with scopes are left out:
// which pods they count depends on fields that KubeVirt sets.
func (p *Plugin) quotaWarnings(namespace string, spec *tensorstack.VirtualServerSpec) []string {
	quotas, err := p.quotas.ResourceQuotas(namespace).List(labels.Everything())
	if err != nil {
		return nil
	}
	slices.SortFunc(quotas, func(a, b *corev1.ResourceQuota) int { return strings.Compare(a.Name, b.Name) })
	needs := quotaNeeds(spec)
	var warnings []string
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
				warnings = append(warnings, fmt.Sprintf("spec: the ResourceQuota %q leaves %s of %s and the machine needs %s: it waits until there is room",
					quota.Name, left.String(), name, need.String()))
			}
		}
	}
	return warnings
}

// quotaNeeds returns what the objects behind a machine take from quotas. The machine's pod needs somewhat more memory than
// the guest.
func quotaNeeds(spec *tensorstack.VirtualServerSpec) corev1.ResourceList {
	one := *resource.NewQuantity(1, resource.DecimalSI)
	claim := &spec.Storage.Root.PVC
	needs := corev1.ResourceList{
		corev1.ResourcePods:                         one,
		corev1.ResourcePersistentVolumeClaims:       one,
		corev1.ResourceRequestsStorage:              claim.Size,
		corev1.ResourceMemory:                       spec.Resources.Memory,
		corev1.ResourceRequestsMemory:               spec.Resources.Memory,
		corev1.ResourceLimitsMemory:                 spec.Resources.Memory,
		"count/pods":                                one,
		"count/persistentvolumeclaims":              one,
		"count/virtualmachines.kubevirt.io":         one,
		"count/virtualmachineinstances.kubevirt.io": one,
		"count/datavolumes.cdi.kubevirt.io":         one,
	}
	if name := claim.StorageClassName; name != nil && *name != "" {
		const suffix = ".storageclass.storage.k8s.io/"
		needs[corev1.ResourceName(*name+suffix+"requests.storage")] = claim.Size
		needs[corev1.ResourceName(*name+suffix+"persistentvolumeclaims")] = one
	}
	if len(spec.Network.TCP)+len(spec.Network.UDP) > 0 {
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
