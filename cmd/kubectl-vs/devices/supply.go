// Package devices says how many devices of a kind the nodes have, how many are free, and who holds the others.
package devices

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"

	"tensorstack.dev/virtualserver/pkg/translate"
)

// Supply is what is known of one extended resource.
type Supply struct {
	// Nodes are those that have any of it, by name.
	Nodes []Node
	// Holders are the pods that have some of it, the largest first.
	Holders []Holder
	// Everywhere says that the pods of every namespace were seen. Otherwise nobody knows what is free.
	Everywhere bool
}

// Node is a node's part of it.
type Node struct {
	Name string
	// All is how many pods may have; Free how many nobody has. Free is negative where a device failed after it was given out.
	All, Free int64
	// Cordoned says that the node takes no further pods.
	Cordoned bool
}

// Holder is a pod, or the VirtualServer that it runs for.
type Holder struct {
	Name  string
	Count int64
}

// SupplyOf adds up what the nodes have and what the pods on them were promised. everywhere says that these are the pods of
// every namespace.
func SupplyOf(kind corev1.ResourceName, nodes []corev1.Node, pods []corev1.Pod, everywhere bool) Supply {
	held := map[string]int64{}
	supply := Supply{Everywhere: everywhere}
	for i := range pods {
		pod := &pods[i]
		requests := resource.PodRequests(pod, resource.PodResourcesOptions{})
		count := requests.Name(kind, "").Value()
		if count == 0 || pod.Spec.NodeName == "" || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		held[pod.Spec.NodeName] += count
		supply.Holders = append(supply.Holders, Holder{Name: nameOf(pod), Count: count})
	}
	for i := range nodes {
		node := &nodes[i]
		all := node.Status.Allocatable.Name(kind, "").Value()
		if all == 0 && held[node.Name] == 0 {
			continue
		}
		supply.Nodes = append(supply.Nodes, Node{Name: node.Name, All: all, Free: all - held[node.Name], Cordoned: node.Spec.Unschedulable})
	}
	slices.SortFunc(supply.Nodes, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(supply.Holders, func(a, b Holder) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
	})
	return supply
}

// nameOf is what a person calls the pod.
func nameOf(pod *corev1.Pod) string {
	if vs := pod.Labels[translate.LabelName]; vs != "" {
		return "VirtualServer " + pod.Namespace + "/" + vs
	}
	return "Pod " + pod.Namespace + "/" + pod.Name
}

// maxHolders is how many holders a sentence names.
const maxHolders = 8

// Sentence says all of it in one line, for somebody who wants so many.
func (s Supply) Sentence(wanted int64) string {
	parts := []string{fmt.Sprintf("%d wanted", wanted)}
	if len(s.Nodes) == 0 {
		return parts[0] + "; no node has any"
	}
	var nodes []string
	for _, node := range s.Nodes {
		text := fmt.Sprintf("%d on %s", node.All, node.Name)
		if s.Everywhere {
			text = fmt.Sprintf("%d of %s", max(node.Free, 0), text)
		}
		if node.Cordoned {
			text += " (cordoned)"
		}
		nodes = append(nodes, text)
	}
	if s.Everywhere {
		parts = append(parts, "free: "+strings.Join(nodes, ", "))
	} else {
		parts = append(parts, "there are "+strings.Join(nodes, ", "))
	}
	var holders []string
	for _, holder := range s.Holders[:min(len(s.Holders), maxHolders)] {
		holders = append(holders, fmt.Sprintf("%s has %d", holder.Name, holder.Count))
	}
	if more := len(s.Holders) - len(holders); more > 0 {
		holders = append(holders, fmt.Sprintf("%d more", more))
	}
	if len(holders) > 0 {
		parts = append(parts, strings.Join(holders, ", "))
	}
	return strings.Join(parts, "; ")
}
