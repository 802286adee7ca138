package limits

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

const (
	mebi = 1 << 20
	// launcherOverhead is what the processes beside the guest take: the sum of the constants in KubeVirt's
	// pkg/virt-controller/services/renderresources.go, and the memory of the display.
	launcherOverhead = (25 + 100 + 25 + 40 + 30 + 8 + 16) * mebi
	// perCPU is what QEMU takes for each virtual CPU, and pageTables the part of the guest's memory that its page tables take.
	perCPU     = 8 * mebi
	pageTables = 512
	// milliCPU is what KubeVirt requests for each virtual CPU by default (cpuAllocationRatio).
	milliCPU = 100
)

// Overhead is what the pod of a machine needs at least beside the memory of the guest, in bytes.
func Overhead(memory resource.Quantity, cores int64) int64 {
	return launcherOverhead + cores*perCPU + memory.Value()/pageTables
}

// Machine is what the pod of a machine needs.
func Machine(memory resource.Quantity, cores int64) Need {
	total := *resource.NewQuantity(memory.Value()+Overhead(memory, cores), resource.BinarySI)
	requested := *resource.NewMilliQuantity(cores*milliCPU, resource.DecimalSI)
	limited := *resource.NewQuantity(cores, resource.DecimalSI)
	one := *resource.NewQuantity(1, resource.DecimalSI)
	return Need{
		Who: "the machine",
		Quota: corev1.ResourceList{
			corev1.ResourcePods: one, "count/pods": one,
			corev1.ResourceCPU: requested, corev1.ResourceRequestsCPU: requested, corev1.ResourceLimitsCPU: limited,
			corev1.ResourceMemory: total, corev1.ResourceRequestsMemory: total, corev1.ResourceLimitsMemory: total,
		},
		Requests: corev1.ResourceList{corev1.ResourceCPU: requested, corev1.ResourceMemory: total},
		Limits:   corev1.ResourceList{corev1.ResourceCPU: limited, corev1.ResourceMemory: total},
	}
}

// Importer is what CDI gives the pod of an import unless its configuration says otherwise (defaultCPULimit and so on in CDI's
// pkg/operator/resources).
func Importer() corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("60M")},
		Limits:   corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("750m"), corev1.ResourceMemory: resource.MustParse("600M")},
	}
}

// Import is what the import of a disk needs while it runs: a pod with the resources that CDI gives it, the claim, and as much
// again for scratch space, if the image has to be converted.
func Import(size resource.Quantity, scratch bool, importer corev1.ResourceRequirements) Need {
	one := *resource.NewQuantity(1, resource.DecimalSI)
	claims, space := []resource.Quantity{size}, size.DeepCopy()
	count := one
	if scratch {
		claims = append(claims, size)
		space.Add(size)
		count = *resource.NewQuantity(2, resource.DecimalSI)
	}
	need := Need{Who: "the import", Claims: claims, Requests: importer.Requests, Limits: importer.Limits}
	need.Quota = corev1.ResourceList{
		corev1.ResourcePods: one, "count/pods": one,
		corev1.ResourceCPU: need.Requests[corev1.ResourceCPU], corev1.ResourceRequestsCPU: need.Requests[corev1.ResourceCPU],
		corev1.ResourceLimitsCPU: need.Limits[corev1.ResourceCPU],
		corev1.ResourceMemory:    need.Requests[corev1.ResourceMemory], corev1.ResourceRequestsMemory: need.Requests[corev1.ResourceMemory],
		corev1.ResourceLimitsMemory:           need.Limits[corev1.ResourceMemory],
		corev1.ResourcePersistentVolumeClaims: count, "count/persistentvolumeclaims": count,
		corev1.ResourceRequestsStorage: space,
	}
	return need
}

// Remaining is what an import needs beside the claim, which exists and counts already.
func Remaining(size resource.Quantity, scratch bool, importer corev1.ResourceRequirements) Need {
	need := Import(size, scratch, importer)
	for _, name := range []corev1.ResourceName{corev1.ResourcePersistentVolumeClaims, "count/persistentvolumeclaims"} {
		count := need.Quota[name]
		count.Sub(*resource.NewQuantity(1, resource.DecimalSI))
		need.Quota[name] = count
	}
	space := need.Quota[corev1.ResourceRequestsStorage]
	space.Sub(size)
	need.Quota[corev1.ResourceRequestsStorage] = space
	need.Claims = need.Claims[1:]
	return need
}
