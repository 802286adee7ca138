package virtualserver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// TestDeletionNamesWhatHoldsTheInstance concerns a machine that is deleted and cannot go: nothing but KubeVirt on its node can
// end its instance, so the user must be told of the node.
func TestDeletionNamesWhatHoldsTheInstance(t *testing.T) {
	since := metav1.NewTime(time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC))
	node := func(ready corev1.ConditionStatus) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-a"}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{
			Type: corev1.NodeReady, Status: ready, LastTransitionTime: since, Message: "the container runtime is down"}}}}
	}
	silent := node(corev1.ConditionTrue)
	silent.Labels = map[string]string{kubevirtv1.NodeSchedulable: "false"}
	silent.Annotations = map[string]string{kubevirtv1.VirtHandlerHeartbeat: "2026-01-02T02:00:00Z"}
	const remedy = "Bring the node back, or delete its Node object once it is surely off."
	const shuttingDown = "the guest is shutting down and has 30 seconds for it."

	for name, test := range map[string]struct {
		node      *corev1.Node
		phase     kubevirtv1.VirtualMachineInstancePhase
		finalizer string
		noMachine bool
		want      []string
		not       string
	}{
		"the guest shuts down":          {node(corev1.ConditionTrue), kubevirtv1.Running, "", false, []string{"VirtualMachine ", shuttingDown}, remedy},
		"without its machine":           {node(corev1.ConditionTrue), kubevirtv1.Running, "", true, []string{"VirtualMachineInstance ", shuttingDown}, remedy},
		"the node is not heard from":    {node(corev1.ConditionUnknown), kubevirtv1.Running, "", false, []string{"node-a", "not heard from since", remedy}, shuttingDown},
		"so without its machine":        {node(corev1.ConditionUnknown), kubevirtv1.Running, "", true, []string{"node-a", "not heard from since", remedy}, shuttingDown},
		"the node is not ready":         {node(corev1.ConditionFalse), kubevirtv1.Running, "", false, []string{"node-a", "the container runtime is down", remedy}, shuttingDown},
		"the node is gone":              {nil, kubevirtv1.Running, "", false, []string{"node-a", "does not exist", remedy}, shuttingDown},
		"virt-handler is silent":        {silent, kubevirtv1.Running, "", false, []string{"node-a", "virt-handler not heard from", remedy}, shuttingDown},
		"the node is lost after an end": {nil, kubevirtv1.Failed, "", true, []string{"node-a", "does not exist", remedy}, "has ended"},
		"KubeVirt cleans up":            {node(corev1.ConditionTrue), kubevirtv1.Succeeded, "foregroundDeleteVirtualMachine", true, []string{"has ended, and KubeVirt cleans up on node node-a."}, shuttingDown},
		"ended":                         {node(corev1.ConditionTrue), kubevirtv1.Failed, "", false, []string{"has ended and is being removed."}, shuttingDown},
		"somebody else keeps it":        {node(corev1.ConditionTrue), kubevirtv1.Succeeded, "backup.example.com/keep", true, []string{"has ended", "backup.example.com/keep"}, shuttingDown},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, testServer())
			b.settle("web")
			vs := b.server("web")
			vs.DeletionTimestamp = &since
			b.update(vs)
			key := vs.Status.VM.Name
			vmi := &kubevirtv1.VirtualMachineInstance{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: key, UID: "run",
				Labels: translate.Labels(vs), DeletionTimestamp: &since}}
			vmi.Spec.TerminationGracePeriodSeconds = ptr.To[int64](30)
			vmi.Status.Phase, vmi.Status.NodeName = test.phase, "node-a"
			if test.finalizer != "" {
				vmi.Finalizers = []string{test.finalizer}
			}
			b.kubevirt.instances[key] = vmi
			if test.noMachine {
				delete(b.kubevirt.machines, key)
			} else {
				b.kubevirt.machines[key].DeletionTimestamp = &since
			}
			if test.node != nil {
				require.NoError(t, b.kubernetes.Tracker().Add(test.node.DeepCopy()))
			}

			_, _, err := b.pass("web")
			require.NoError(t, err)

			condition := meta.FindStatusCondition(b.server("web").Status.Conditions, v1beta1.ConditionReconciled)
			require.NotNil(t, condition)
			assert.Equal(t, reasonDeleting, condition.Reason)
			for _, part := range test.want {
				assert.Contains(t, condition.Message, part)
			}
			assert.NotContains(t, condition.Message, test.not)
			assert.Contains(t, b.kubevirt.instances, key, "the instance is left to KubeVirt")
		})
	}
}
