package node

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"

	"tensorstack.dev/virtualserver/test/nodeagent/cluster"
	"tensorstack.dev/virtualserver/test/nodeagent/faults"
)

// policyName names the admission policy behind the setting scheduling: refuse.
const policyName = "node-agent-scheduling"

// policyCheck is how often the policy is looked for.
const policyCheck = 10 * time.Second

// KeepSchedulingPolicy keeps the policy in place that makes new launcher pods of a
// namespace with the setting scheduling: refuse need a node label that no node
// has, so that the real scheduler refuses them. Once the setting goes, Nodes
// gives the label to its nodes, and the pods that wait are scheduled. It returns
// when the context ends.
func KeepSchedulingPolicy(ctx context.Context, c *cluster.Cluster) {
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		if err := ensureSchedulingPolicy(ctx, c); err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "The setting scheduling: refuse may have no effect")
		}
	}, policyCheck)
}

func ensureSchedulingPolicy(ctx context.Context, c *cluster.Cluster) error {
	ctx, cancel := context.WithTimeout(ctx, cluster.RequestTimeout)
	defer cancel()
	policy, binding := schedulingPolicy()
	client := c.Kube.AdmissionregistrationV1()
	_, err := client.MutatingAdmissionPolicies().Get(ctx, policyName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = client.MutatingAdmissionPolicies().Create(ctx, policy, metav1.CreateOptions{})
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("keeping the scheduling policy: %w", err)
	}
	_, err = client.MutatingAdmissionPolicyBindings().Get(ctx, policyName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = client.MutatingAdmissionPolicyBindings().Create(ctx, binding, metav1.CreateOptions{})
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("keeping the binding of the scheduling policy: %w", err)
	}
	return nil
}

func schedulingPolicy() (*admissionv1.MutatingAdmissionPolicy, *admissionv1.MutatingAdmissionPolicyBinding) {
	ignore, allow := admissionv1.Ignore, admissionv1.AllowAction
	policy := &admissionv1.MutatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: policyName},
		Spec: admissionv1.MutatingAdmissionPolicySpec{
			ParamKind:          &admissionv1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"},
			FailurePolicy:      &ignore,
			ReinvocationPolicy: admissionv1.NeverReinvocationPolicy,
			MatchConstraints: &admissionv1.MatchResources{
				ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
				}}},
			},
			MatchConditions: []admissionv1.MatchCondition{
				// Imports go on: the machine is what finds no node.
				{Name: "launcher", Expression: "has(object.metadata.labels) && object.metadata.labels[?'kubevirt.io'].orValue('') == 'virt-launcher'"},
			},
			Mutations: []admissionv1.Mutation{{
				PatchType: admissionv1.PatchTypeJSONPatch,
				JSONPatch: &admissionv1.JSONPatch{Expression: refusal},
			}},
		},
	}
	binding := &admissionv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: policyName},
		Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{
			PolicyName: policyName,
			// A reference without a namespace means the namespace of the pod.
			ParamRef: &admissionv1.ParamRef{Name: faults.ConfigMapName, ParameterNotFoundAction: &allow},
		},
	}
	return policy, binding
}

// refusal adds the node selector. It is a JSON patch because the label's name
// holds the namespace.
const refusal = `!has(params.data) || !('scheduling' in params.data) || params.data.scheduling.trim() != 'refuse' ? [] :
(has(object.spec.nodeSelector) ? [] : [JSONPatch{op: "add", path: "/spec/nodeSelector", value: {}}]) +
[JSONPatch{op: "add",
  path: "/spec/nodeSelector/" + jsonpatch.escapeKey("` + faults.SchedulingPrefix + `" + object.metadata.namespace),
  value: "allowed"}]`

const schedulingAllowed = "allowed"

// allow gives the node the labels of the namespaces whose pods wait for them
// and may have them, and takes those of refused ones away.
func (n *Nodes) allow(ctx context.Context, node *corev1.Node) error {
	labels := map[string]any{}
	for name := range node.Labels {
		if namespace, found := strings.CutPrefix(name, faults.SchedulingPrefix); found && n.cluster.Faults(ctx, namespace).Scheduling == faults.Refuse {
			labels[name] = nil
		}
	}
	for _, object := range n.cluster.Factory.Core().V1().Pods().Informer().GetStore().List() {
		pod := object.(*corev1.Pod)
		label := faults.SchedulingPrefix + pod.Namespace
		if pod.Spec.NodeName != "" || pod.Spec.NodeSelector[label] == "" || node.Labels[label] == schedulingAllowed {
			continue
		}
		if n.cluster.Faults(ctx, pod.Namespace).Scheduling != faults.Refuse {
			labels[label] = schedulingAllowed
		}
	}
	if len(labels) == 0 {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels}})
	if err != nil {
		return err
	}
	if _, err := n.cluster.Kube.CoreV1().Nodes().Patch(ctx, node.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("labelling node %s: %w", node.Name, err)
	}
	return nil
}
