package app

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"tensorstack.dev/virtualserver/cmd/kubectl-vs/devices"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/status"
)

// waitsForGPU says that the machine wants a GPU and has no node yet.
func (e *evidence) waitsForGPU() bool {
	seen := &e.server.Status
	if e.server.Spec.Resources.GPU == nil {
		return false
	}
	ready := meta.FindStatusCondition(seen.Conditions, v1beta1.ConditionReady)
	return seen.PrintableStatus == v1beta1.StatusFailedUnschedulable ||
		ready != nil && ready.Reason == status.ReasonHostDeviceNotPermitted ||
		e.launcher != nil && e.launcher.Status.Phase == corev1.PodPending && e.launcher.Spec.NodeName == ""
}

// gatherGPUs looks at the nodes and at who holds their devices. Whoever may not see the pods of other namespaces sees those of
// this one, and not what is free.
func (e *evidence) gatherGPUs(ctx context.Context, core typedcorev1.CoreV1Interface) error {
	nodes, err := core.Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return e.note("Nodes", err)
	}
	pods, err := core.Pods("").List(ctx, metav1.ListOptions{})
	everywhere := !apierrors.IsForbidden(err)
	if !everywhere {
		e.hidden = append(e.hidden, "Pods of other namespaces")
		pods, err = core.Pods(e.server.Namespace).List(ctx, metav1.ListOptions{})
	}
	if err != nil {
		return e.note("Pods", err)
	}
	supply := devices.SupplyOf(corev1.ResourceName(e.server.Spec.Resources.GPU.Type), nodes.Items, pods.Items, everywhere)
	e.gpus = &supply
	return nil
}
