package virtualserver

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/testutil"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func registered(t *testing.T) (*Metrics, metrics.Gatherer) {
	t.Helper()
	m, registry := NewMetrics(), metrics.NewKubeRegistry()
	for _, metric := range m.All() {
		require.NoError(t, registry.Register(metric))
	}
	return m, registry
}

// samples returns how many samples the histograms of a name have.
func samples(t *testing.T, registry metrics.Gatherer, name string) uint64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	count := uint64(0)
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			count += metric.GetHistogram().GetSampleCount()
		}
	}
	return count
}

// Every status has a series, zero included, and one that empties goes back to zero.
func TestCensus(t *testing.T) {
	m, registry := registered(t)
	running := func(strategy v1beta1.RunStrategy) *v1beta1.VirtualServer {
		vs := testServer()
		vs.Status.PrintableStatus, vs.Status.RunStrategy = v1beta1.StatusRunning, strategy
		return vs
	}
	stopping := running(v1beta1.RunStrategyManual)
	stopping.Status.PrintableStatus, stopping.Status.PendingOperation = v1beta1.StatusStopping, &v1beta1.Operation{Type: v1beta1.OperationStop}
	value := func(status, strategy string) float64 {
		got, err := testutil.GetGaugeMetricValue(m.machines.WithLabelValues(status, strategy))
		require.NoError(t, err)
		return got
	}
	m.count([]any{running(v1beta1.RunStrategyAlways), running(v1beta1.RunStrategyAlways), stopping, testServer(), "no VirtualServer"})
	assert.InDelta(t, 2, value("Running", "Always"), 0)
	assert.InDelta(t, 1, value("Stopping", "Manual"), 0)
	families, err := registry.Gather()
	require.NoError(t, err)
	series := map[string]int{}
	for _, family := range families {
		series[family.GetName()] = len(family.GetMetric())
	}
	assert.Equal(t, 11*4, series["virtualserver_machines"])
	assert.Equal(t, 3, series["virtualserver_pending_operations"])
	m.count(nil)
	assert.InDelta(t, 0, value("Running", "Always"), 0)
}

// An import counts when it ends under our eyes, its errors when they are new, and the way to Ready once, for a machine that starts by
// itself and that nobody touched.
func TestStatusIsCounted(t *testing.T) {
	ready := metav1.Condition{Type: v1beta1.ConditionReady, Status: metav1.ConditionTrue}
	imported := metav1.Condition{Type: v1beta1.ConditionDataImported, Status: metav1.ConditionTrue}
	seen := func(strategy v1beta1.RunStrategy, conditions ...metav1.Condition) v1beta1.VirtualServerStatus {
		return v1beta1.VirtualServerStatus{ObservedGeneration: 1, RunStrategy: strategy, Conditions: conditions}
	}
	failing := seen(v1beta1.RunStrategyAlways)
	failing.Import = &v1beta1.ImportStatus{LastError: "404"}
	operated := seen(v1beta1.RunStrategyAlways, imported)
	operated.Operations = []v1beta1.OperationRecord{{}}
	always, manual := v1beta1.RunStrategyAlways, v1beta1.RunStrategyManual
	for name, test := range map[string]struct {
		steps                   []v1beta1.VirtualServerStatus
		imports, errors, readys uint64
	}{
		"all the way":               {[]v1beta1.VirtualServerStatus{seen(always), seen(always, imported), seen(always, imported, ready)}, 1, 0, 1},
		"Ready twice":               {[]v1beta1.VirtualServerStatus{seen(always), seen(always, imported, ready), seen(always, imported), seen(always, imported, ready)}, 1, 0, 1},
		"adopted":                   {[]v1beta1.VirtualServerStatus{seen(always, imported, ready)}, 0, 0, 1},
		"started by hand":           {[]v1beta1.VirtualServerStatus{seen(manual), seen(manual, imported), seen(manual, imported, ready)}, 1, 0, 0},
		"restarted meanwhile":       {[]v1beta1.VirtualServerStatus{seen(always), operated, seen(always, imported, ready)}, 1, 0, 0},
		"an error that is repeated": {[]v1beta1.VirtualServerStatus{seen(always), failing, failing}, 0, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m, registry := registered(t)
			b := newBench(t, testServer())
			b.Controller.metrics = m
			p := newPass(b.Controller, testServer())
			p.memory = &memory{}
			before := v1beta1.VirtualServerStatus{}
			for _, status := range test.steps {
				p.before.Status = status
				p.observeStatus(&before, b.clock.Now().Add(-time.Minute))
				before = status
			}
			source := sourceKind(&testServer().Spec.Storage.Root.Source)
			assert.Equal(t, test.imports, samples(t, registry, "virtualserver_import_duration_seconds"), "imports")
			errors, err := testutil.GetCounterMetricValue(m.importFailures.WithLabelValues(source))
			require.NoError(t, err)
			assert.InDelta(t, test.errors, errors, 0, "errors")
			assert.Equal(t, test.readys, samples(t, registry, "virtualserver_apply_to_ready_seconds"), "Ready")
		})
	}
}

// What somebody else changed counts as healed; the controller's own work does not.
func TestHealedChangesAreCounted(t *testing.T) {
	reconciled := metav1.Condition{Type: v1beta1.ConditionReconciled, Status: metav1.ConditionTrue}
	for name, test := range map[string]struct {
		edit func(*v1beta1.VirtualServer)
		want float64
	}{
		"somebody else":       {func(*v1beta1.VirtualServer) {}, 1},
		"an edit of the spec": {func(vs *v1beta1.VirtualServer) { vs.Generation++ }, 0},
		"an operation":        {func(vs *v1beta1.VirtualServer) { vs.Status.PendingOperation = &v1beta1.Operation{} }, 0},
		"the first writes":    {func(vs *v1beta1.VirtualServer) { vs.Status.Conditions = nil }, 0},
	} {
		m, _ := registered(t)
		b := newBench(t, testServer())
		b.Controller.metrics = m
		vs := testServer()
		vs.Status.ObservedGeneration, vs.Status.Conditions = vs.Generation, []metav1.Condition{reconciled}
		test.edit(vs)
		newPass(b.Controller, vs).observeHealed(kindService)
		got, err := testutil.GetCounterMetricValue(m.healed.WithLabelValues(kindService))
		require.NoError(t, err)
		assert.InDelta(t, test.want, got, 0, name)
	}
}

// Each state that a machine reaches is one line at v=1, and none of it is what the user wrote into cloud-init.
func TestStatesAreLoggedOnce(t *testing.T) {
	b := newBench(t, testServer())
	vs := testServer()
	vs.Spec.CloudInit = "password: hunter2-planted"
	var log bytes.Buffer
	logger := textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(&log), textlogger.Verbosity(1)))
	p, ctx := newPass(b.Controller, vs), klog.NewContext(t.Context(), logger)
	before := v1beta1.VirtualServerStatus{}
	for _, status := range []v1beta1.PrintableStatus{v1beta1.StatusProvisioning, v1beta1.StatusProvisioning, v1beta1.StatusRunning, v1beta1.StatusRunning} {
		p.before.Status.PrintableStatus = status
		p.tellPhase(ctx, &before)
		before = p.before.Status
	}
	assert.Equal(t, 2, strings.Count(log.String(), "\n"), log.String())
	assert.Contains(t, log.String(), `status="Running" was="Provisioning"`)
	assert.NotContains(t, log.String(), "hunter2")
}
