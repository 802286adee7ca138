package integration

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// The pairs of docs/operations.md that are about a stop, on a machine whose guest ignores it, so that the stop stays
// pending for as long as the test needs. All pairs are in TestPairs of the registry.
func TestOperationsWhileAStopIsPending(t *testing.T) {
	t.Parallel()
	e := underManual(t, map[string]string{"stop": "hang"})
	e.WaitStatus("machine", v1beta1.StatusStopped)
	machine := e.MachineName("machine")
	assert.EqualValues(t, 30, *e.Machine(machine).Spec.Template.Spec.TerminationGracePeriodSeconds, "KubeVirt's default, spelled out")
	// The test has to be through before the guest is killed.
	e.PatchMachine(machine, `{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":120}}}}`)
	e.MustOperate("machine", "start")
	first := e.WaitSettled("machine", v1beta1.StatusRunning).Status.VM.InstanceUID

	e.MustOperate("machine", "stop")
	graceful := waitDeadline(e, first)
	refusedWhilePending(e, "stop", `{}`)
	refusedWhilePending(e, "restart", `{}`)
	before := e.Get("machine")
	require.NotNil(t, before.Status.PendingOperation)
	assert.Equal(t, v1beta1.OperationStop, before.Status.PendingOperation.Type, "refused operations leave the pending one alone")

	// A shorter grace period takes its place, and the deadline moves.
	code, err := e.Operate("machine", "stop", `{"gracePeriodSeconds":90}`)
	require.NoError(t, err)
	require.Less(t, code, http.StatusMultipleChoices)
	e.Wait("machine", "is killed sooner", func(vs *v1beta1.VirtualServer) string {
		if vs.Status.StopDeadline == nil || !vs.Status.StopDeadline.Time.Before(graceful) {
			return "the deadline has not moved"
		}
		return ""
	})
	refusedWhilePending(e, "stop", `{"gracePeriodSeconds":600}`)
	// A start takes the place of that one: the machine comes back as soon as it is down.
	e.MustOperate("machine", "start")
	refusedWhilePending(e, "start", `{}`)
	// And a stop that of the start.
	_, err = e.Operate("machine", "stop", `{"force":true}`)
	require.NoError(t, err)
	vs := e.WaitSettled("machine", v1beta1.StatusStopped)

	assert.Nil(t, vs.Status.StopDeadline)
	assert.Empty(t, vs.Status.VM.InstanceUID)
	results := []v1beta1.OperationResult{}
	for _, record := range vs.Status.Operations {
		results = append(results, record.Result)
	}
	assert.Equal(t, []v1beta1.OperationResult{
		v1beta1.OperationSucceeded,  // the forced stop
		v1beta1.OperationSuperseded, // the start
		v1beta1.OperationSuperseded, // the stop within 20 seconds
		v1beta1.OperationSuperseded, // the stop with the machine's own grace period
		v1beta1.OperationSucceeded,  // the first start
	}, results, "newest first: %v", vs.Status.Operations)
}

// waitDeadline waits until the instance is being deleted, and returns when it will be killed.
func waitDeadline(e *framework.Environment, instance types.UID) time.Time {
	e.T.Helper()
	vs := e.Wait("machine", "shows when it will be killed", func(vs *v1beta1.VirtualServer) string {
		if vs.Status.StopDeadline == nil || vs.Status.PrintableStatus != v1beta1.StatusStopping {
			return "no deadline"
		}
		return ""
	})
	vmi := e.Instance(vs.Status.VM.Name)
	require.NotNil(e.T, vmi)
	require.Equal(e.T, instance, vmi.UID)
	require.NotNil(e.T, vmi.Spec.TerminationGracePeriodSeconds)
	assert.EqualValues(e.T, 120, *vmi.Spec.TerminationGracePeriodSeconds)
	assert.Equal(e.T, vmi.DeletionTimestamp.Add(2*time.Minute).UTC(), vs.Status.StopDeadline.UTC())
	return vs.Status.StopDeadline.Time
}

func refusedWhilePending(e *framework.Environment, operation, body string) {
	e.T.Helper()
	code, err := e.Operate("machine", operation, body)
	assert.Equal(e.T, http.StatusConflict, code, "%s %s", operation, body)
	assert.ErrorContains(e.T, err, "not carried out yet")
}

func TestOperationsWhileARestartIsPending(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Faults(map[string]string{"stop": "hang"})
	e.Create(framework.Minimal("machine"))
	first := e.WaitSettled("machine", v1beta1.StatusRunning).Status.VM.InstanceUID
	e.MustOperate("machine", "restart")
	pending := e.Get("machine").Status.PendingOperation
	require.NotNil(t, pending)

	code, err := e.Operate("machine", "start", "")
	assert.Equal(t, http.StatusConflict, code)
	assert.Error(t, err)
	// A second restart is the one that is pending.
	e.MustOperate("machine", "restart")
	require.NotNil(t, e.Get("machine").Status.PendingOperation)
	assert.Equal(t, pending.ID, e.Get("machine").Status.PendingOperation.ID)
	// A forced one takes its place, and is not carried out twice either.
	_, err = e.Operate("machine", "restart", `{"force":true}`)
	require.NoError(t, err)
	vs := e.Wait("machine", "runs in another instance", func(vs *v1beta1.VirtualServer) string {
		if vs.Status.PrintableStatus != v1beta1.StatusRunning || vs.Status.VM.InstanceUID == first || vs.Status.PendingOperation != nil {
			return "not yet"
		}
		return ""
	})
	require.Len(t, vs.Status.Operations, 2)
	assert.Equal(t, v1beta1.OperationSucceeded, vs.Status.Operations[0].Result)
	assert.Equal(t, v1beta1.OperationSuperseded, vs.Status.Operations[1].Result)
	assert.Equal(t, pending.ID, vs.Status.Operations[1].ID)

	// A stop takes the place of a restart that is under way.
	e.MustOperate("machine", "restart")
	_, err = e.Operate("machine", "stop", `{"force":true}`)
	require.NoError(t, err)
	vs = e.WaitSettled("machine", v1beta1.StatusStopped)
	assert.Equal(t, v1beta1.RunStrategyHalted, vs.Status.RunStrategy)
	assert.Equal(t, v1beta1.OperationSuperseded, vs.Status.Operations[1].Result)
}

// Under Manual KubeVirt makes the instance while the root disk is still imported. A stop does not wait for the import, and when
// the disk is there nothing starts.
func TestStopOfAStartThatWaitsForTheImport(t *testing.T) {
	t.Parallel()
	e := underManual(t, map[string]string{"import": "stall"})
	e.MachineName("machine")
	e.MustOperate("machine", "start")
	e.MustOperate("machine", "stop")
	vs := e.Wait("machine", "has stopped", func(vs *v1beta1.VirtualServer) string {
		if vs.Status.PendingOperation != nil {
			return "the stop is pending: " + vs.Status.PendingOperation.Message
		}
		return ""
	})
	require.NotEmpty(t, vs.Status.Operations)
	assert.Equal(t, v1beta1.OperationStop, vs.Status.Operations[0].Type)
	assert.Equal(t, v1beta1.OperationSucceeded, vs.Status.Operations[0].Result)
	assert.False(t, meta.IsStatusConditionTrue(vs.Status.Conditions, v1beta1.ConditionDataImported))
	e.Faults(map[string]string{})
	e.WaitCondition("machine", v1beta1.ConditionDataImported, metav1.ConditionTrue)
	e.WaitStatus("machine", v1beta1.StatusStopped)
	assert.Nil(t, e.Instance(vs.Status.VM.Name))
}

// underManual makes a machine under Manual whose node has faults.
func underManual(t *testing.T, faults map[string]string) *framework.Environment {
	t.Helper()
	e := framework.New(t)
	e.Faults(faults)
	e.Create(framework.Minimal("machine", framework.WithStrategy(v1beta1.RunStrategyManual)))
	return e
}
