package integration

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// history collects each status that a VirtualServer shows, in order, from now on.
func history(e *framework.Environment, name string) func(until func(v1beta1.PrintableStatus, *v1beta1.VirtualServer) bool) []v1beta1.PrintableStatus {
	e.T.Helper()
	watcher, err := e.Client().Watch(e.Context, metav1.ListOptions{
		FieldSelector: "metadata.name=" + name, ResourceVersion: "0", TimeoutSeconds: ptr.To[int64](300),
	})
	require.NoError(e.T, err)
	e.T.Cleanup(watcher.Stop)
	return func(until func(v1beta1.PrintableStatus, *v1beta1.VirtualServer) bool) []v1beta1.PrintableStatus {
		e.T.Helper()
		var seen []v1beta1.PrintableStatus
		for event := range watcher.ResultChan() {
			vs, ok := event.Object.(*v1beta1.VirtualServer)
			require.True(e.T, ok, "%v", event)
			status := vs.Status.PrintableStatus
			if status != "" && (len(seen) == 0 || seen[len(seen)-1] != status) {
				seen = append(seen, status)
			}
			if until(status, vs) {
				return seen
			}
		}
		require.FailNow(e.T, "the watch ended", "seen so far: %v", seen)
		return nil
	}
}

func TestStartPassesThroughItsStates(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	states := history(e, "machine")
	e.Create(framework.Minimal("machine"))
	seen := states(func(status v1beta1.PrintableStatus, _ *v1beta1.VirtualServer) bool {
		return status == v1beta1.StatusRunning
	})
	assert.Equal(t, []v1beta1.PrintableStatus{v1beta1.StatusProvisioning, v1beta1.StatusStarting, v1beta1.StatusRunning}, seen)

	// A stop shows nothing but Stopping on the way, and the status says when each state was reached.
	e.MustOperate("machine", "stop")
	seen = states(func(status v1beta1.PrintableStatus, _ *v1beta1.VirtualServer) bool {
		return status == v1beta1.StatusStopped
	})
	assert.Equal(t, []v1beta1.PrintableStatus{v1beta1.StatusRunning, v1beta1.StatusStopping, v1beta1.StatusStopped}, seen)
	for _, transition := range e.Get("machine").Status.PhaseTransitions {
		assert.False(t, transition.Time.IsZero(), "%s", transition.Phase)
	}
}

func TestMachineWhoseGuestIsSlowIsStarting(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Faults(map[string]string{"boot": "hang"})
	e.Create(framework.Minimal("machine"))
	vs := e.Wait("machine", "waits for its node", func(vs *v1beta1.VirtualServer) string {
		if vs.Status.PrintableStatus != v1beta1.StatusStarting || vs.Status.Node == "" {
			return "not yet"
		}
		return ""
	})
	assert.Contains(t, vs.Status.Message, vs.Status.Node)
	assert.Equal(t, metav1.ConditionFalse, findCondition(vs, v1beta1.ConditionReady).Status)
	e.Faults(map[string]string{})
	e.WaitStatus("machine", v1beta1.StatusRunning)
}

func TestMigratingMachine(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine", func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.Root.PVC.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
	}))
	before := e.WaitSettled("machine", v1beta1.StatusRunning)
	e.Eventually("the machine can migrate", func() error {
		for _, condition := range e.Instance(before.Status.VM.Name).Status.Conditions {
			if condition.Type == kubevirtv1.VirtualMachineInstanceIsMigratable && condition.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return errMissing("the condition LiveMigratable")
	})
	states := history(e, "machine")
	result := e.Run("", "kubectl-virt", "--namespace", e.Namespace, "migrate", before.Status.VM.Name)
	require.NoError(t, result.Err, result.Stderr)
	message := ""
	seen := states(func(status v1beta1.PrintableStatus, vs *v1beta1.VirtualServer) bool {
		if status == v1beta1.StatusMigrating {
			message = vs.Status.Message
		}
		return vs.Status.Node != before.Status.Node && status == v1beta1.StatusRunning
	})
	assert.True(t, slices.Contains(seen, v1beta1.StatusMigrating), "%v", seen)
	assert.Contains(t, message, before.Status.Node, "the message says where it moves from")
	assert.Equal(t, before.Status.VM.InstanceUID, e.Get("machine").Status.VM.InstanceUID, "a migration is no restart")
}

// The node of this test is its own: nobody else's machine goes there, and it may be lost. It does not run beside others, since
// the number of nodes stands in the message of every machine that no node can take.
func TestMachineOfALostNode(t *testing.T) {
	e := framework.New(t)
	node := ownNode(e)
	e.Create(framework.Minimal("machine", framework.WithStrategy(v1beta1.RunStrategyHalted)))
	machine := e.WaitStatus("machine", v1beta1.StatusStopped).Status.VM.Name
	e.PatchMachine(machine, fmt.Sprintf(`{"spec":{"template":{"spec":{
		"nodeSelector":{%q:%q},"tolerations":[{"key":%q,"operator":"Exists","effect":"NoSchedule"}]}}}}`,
		corev1.LabelHostname, node, ownNodeTaint))
	e.MustOperate("machine", "start")
	first := e.WaitSettled("machine", v1beta1.StatusRunning)
	require.Equal(t, node, first.Status.Node)

	e.MustKubectl("annotate", "node", node, "node-agent.tensorstack.dev/lost=true")
	vs := e.WaitStatus("machine", v1beta1.StatusUnknown)
	assert.Contains(t, vs.Status.Message, node)
	for _, condition := range []string{v1beta1.ConditionReady, v1beta1.ConditionFailure} {
		assert.Equal(t, metav1.ConditionUnknown, findCondition(vs, condition).Status, condition)
		assert.Equal(t, "NodeLost", findCondition(vs, condition).Reason, condition)
	}
	e.MustKubectl("annotate", "node", node, "node-agent.tensorstack.dev/lost-")
	vs = e.WaitStatus("machine", v1beta1.StatusRunning)
	assert.Equal(t, first.Status.VM.InstanceUID, vs.Status.VM.InstanceUID, "it ran on all the time")
	assert.Equal(t, metav1.ConditionFalse, findCondition(vs, v1beta1.ConditionFailure).Status)

	// For good this time: an administrator fences the node and gives its machines free.
	e.MustKubectl("annotate", "node", node, "node-agent.tensorstack.dev/lost=true")
	e.WaitStatus("machine", v1beta1.StatusUnknown)
	e.PatchMachine(machine, `{"spec":{"template":{"spec":{"nodeSelector":null}}}}`)
	e.MustKubectl("delete", "node", node)
	e.MustKubectl("delete", "pod", "-l", kubevirtv1.CreatedByLabel+"="+string(first.Status.VM.InstanceUID), "--force", "--grace-period=0")
	e.Wait("machine", "runs elsewhere and remembers why", func(vs *v1beta1.VirtualServer) string {
		failure := vs.Status.LastFailure
		switch {
		case vs.Status.PrintableStatus != v1beta1.StatusRunning || vs.Status.VM.InstanceUID == first.Status.VM.InstanceUID:
			return "not yet"
		case failure == nil || failure.Reason != "NodeLost" || failure.InstanceUID != first.Status.VM.InstanceUID:
			return fmt.Sprintf("the failure is %v", failure)
		}
		return ""
	})
	assert.NotEqual(t, node, e.Get("machine").Status.Node)
}

// ownNodeTaint keeps other tests' machines away.
const ownNodeTaint = "test.tensorstack.dev/own"

// ownNode makes a node that the node agent serves and only pods that tolerate its taint use.
func ownNode(e *framework.Environment) string {
	e.T.Helper()
	name := e.Namespace + "-node"
	_, err := e.Kube.CoreV1().Nodes().Create(e.Context, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			"node-agent.tensorstack.dev/managed": "true",
			corev1.LabelHostname:                 name,
			corev1.LabelArchStable:               "amd64",
			corev1.LabelOSStable:                 "linux",
		}},
		Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: ownNodeTaint, Effect: corev1.TaintEffectNoSchedule}}},
	}, metav1.CreateOptions{})
	require.NoError(e.T, err)
	e.T.Cleanup(func() {
		// The test may have deleted it. What stays would only be one node more.
		result := e.Kubectl("delete", "node", name, "--ignore-not-found", "--wait=false")
		if result.Err != nil {
			e.T.Logf("delete node %s: %s", name, result.Stderr)
		}
	})
	e.Eventually("the node is ready", func() error {
		node, err := e.Kube.CoreV1().Nodes().Get(e.Context, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return errMissing("the condition Ready")
	})
	return name
}
