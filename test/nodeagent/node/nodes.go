// Package node plays the kubelet: Node objects, their heartbeats, and pods.
package node

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/test/nodeagent/cluster"
	"tensorstack.dev/virtualserver/test/nodeagent/faults"
	"tensorstack.dev/virtualserver/test/nodeagent/loop"
)

// leaseNamespace is where kubelets keep their Leases.
const leaseNamespace = "kube-node-lease"

// handlerHeartbeat is how often virt-handler reports; KubeVirt calls a node
// unresponsive after five minutes without it.
const handlerHeartbeat = 30 * time.Second

// Options describe the nodes that the agent makes and how it serves them.
type Options struct {
	// Names are the nodes made at start; others are served if they are labelled.
	Names []string
	// Heartbeat is the time between two renewals of a node's Lease.
	Heartbeat time.Duration
	// Address is the address of every node.
	Address string
	// KubeletPort is where kube-apiserver asks for logs.
	KubeletPort int32
	// Extended are further resources of every node, such as GPUs.
	Extended map[string]int64
}

// Nodes keeps the nodes alive.
type Nodes struct {
	cluster *cluster.Cluster
	options Options
	loop    *loop.Loop
}

// NewNodes returns the node role.
func NewNodes(c *cluster.Cluster, options Options) *Nodes {
	n := &Nodes{cluster: c, options: options}
	n.loop = loop.New("nodes", n.reconcile)
	return n
}

// Register adds the informer handlers; call it before the informers start.
func (n *Nodes) Register() error {
	_, err := n.cluster.Factory.Core().V1().Nodes().Informer().AddEventHandler(n.loop.Handler())
	if err != nil {
		return fmt.Errorf("watching nodes: %w", err)
	}
	return nil
}

// Create makes the agent's own nodes where they do not exist. It retries, since
// the control plane may still be starting.
func (n *Nodes) Create(ctx context.Context) error {
	for _, name := range n.options.Names {
		var last error
		err := wait.PollUntilContextCancel(ctx, 500*time.Millisecond, true, func(ctx context.Context) (bool, error) {
			_, last = n.cluster.Kube.CoreV1().Nodes().Create(ctx, newNode(name), metav1.CreateOptions{})
			if apierrors.IsAlreadyExists(last) {
				last = nil
			}
			if last != nil {
				klog.FromContext(ctx).Info("The node cannot be created yet", "node", name, "reason", last)
			}
			return last == nil, nil
		})
		if err != nil {
			return fmt.Errorf("creating node %s: %w (last error: %w)", name, err, last)
		}
	}
	return nil
}

// Run works until the context ends.
func (n *Nodes) Run(ctx context.Context) { n.loop.Run(ctx, 2) }

// reconcile is one heartbeat of a node.
func (n *Nodes) reconcile(ctx context.Context, name string) (time.Duration, error) {
	if !n.cluster.Serves(name) {
		return 0, nil
	}
	node := n.cluster.Node(name)
	ctx, cancel := context.WithTimeout(ctx, cluster.RequestTimeout)
	defer cancel()
	if err := n.renew(ctx, node); err != nil {
		return 0, fmt.Errorf("renewing the Lease of node %s: %w", name, err)
	}
	if err := n.label(ctx, node); err != nil {
		return 0, err
	}
	if err := n.allow(ctx, node); err != nil {
		return 0, err
	}
	if err := n.status(ctx, node); err != nil {
		return 0, err
	}
	return n.options.Heartbeat, nil
}

func (n *Nodes) renew(ctx context.Context, node *corev1.Node) error {
	leases := n.cluster.Kube.CoordinationV1().Leases(leaseNamespace)
	now := metav1.NowMicro()
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"renewTime": now}})
	if err != nil {
		return err
	}
	_, err = leases.Patch(ctx, node.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if !apierrors.IsNotFound(err) {
		return err
	}
	seconds := int32(40)
	_, err = leases.Create(ctx, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name: node.Name,
			OwnerReferences: []metav1.OwnerReference{
				{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID},
			},
		},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &node.Name, LeaseDurationSeconds: &seconds, RenewTime: &now},
	}, metav1.CreateOptions{})
	return err
}

// label plays virt-handler's heartbeat: the label that lets machines be
// scheduled and the time of its last sign of life.
func (n *Nodes) label(ctx context.Context, node *corev1.Node) error {
	beat, err := time.Parse(time.RFC3339, node.Annotations[kubevirtv1.VirtHandlerHeartbeat])
	if err == nil && time.Since(beat) < handlerHeartbeat && node.Labels[kubevirtv1.NodeSchedulable] == "true" {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"labels":      handlerLabels(),
		"annotations": map[string]string{kubevirtv1.VirtHandlerHeartbeat: time.Now().UTC().Format(time.RFC3339)},
	}})
	if err != nil {
		return err
	}
	_, err = n.cluster.Kube.CoreV1().Nodes().Patch(ctx, node.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("labelling node %s: %w", node.Name, err)
	}
	return nil
}

// status writes what a kubelet reports, if it differs from what is there.
func (n *Nodes) status(ctx context.Context, node *corev1.Node) error {
	updated := node.DeepCopy()
	updated.Status.Capacity = n.capacity()
	updated.Status.Allocatable = n.capacity()
	updated.Status.Addresses = []corev1.NodeAddress{
		{Type: corev1.NodeInternalIP, Address: n.options.Address},
		{Type: corev1.NodeHostName, Address: node.Name},
	}
	updated.Status.DaemonEndpoints.KubeletEndpoint.Port = n.options.KubeletPort
	updated.Status.NodeInfo = corev1.NodeSystemInfo{
		Architecture: "amd64", OperatingSystem: "linux", OSImage: "Simulated node", KernelVersion: "6.12.0-simulated",
		ContainerRuntimeVersion: "simulated://1.0", KubeletVersion: "v1.37.2",
		MachineID: node.Name, SystemUUID: string(node.UID), BootID: string(node.UID),
	}
	now := metav1.Now()
	for _, condition := range []corev1.NodeCondition{
		{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "the node agent is serving this node"},
		{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientMemory"},
		{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasNoDiskPressure"},
		{Type: corev1.NodePIDPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientPID"},
	} {
		setNodeCondition(&updated.Status, condition, now)
	}
	if equality.Semantic.DeepEqual(node.Status, updated.Status) {
		return nil
	}
	_, err := n.cluster.Kube.CoreV1().Nodes().UpdateStatus(ctx, updated, metav1.UpdateOptions{})
	return err
}

// setNodeCondition keeps both times of a condition that says the same: the
// Lease is the sign of life, and a quiet node writes nothing else.
func setNodeCondition(status *corev1.NodeStatus, condition corev1.NodeCondition, now metav1.Time) {
	condition.LastHeartbeatTime, condition.LastTransitionTime = now, now
	for i := range status.Conditions {
		old := &status.Conditions[i]
		if old.Type != condition.Type {
			continue
		}
		if old.Status == condition.Status {
			condition.LastTransitionTime = old.LastTransitionTime
			condition.LastHeartbeatTime = old.LastHeartbeatTime
		}
		*old = condition
		return
	}
	status.Conditions = append(status.Conditions, condition)
}

func (n *Nodes) capacity() corev1.ResourceList {
	list := corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("64"),
		corev1.ResourceMemory:           resource.MustParse("512Gi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("10Ti"),
		corev1.ResourcePods:             resource.MustParse("500"),
	}
	for _, device := range []corev1.ResourceName{"kvm", "tun", "vhost-net", "vhost-vsock"} {
		list["devices.kubevirt.io/"+device] = resource.MustParse("1000")
	}
	for name, count := range n.options.Extended {
		list[corev1.ResourceName(name)] = *resource.NewQuantity(count, resource.DecimalSI)
	}
	return list
}

func newNode(name string) *corev1.Node {
	labels := handlerLabels()
	maps.Copy(labels, map[string]string{
		faults.ManagedLabel:     "true",
		corev1.LabelHostname:    name,
		corev1.LabelArchStable:  "amd64",
		corev1.LabelOSStable:    "linux",
		"kubevirt.io/simulated": "true",
	})
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}
