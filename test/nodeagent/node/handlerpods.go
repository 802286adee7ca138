package node

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/test/nodeagent/cluster"
	"tensorstack.dev/virtualserver/test/nodeagent/loop"
)

// kubevirtNamespace is where KubeVirt's components look for virt-handler.
const kubevirtNamespace = "kubevirt"

const handlerName = "virt-handler"

// HandlerPods keeps one virt-handler pod per node: virt-api finds the address
// of a node's virt-handler in that pod and nowhere else.
type HandlerPods struct {
	cluster *cluster.Cluster
	loop    *loop.Loop
}

// NewHandlerPods returns the role.
func NewHandlerPods(c *cluster.Cluster) *HandlerPods {
	h := &HandlerPods{cluster: c}
	h.loop = loop.New("virt-handlers", h.reconcile)
	return h
}

// Register adds the informer handlers; call it before the informers start.
func (h *HandlerPods) Register() error {
	nodes := h.cluster.Factory.Core().V1().Nodes().Informer()
	if _, err := nodes.AddEventHandler(h.loop.Handler()); err != nil {
		return fmt.Errorf("watching nodes: %w", err)
	}
	pods := h.cluster.Factory.Core().V1().Pods().Informer()
	_, err := pods.AddEventHandler(h.loop.HandlerFor(func(object any) []string {
		pod, ok := object.(*corev1.Pod)
		if !ok || pod.Namespace != kubevirtNamespace || pod.Labels[kubevirtv1.AppLabel] != handlerName {
			return nil
		}
		return []string{pod.Spec.NodeName}
	}))
	if err != nil {
		return fmt.Errorf("watching virt-handler pods: %w", err)
	}
	return nil
}

// Run works until the context ends.
func (h *HandlerPods) Run(ctx context.Context) { h.loop.Run(ctx, 1) }

func (h *HandlerPods) reconcile(ctx context.Context, node string) (time.Duration, error) {
	if !h.cluster.Serves(node) {
		return 0, nil
	}
	for _, pod := range h.cluster.PodsOn(node) {
		if pod.Namespace == kubevirtNamespace && pod.Labels[kubevirtv1.AppLabel] == handlerName {
			return 0, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, cluster.RequestTimeout)
	defer cancel()
	_, err := h.cluster.Kube.CoreV1().Pods(kubevirtNamespace).Create(ctx, handlerPod(node), metav1.CreateOptions{})
	switch {
	case apierrors.IsAlreadyExists(err):
		return 0, nil
	case apierrors.IsNotFound(err) || apierrors.IsForbidden(err):
		// The namespace or its ServiceAccount is still to come.
		return time.Second, nil
	}
	return 0, err
}

func handlerPod(node string) *corev1.Pod {
	no := false
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: kubevirtNamespace, Name: handlerName + "-" + node,
			Labels: map[string]string{kubevirtv1.AppLabel: handlerName},
		},
		Spec: corev1.PodSpec{
			NodeName:    node,
			HostNetwork: true,
			// Like the pods of a DaemonSet it stays on a node in trouble.
			Tolerations:                  []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			AutomountServiceAccountToken: &no,
			Containers:                   []corev1.Container{{Name: handlerName, Image: "simulated/virt-handler"}},
		},
	}
}
