package integration

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// An empty claim that is added to a running machine never reaches the guest. The VirtualServer says so, and what helps.
func TestEmptyClaimAddedToARunningMachine(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine"))
	machine := e.WaitSettled("machine", v1beta1.StatusRunning).Status.VM.Name
	claims := &virtctl{Environment: e}
	claims.claim("empty", "1Gi")
	added := e.Run("", "kubectl", "virt", "-n", e.Namespace, "addvolume", machine, "--volume-name=empty")
	require.NoError(t, added.Err, added.Stderr)
	vs := e.WaitCondition("machine", v1beta1.ConditionVolumesReady, metav1.ConditionFalse)
	told := meta.FindStatusCondition(vs.Status.Conditions, v1beta1.ConditionVolumesReady)
	assert.Equal(t, "NoDiskInClaim", told.Reason)
	assert.Contains(t, told.Message, "Volume empty does not reach the guest: its claim empty holds no disk.")
	assert.Contains(t, told.Message, "volumeMode Block")
	assert.Equal(t, v1beta1.StatusRunning, vs.Status.PrintableStatus, "the machine runs all the same")
	e.Eventually("an event says so", func() error {
		list, err := e.Kube.CoreV1().Events(e.Namespace).List(e.Context, metav1.ListOptions{FieldSelector: "involvedObject.name=machine,reason=NoDiskInClaim"})
		if err == nil && len(list.Items) == 0 {
			return notYet("no event")
		}
		return err
	})
	e.MustKubectl("annotate", "pvc", "empty", framework.DiskAnnotation+"=true")
	e.Wait("machine", "takes the condition back once the claim holds a disk", func(vs *v1beta1.VirtualServer) string {
		if meta.FindStatusCondition(vs.Status.Conditions, v1beta1.ConditionVolumesReady) != nil {
			return "it is still there"
		}
		return ""
	})
}

// A machine whose last run had a guest agent is Ready when the agent of the next one answers.
func TestReadyWaitsForTheGuestAgent(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine"))
	first := e.WaitAgent("machine")
	e.Faults(map[string]string{"guestAgent": "absent"})
	e.MustOperate("machine", "restart")
	vs := e.Wait("machine", "runs anew and waits for its guest agent", func(vs *v1beta1.VirtualServer) string {
		ready := meta.FindStatusCondition(vs.Status.Conditions, v1beta1.ConditionReady)
		if vs.Status.VM.InstanceUID == first.Status.VM.InstanceUID || ready.Reason != "GuestStarting" {
			return "Ready has the reason " + ready.Reason
		}
		return ""
	})
	assert.Equal(t, v1beta1.StatusRunning, vs.Status.PrintableStatus)
	assert.False(t, meta.IsStatusConditionTrue(vs.Status.Conditions, v1beta1.ConditionReady))
	e.Faults(map[string]string{})
	e.WaitCondition("machine", v1beta1.ConditionReady, metav1.ConditionTrue)
	assert.Equal(t, vs.Status.VM.InstanceUID, e.WaitAgent("machine").Status.GuestAgent.InstanceUID)
}
