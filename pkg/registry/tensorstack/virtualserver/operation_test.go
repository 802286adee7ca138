package virtualserver

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

const (
	always = tensorstack.RunStrategyAlways
	rerun  = tensorstack.RunStrategyRerunOnFailure
	manual = tensorstack.RunStrategyManual
	halted = tensorstack.RunStrategyHalted

	start   = tensorstack.OperationStart
	stop    = tensorstack.OperationStop
	restart = tensorstack.OperationRestart
)

var (
	none     = Machine{}
	running  = Machine{InstanceUID: "run-1"}
	stopping = Machine{InstanceUID: "run-1", Stopping: true}
	ended    = Machine{InstanceUID: "run-1", Final: true}
)

func seconds(n int64) *int64 { return &n }

func now() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

func pendingOperation(op tensorstack.OperationType, grace *int64) *tensorstack.Operation {
	return &tensorstack.Operation{
		ID: "pending", Type: op, RequestedBy: "ann", RequestedAt: metav1.NewMicroTime(now().Add(-time.Second)),
		InstanceUID: "run-1", GracePeriodSeconds: grace, FromRunStrategy: manual, ToRunStrategy: manual,
	}
}

// TestTableAndMachine names all twelve cells of the table, each with every state that a machine can be in.
func TestTableAndMachine(t *testing.T) {
	const refused = ""
	for _, test := range []struct {
		strategy  tensorstack.RunStrategy
		operation tensorstack.OperationType
		// The strategy afterwards, by the state of the machine.
		none, running, stopping, ended tensorstack.RunStrategy
	}{
		{always, start, refused, refused, refused, refused},
		{always, stop, halted, halted, halted, halted},
		{always, restart, refused, always, refused, refused},
		{rerun, start, rerun, refused, rerun, rerun},
		{rerun, stop, halted, halted, halted, halted},
		{rerun, restart, refused, rerun, refused, refused},
		{manual, start, manual, refused, manual, manual},
		{manual, stop, refused, manual, refused, refused},
		{manual, restart, refused, manual, refused, refused},
		{halted, start, always, always, always, always},
		{halted, stop, refused, refused, refused, refused},
		{halted, restart, refused, refused, refused, refused},
	} {
		for _, state := range []struct {
			name    string
			machine Machine
			want    tensorstack.RunStrategy
		}{
			{"no instance", none, test.none}, {"running", running, test.running},
			{"stopping", stopping, test.stopping}, {"ended", ended, test.ended},
		} {
			t.Run(fmt.Sprintf("%s of a machine that is %s under %s", test.operation, state.name, test.strategy), func(t *testing.T) {
				status := &tensorstack.VirtualServerStatus{RunStrategy: test.strategy}
				err := Accept(status, state.machine, Request{Type: test.operation, User: "bob"}, now())
				if state.want == refused {
					var conflict *ConflictError
					require.ErrorAs(t, err, &conflict)
					assert.Equal(t, &tensorstack.VirtualServerStatus{RunStrategy: test.strategy}, status, "a refused operation changes nothing")
					return
				}
				require.NoError(t, err)
				assert.Equal(t, state.want, status.RunStrategy)
				require.NotNil(t, status.PendingOperation)
				pending := *status.PendingOperation
				assert.NotEmpty(t, pending.ID)
				assert.Equal(t, test.operation, pending.Type)
				assert.Equal(t, "bob", pending.RequestedBy)
				assert.Equal(t, test.strategy, pending.FromRunStrategy)
				assert.Equal(t, state.want, pending.ToRunStrategy)
				assert.True(t, pending.RequestedAt.Time.Equal(now()))
				if state.machine.exists() {
					assert.Equal(t, types.UID("run-1"), pending.InstanceUID)
				} else {
					assert.Empty(t, pending.InstanceUID)
				}
			})
		}
	}
}

// TestPairs is the table of docs/operations.md: what a second operation means while the first is pending.
func TestPairs(t *testing.T) {
	const (
		supersedes = "supersedes"
		merged     = "merged"
		refused    = "refused"
	)
	for _, test := range []struct {
		name     string
		strategy tensorstack.RunStrategy
		pending  *tensorstack.Operation
		machine  Machine
		request  Request
		want     string
	}{
		{"start while a start is pending", manual, pendingOperation(start, nil), none, Request{Type: start}, refused},
		{"stop while a start is pending and nothing runs", manual, pendingOperation(start, nil), none, Request{Type: stop}, supersedes},
		{"stop while a start is pending under Always", always, pendingOperation(start, nil), none, Request{Type: stop}, supersedes},
		{"restart while a start is pending and nothing runs", always, pendingOperation(start, nil), none, Request{Type: restart}, refused},
		{"restart while a start is pending and the machine is up", always, pendingOperation(start, nil), running, Request{Type: restart}, supersedes},

		{"start while a stop is pending, not begun", halted, pendingOperation(stop, nil), running, Request{Type: start}, supersedes},
		{"start while a stop is pending, under way", halted, pendingOperation(stop, nil), stopping, Request{Type: start}, supersedes},
		{"start while a stop is pending under Manual", manual, pendingOperation(stop, nil), running, Request{Type: start}, supersedes},
		{"stop while a stop is pending", halted, pendingOperation(stop, nil), stopping, Request{Type: stop}, refused},
		{"forced restart while a graceful one shuts down", manual, pendingOperation(restart, nil), stopping, Request{Type: restart, GracePeriodSeconds: seconds(0)}, supersedes},
		{"forced stop while a graceful one is pending", halted, pendingOperation(stop, nil), stopping, Request{Type: stop, GracePeriodSeconds: seconds(0)}, supersedes},
		{"forced stop while a graceful one is pending under Manual", manual, pendingOperation(stop, seconds(300)), stopping, Request{Type: stop, GracePeriodSeconds: seconds(0)}, supersedes},
		{"stop with a longer grace period", halted, pendingOperation(stop, seconds(30)), stopping, Request{Type: stop, GracePeriodSeconds: seconds(60)}, refused},
		{"stop with the same grace period", halted, pendingOperation(stop, seconds(30)), stopping, Request{Type: stop, GracePeriodSeconds: seconds(30)}, refused},
		{"forced stop of what has ended", halted, pendingOperation(stop, nil), ended, Request{Type: stop, GracePeriodSeconds: seconds(0)}, refused},
		{"restart while a stop is pending", manual, pendingOperation(stop, nil), running, Request{Type: restart}, refused},

		{"start while a restart is pending", manual, pendingOperation(restart, nil), stopping, Request{Type: start}, refused},
		{"stop while a restart is pending", always, pendingOperation(restart, nil), running, Request{Type: stop}, supersedes},
		{"stop while a restart is under way under Manual", manual, pendingOperation(restart, nil), stopping, Request{Type: stop}, supersedes},
		{"restart while a restart of the same run is pending", always, pendingOperation(restart, nil), running, Request{Type: restart}, merged},
		{"restart while a restart of the same run is under way", always, pendingOperation(restart, nil), stopping, Request{Type: restart}, merged},
		{"restart while a restart is between two runs", always, pendingOperation(restart, nil), none, Request{Type: restart}, merged},
		{"forced restart while a graceful one is pending", always, pendingOperation(restart, nil), running, Request{Type: restart, GracePeriodSeconds: seconds(0)}, supersedes},
		{"forced restart while a graceful one is under way", always, pendingOperation(restart, nil), stopping, Request{Type: restart, GracePeriodSeconds: seconds(0)}, supersedes},
		{"restart of the next run while the restart of the last is not cleared", always, pendingOperation(restart, nil), Machine{InstanceUID: "run-2"}, Request{Type: restart}, supersedes},
	} {
		t.Run(test.name, func(t *testing.T) {
			status := &tensorstack.VirtualServerStatus{RunStrategy: test.strategy, PendingOperation: test.pending}
			before := status.DeepCopy()
			test.request.User = "bob"
			err := Accept(status, test.machine, test.request, now())
			switch test.want {
			case refused:
				var conflict *ConflictError
				require.ErrorAs(t, err, &conflict)
				assert.Equal(t, before, status)
			case merged:
				require.NoError(t, err)
				assert.Equal(t, before, status)
			case supersedes:
				require.NoError(t, err)
				assert.Equal(t, test.request.Type, status.PendingOperation.Type)
				require.Len(t, status.Operations, 1)
				record := status.Operations[0]
				assert.Equal(t, types.UID("pending"), record.ID)
				assert.Equal(t, tensorstack.OperationSuperseded, record.Result)
				assert.Contains(t, record.Message, "bob")
			}
		})
	}
}

func TestForceStopShortensAShutdownThatNobodyIsWaitingFor(t *testing.T) {
	status := &tensorstack.VirtualServerStatus{RunStrategy: halted}
	require.NoError(t, Accept(status, stopping, Request{Type: stop, GracePeriodSeconds: seconds(0)}, now()))
	assert.Equal(t, halted, status.RunStrategy)
	assert.Equal(t, seconds(0), status.PendingOperation.GracePeriodSeconds)
	assert.Equal(t, types.UID("run-1"), status.PendingOperation.InstanceUID)
}

func TestRefusalsSayWhatWouldWork(t *testing.T) {
	for _, test := range []struct {
		strategy tensorstack.RunStrategy
		machine  Machine
		request  Request
		want     []string
	}{
		{always, running, Request{Type: start}, []string{"start", "Always", "restart"}},
		{halted, none, Request{Type: stop}, []string{"stop", "Halted", "start"}},
		{manual, running, Request{Type: start}, []string{"runs already", "restart"}},
		{manual, none, Request{Type: stop}, []string{"stopped already", "start"}},
		{manual, stopping, Request{Type: stop}, []string{"shutting down", "force"}},
		{always, none, Request{Type: restart}, []string{"no machine runs"}},
	} {
		err := Accept(&tensorstack.VirtualServerStatus{RunStrategy: test.strategy}, test.machine, test.request, now())
		for _, word := range test.want {
			assert.ErrorContains(t, err, word)
		}
	}
}

func TestLedgerKeepsTheLastTen(t *testing.T) {
	status := &tensorstack.VirtualServerStatus{}
	for i := range MaxOperations + 3 {
		status.PendingOperation = &tensorstack.Operation{ID: types.UID(fmt.Sprint(i)), Type: stop}
		Supersede(status, now(), "test")
	}
	require.Len(t, status.Operations, MaxOperations)
	assert.Equal(t, types.UID("12"), status.Operations[0].ID, "newest first")
	assert.Equal(t, types.UID("3"), status.Operations[MaxOperations-1].ID)
	assert.Nil(t, status.PendingOperation)
}

// Who restarts a machine to put a change into force is told if that will not happen.
func TestCaution(t *testing.T) {
	for _, test := range []struct {
		operation tensorstack.OperationType
		status    metav1.ConditionStatus
		cautioned bool
	}{
		{restart, metav1.ConditionFalse, true},
		{restart, metav1.ConditionTrue, false},
		{restart, metav1.ConditionUnknown, false},
		{restart, "", false},
		{start, metav1.ConditionFalse, false},
		{stop, metav1.ConditionFalse, false},
	} {
		status := &tensorstack.VirtualServerStatus{}
		if test.status != "" {
			status.Conditions = []metav1.Condition{{Type: v1beta1.ConditionReconciled, Status: test.status, Message: "too much memory"}}
		}
		caution := Caution(status, Request{Type: test.operation})
		assert.Equal(t, test.cautioned, caution != "", "%s, Reconciled=%s", test.operation, test.status)
		if test.cautioned {
			assert.Contains(t, caution, "too much memory")
		}
	}
}
