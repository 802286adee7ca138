package latency

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// machinesInRound are started and stopped in turn, so that a stop need not wait for the machine's last start.
const machinesInRound = 10

// row is one line of the table.
type row struct {
	what    string
	samples []time.Duration
}

func TestLatency(t *testing.T) {
	wanted := samplesWanted(t)
	e := framework.New(t)
	timeline := newTimeline(e)
	rows := []row{{"apply → VirtualMachine exists", created(e, timeline, wanted)}}
	rows = append(rows, operated(e, timeline, wanted)...)
	t.Logf("\n\n%s", table(rows))
	for _, row := range rows {
		assert.GreaterOrEqual(t, len(row.samples), wanted, row.what)
		assert.Less(t, percentile(row.samples, 50), time.Second, "%s: the half of all takes less than a second", row.what)
	}
}

func samplesWanted(t *testing.T) int {
	t.Helper()
	text := os.Getenv("LATENCY_SAMPLES")
	if text == "" {
		return 100
	}
	wanted, err := strconv.Atoi(text)
	require.NoError(t, err)
	return wanted
}

// created measures from the request to create a VirtualServer to its VirtualMachine. The import ends at once.
func created(e *framework.Environment, timeline *timeline, wanted int) []time.Duration {
	e.T.Helper()
	e.Faults(map[string]string{"importSeconds": "0"})
	var samples []time.Duration
	for i := range wanted {
		name := fmt.Sprintf("created-%03d", i)
		began := time.Now()
		e.Create(framework.Minimal(name, framework.WithStrategy(v1beta1.RunStrategyHalted)))
		machine := e.MachineName(name)
		samples = append(samples, timeline.await(began, "strategy", machine, "Halted").Sub(began))
		e.WaitStatus(name, v1beta1.StatusStopped)
		require.NoError(e.T, e.Client().Delete(e.Context, name, metav1.DeleteOptions{}))
	}
	return samples
}

// operated measures stop, start, and how late the status is, on machines that run.
func operated(e *framework.Environment, timeline *timeline, wanted int) []row {
	e.T.Helper()
	machines := map[string]string{}
	var names []string
	for i := range machinesInRound {
		name := fmt.Sprintf("operated-%02d", i)
		e.Create(framework.Minimal(name))
		names = append(names, name)
	}
	for _, name := range names {
		machines[name] = e.WaitSettled(name, v1beta1.StatusRunning).Status.VM.Name
	}
	stop := row{what: "stop → run strategy of the VirtualMachine is Halted"}
	start := row{what: "start → run strategy of the VirtualMachine is Always"}
	runs := row{what: "instance is Running → printableStatus is Running"}
	crashed := row{what: "guest crashed (instance is Failed) → printableStatus is not Running any more"}
	for len(stop.samples) < wanted {
		for _, name := range names {
			began := time.Now()
			e.MustOperate(name, "stop")
			stop.samples = append(stop.samples, timeline.await(began, "strategy", machines[name], "Halted").Sub(began))
		}
		settled(e, names, v1beta1.StatusStopped)
		round := time.Now()
		for _, name := range names {
			began := time.Now()
			e.MustOperate(name, "start")
			start.samples = append(start.samples, timeline.await(began, "strategy", machines[name], "Always").Sub(began))
		}
		for _, name := range names {
			up := timeline.await(round, "phase", machines[name], "Running")
			runs.samples = append(runs.samples, late(up, timeline.await(round, "status", name, "Running")))
		}
		settled(e, names, v1beta1.StatusRunning)
		round = time.Now()
		for _, name := range names {
			e.GuestFault(machines[name], "crash")
		}
		for _, name := range names {
			down := timeline.await(round, "phase", machines[name], "Failed")
			crashed.samples = append(crashed.samples, late(down, timeline.await(round, "status", name, "Starting")))
		}
		// The next instance has to run before it can be stopped.
		for _, name := range names {
			timeline.await(round, "phase", machines[name], "Running")
		}
		settled(e, names, v1beta1.StatusRunning)
	}
	return []row{stop, start, runs, crashed}
}

func settled(e *framework.Environment, names []string, status v1beta1.PrintableStatus) {
	e.T.Helper()
	for _, name := range names {
		e.WaitSettled(name, status)
	}
}

// late is how long after the event the status was seen. Both come through watches of their own, so that the status can
// overtake the event; then it is not late.
func late(event, status time.Time) time.Duration { return max(0, status.Sub(event)) }

func percentile(samples []time.Duration, percent int) time.Duration {
	sorted := slices.Sorted(slices.Values(samples))
	return sorted[(len(sorted)*percent+99)/100-1]
}

func table(rows []row) string {
	var text strings.Builder
	text.WriteString("| from → to | samples | p50 | p99 | longest |\n|---|---|---|---|---|\n")
	for _, row := range rows {
		fmt.Fprintf(&text, "| %s | %d | %v | %v | %v |\n", row.what, len(row.samples), percentile(row.samples, 50).Round(time.Millisecond/10),
			percentile(row.samples, 99).Round(time.Millisecond/10), slices.Max(row.samples).Round(time.Millisecond/10))
	}
	return text.String()
}
