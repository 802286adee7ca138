package controlplane

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

//go:embed config/nodeagent.yaml
var nodeAgentManifest []byte

const (
	nodeAgentNamespace      = "node-agent"
	nodeAgentServiceAccount = "node-agent"
)

// nodeManagedLabel marks the nodes that the node agent plays.
const nodeManagedLabel = "node-agent.tensorstack.dev/managed=true"

// nodeAgentNodes is how many nodes the agent makes at its start.
const nodeAgentNodes = 2

func (c *ControlPlane) nodeAgent(ctx context.Context) (component, error) {
	if err := c.Apply(ctx, nodeAgentManifest); err != nil {
		return component{}, err
	}
	kubeconfig, err := c.serviceAccountKubeconfig(ctx, nodeAgentNamespace, nodeAgentServiceAccount)
	if err != nil {
		return component{}, err
	}
	// KubeVirt's webhooks revert what anybody but its own accounts writes to a machine.
	kubevirt, err := c.serviceAccountKubeconfig(ctx, kubevirtNamespace, virtControllerServiceAccount)
	if err != nil {
		return component{}, err
	}
	args := []string{
		flag("kubeconfig", kubeconfig), flag("kubevirt-kubeconfig", kubevirt),
		flag("bind-address", "127.0.0.1"), flag("secure-port", strconv.Itoa(c.ports.VirtHandler)),
		flag("tls-cert-file", c.paths.crt("virt-handler-server")), flag("tls-private-key-file", c.paths.key("virt-handler-server")),
		flag("client-ca-file", c.paths.crt(kubevirtCA)),
	}
	args = append(args, c.options.NodeAgentArgs...)
	return component{
		name: NodeAgent, program: NodeAgent, args: args, ready: c.nodesReady, tier: tierNodes, grace: 3 * time.Second,
	}, nil
}

// nodesReady passes when the agent's nodes take pods.
func (c *ControlPlane) nodesReady(ctx context.Context) error {
	nodes, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: nodeManagedLabel})
	if err != nil {
		return err
	}
	ready := 0
	for _, node := range nodes.Items {
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
				ready++
			}
		}
	}
	if ready < nodeAgentNodes {
		return fmt.Errorf("%d of %d nodes are ready", ready, nodeAgentNodes)
	}
	return nil
}
