package preflight

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/quantity"
)

const (
	// schedulableLabel is KubeVirt's mark of a node that can run machines.
	schedulableLabel = "kubevirt.io/schedulable"
	// cpuModelLabel is the prefix of the labels by which KubeVirt says which CPU models a node offers.
	cpuModelLabel = "cpu-model.node.kubevirt.io/"
)

// nodeWarnings compares what the machine asks for with the largest offer of any node. What is in use does not count: it
// changes from minute to minute, and the machine's status tells.
func (p *Plugin) nodeWarnings(spec *tensorstack.VirtualServerSpec, path *field.Path) []string {
	nodes, err := p.nodes.List(labels.SelectorFromSet(labels.Set{schedulableLabel: "true"}))
	if err != nil {
		return nil
	}
	if len(nodes) == 0 {
		return []string{fmt.Sprintf("%s: no node of this cluster can run machines: none has KubeVirt's label %s=true", path, schedulableLabel)}
	}
	var warnings []string
	if largest := largestOffer(nodes, corev1.ResourceMemory); largest.Cmp(spec.Resources.Memory) < 0 {
		warnings = append(warnings, fmt.Sprintf("%s: no node has that much memory: the largest has %s", path.Child("memory"), largest.String()))
	}
	warnings = append(warnings, coresWarnings(nodes, spec.Resources.CPU, path.Child("cpu", "cores"))...)
	if gpu := spec.Resources.GPU; gpu != nil {
		warnings = append(warnings, gpuWarnings(nodes, gpu, path.Child("gpu"))...)
	}
	model := spec.Resources.CPU.Model
	if model != "" && !strings.HasPrefix(model, "host-") && !anyNode(nodes, cpuModelLabel+model) {
		warnings = append(warnings, fmt.Sprintf("%s: no node offers the CPU model %q", path.Child("cpu", "model"), model))
	}
	return warnings
}

// coresWarnings compares with all cores of a node and not with what pods may have of them, because a machine's pod asks for a
// part of each core only (KubeVirt's cpuAllocationRatio).
func coresWarnings(nodes []*corev1.Node, cpu tensorstack.CPU, path *field.Path) []string {
	cores, err := quantity.Cores(cpu.Cores)
	if err != nil {
		return nil
	}
	var largest resource.Quantity
	for _, node := range nodes {
		has, found := node.Status.Capacity[corev1.ResourceCPU]
		if !found {
			has = node.Status.Allocatable[corev1.ResourceCPU]
		}
		if has.Cmp(largest) > 0 {
			largest = has
		}
	}
	if largest.IsZero() || largest.CmpInt64(int64(cores)) >= 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s: no node has that many CPU cores: the largest has %s, so that the guest's cores share them and are slow, or the "+
		"machine finds no node", path, largest.String())}
}

func gpuWarnings(nodes []*corev1.Node, gpu *tensorstack.GPU, path *field.Path) []string {
	largest := largestOffer(nodes, corev1.ResourceName(gpu.Type))
	switch {
	case largest.IsZero():
		return []string{fmt.Sprintf("%s: no node offers %q: ask an administrator which GPU types there are", path.Child("type"), gpu.Type)}
	case largest.CmpInt64(int64(gpu.Count)) < 0:
		return []string{fmt.Sprintf("%s: no node has more than %s of %q", path.Child("count"), largest.String(), gpu.Type)}
	}
	return nil
}

func largestOffer(nodes []*corev1.Node, name corev1.ResourceName) resource.Quantity {
	var largest resource.Quantity
	for _, node := range nodes {
		if offer, found := node.Status.Allocatable[name]; found && offer.Cmp(largest) > 0 {
			largest = offer
		}
	}
	return largest
}

func anyNode(nodes []*corev1.Node, label string) bool {
	for _, node := range nodes {
		if node.Labels[label] == "true" {
			return true
		}
	}
	return false
}
