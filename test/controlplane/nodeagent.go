package controlplane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"errors"
	"fmt"
	"net"
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
	listens, err := c.nodeAgentListens()
	if err != nil {
		return component{}, err
	}
	// The nodes stay Ready for a while after an agent's death, so they alone tell little.
	ready := func(ctx context.Context) error { return errors.Join(listens(ctx), c.nodesReady(ctx)) }
	args := []string{
		flag("kubeconfig", kubeconfig), flag("kubevirt-kubeconfig", kubevirt),
		flag("bind-address", "127.0.0.1"), flag("secure-port", strconv.Itoa(c.ports.VirtHandler)),
		flag("tls-cert-file", c.paths.crt("virt-handler-server")), flag("tls-private-key-file", c.paths.key("virt-handler-server")),
		flag("client-ca-file", c.paths.crt(kubevirtCA)),
		flag("kubelet-port", strconv.Itoa(c.ports.Kubelet)), flag("kubelet-client-ca-file", c.paths.crt(clusterCA)),
		flag("kubelet-tls-cert-file", c.paths.crt("kubelet")), flag("kubelet-tls-private-key-file", c.paths.key("kubelet")),
	}
	args = append(args, c.options.NodeAgentArgs...)
	return component{
		name: NodeAgent, program: NodeAgent, args: args, ready: ready, tier: tierNodes, grace: 3 * time.Second,
	}, nil
}

// nodeAgentListens probes the endpoint for virt-api, with virt-api's certificate. Its
// certificate has loopback names besides the common name that KubeVirt checks.
func (c *ControlPlane) nodeAgentListens() (probe, error) {
	pair, err := tls.LoadX509KeyPair(c.paths.crt("virt-handler-client"), c.paths.key("virt-handler-client"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(c.cas[kubevirtCA].certificate)
	dialer := &tls.Dialer{Config: &tls.Config{
		RootCAs: roots, ServerName: "localhost", Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12,
	}}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(c.ports.VirtHandler))
	return func(ctx context.Context) error {
		connection, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return connection.Close()
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
