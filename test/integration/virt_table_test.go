package integration

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// virtCell is a cell of the table, done by "kubectl virt" on the VirtualMachine itself.
type virtCell struct {
	cell
	// differs is the one cell in which KubeVirt does something else.
	differs string
}

// The twelve cells through "kubectl virt start|stop|restart" on the machine behind the VirtualServer, one after the other
// on a machine for each strategy: each cell leaves the machine as the next needs it.
func TestTheTableOfRunStrategiesByKubectlVirt(t *testing.T) {
	t.Parallel()
	const (
		always, rerun, manual, halted = v1beta1.RunStrategyAlways, v1beta1.RunStrategyRerunOnFailure, v1beta1.RunStrategyManual, v1beta1.RunStrategyHalted
		running, stopped              = v1beta1.StatusRunning, v1beta1.StatusStopped
	)
	for first, cells := range map[v1beta1.RunStrategy][]virtCell{
		always: {
			{cell: cell{From: always, Operation: "start", Then: running}},
			{cell: cell{From: always, Operation: "restart", To: always, Then: running}},
			{cell: cell{From: always, Operation: "stop", To: halted, Then: stopped}},
			{cell: cell{From: halted, Operation: "stop", Then: stopped}},
			{cell: cell{From: halted, Operation: "restart", Then: stopped}},
			{cell: cell{From: halted, Operation: "start", To: always, Then: running}},
		},
		rerun: {
			{cell: cell{From: rerun, Operation: "restart", To: rerun, Then: running}},
			{cell: cell{From: rerun, Operation: "stop", To: rerun, Then: stopped}, differs: "KubeVirt keeps RerunOnFailure, our stop makes it Halted"},
			{cell: cell{From: rerun, Operation: "start", To: rerun, Then: running}},
		},
		manual: {
			{cell: cell{From: manual, Operation: "start", To: manual, Then: running}},
			{cell: cell{From: manual, Operation: "restart", To: manual, Then: running}},
			{cell: cell{From: manual, Operation: "stop", To: manual, Then: stopped}},
		},
	} {
		t.Run(string(first), func(t *testing.T) {
			t.Parallel()
			e := framework.New(t)
			e.Create(framework.Minimal("machine", framework.WithStrategy(first)))
			status := running
			if first == manual {
				status = stopped
			}
			e.WaitSettled("machine", status)
			for _, cell := range cells {
				testVirtCell(t, e, cell)
			}
		})
	}
}

func testVirtCell(t *testing.T, e *framework.Environment, cell virtCell) {
	t.Helper()
	what := string(cell.From) + " " + cell.Operation
	before := e.Get("machine").Status
	require.Equal(t, cell.From, before.RunStrategy, what)
	for _, ours := range table() {
		if ours.From == cell.From && ours.Operation == cell.Operation && cell.differs == "" {
			require.Equal(t, ours.To, cell.To, "%s: the tables agree", what)
		}
	}

	result := e.Run("", "kubectl-virt", "--namespace", e.Namespace, cell.Operation, before.VM.Name)
	if cell.To == "" {
		require.Error(t, result.Err, "%s: %s", what, result.Stdout)
		assert.Equal(t, cell.From, e.Get("machine").Status.RunStrategy, what)
		assert.Equal(t, string(before.VM.InstanceUID), instanceUID(e, before.VM.Name), what)
		return
	}
	require.NoError(t, result.Err, "%s: %s", what, result.Stderr)
	e.Wait("machine", what, func(vs *v1beta1.VirtualServer) string {
		switch {
		case vs.Status.RunStrategy != cell.To || vs.Status.PrintableStatus != cell.Then:
			return "not there yet"
		case cell.Operation == "restart" && vs.Status.VM.InstanceUID == before.VM.InstanceUID:
			return "still the old instance"
		}
		return ""
	})
	machine := e.Machine(before.VM.Name)
	require.NotNil(t, machine.Spec.RunStrategy)
	assert.Equal(t, string(cell.To), string(*machine.Spec.RunStrategy), "%s: nobody fights over the strategy", what)
}
