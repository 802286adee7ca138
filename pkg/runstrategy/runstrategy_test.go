package runstrategy

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// TestNextNamesAllTwelveCells is the table of the guide, written out once more by hand.
func TestNextNamesAllTwelveCells(t *testing.T) {
	cells := []struct {
		from    v1beta1.RunStrategy
		op      v1beta1.OperationType
		to      v1beta1.RunStrategy
		refusal string
	}{
		{"Always", "Start", "", "start is not possible under run strategy Always: the machine starts by itself; use restart to start it anew, or stop first and start then"},
		{"Always", "Stop", "Halted", ""},
		{"Always", "Restart", "Always", ""},
		{"RerunOnFailure", "Start", "RerunOnFailure", ""},
		{"RerunOnFailure", "Stop", "Halted", ""},
		{"RerunOnFailure", "Restart", "RerunOnFailure", ""},
		{"Manual", "Start", "Manual", ""},
		{"Manual", "Stop", "Manual", ""},
		{"Manual", "Restart", "Manual", ""},
		{"Halted", "Start", "Always", ""},
		{"Halted", "Stop", "", "stop is not possible under run strategy Halted: the machine is stopped already; use start to run it"},
		{"Halted", "Restart", "", "restart is not possible under run strategy Halted: the machine is stopped; use start to run it"},
	}
	require.Len(t, cells, len(Table())*len(Operations()))
	for _, cell := range cells {
		t.Run(string(cell.from)+"/"+string(cell.op), func(t *testing.T) {
			to, err := Next(cell.from, cell.op)
			if cell.refusal == "" {
				require.NoError(t, err)
				assert.Equal(t, cell.to, to)
				assert.Contains(t, Allowed(cell.from), cell.op)
				return
			}
			var refused *RefusedError
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, cell.from, refused.RunStrategy)
			assert.Equal(t, cell.op, refused.Operation)
			assert.EqualError(t, err, cell.refusal)
			assert.Empty(t, to)
			assert.NotContains(t, Allowed(cell.from), cell.op)
		})
	}
}

func TestNextRefusesWhatIsNotInTheTable(t *testing.T) {
	for name, test := range map[string]struct {
		from    v1beta1.RunStrategy
		op      v1beta1.OperationType
		refusal string
	}{
		"strategy of KubeVirt that the guide does not have": {"Once", "Stop", `stop is not possible: run strategy "Once" is not one of`},
		"no strategy":          {"", "Start", `run strategy "" is not one of`},
		"operation of no name": {"Manual", "", "use one of start, stop, restart"},
		"unknown operation":    {"Always", "Explode", "explode is not possible under run strategy Always: use one of stop, restart"},
	} {
		t.Run(name, func(t *testing.T) {
			to, err := Next(test.from, test.op)
			require.ErrorContains(t, err, test.refusal)
			assert.Empty(t, to)
		})
	}
}

func TestAllowed(t *testing.T) {
	assert.Equal(t, []v1beta1.OperationType{"Stop", "Restart"}, Allowed("Always"))
	assert.Equal(t, []v1beta1.OperationType{"Start", "Stop", "Restart"}, Allowed("RerunOnFailure"))
	assert.Equal(t, []v1beta1.OperationType{"Start", "Stop", "Restart"}, Allowed("Manual"))
	assert.Equal(t, []v1beta1.OperationType{"Start"}, Allowed("Halted"))
	assert.Empty(t, Allowed("Once"))
}

// TestTableIsClosed checks that no operation leads out of the table.
func TestTableIsClosed(t *testing.T) {
	for _, row := range Table() {
		for _, op := range Operations() {
			if to := row.To(op); to != "" {
				assert.True(t, Known(to), "%s after %s", row.From, op)
			}
		}
	}
}
