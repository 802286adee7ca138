package virtualserver

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/component-base/metrics"
	"k8s.io/klog/v2"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/runstrategy"
)

// censusPeriod is how often machines are counted.
const censusPeriod = 10 * time.Second

// Metrics count what the controller does. They live as long as the process, over all terms. Make one for a process and register
// it once.
type Metrics struct {
	leading        *metrics.Gauge
	machines       *metrics.GaugeVec
	pending        *metrics.GaugeVec
	operations     *metrics.CounterVec
	failures       *metrics.CounterVec
	duration       *metrics.HistogramVec
	imports        *metrics.HistogramVec
	importFailures *metrics.CounterVec
	ready          *metrics.Histogram
	adopted        *metrics.CounterVec
	healed         *metrics.CounterVec
}

const metricsNamespace = "virtualserver"

func gaugeVec(subsystem, name, help string, labels ...string) *metrics.GaugeVec {
	return metrics.NewGaugeVec(&metrics.GaugeOpts{
		Namespace: metricsNamespace, Subsystem: subsystem, Name: name, Help: help, StabilityLevel: metrics.ALPHA,
	}, labels)
}

func counterVec(subsystem, name, help string, labels ...string) *metrics.CounterVec {
	return metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: metricsNamespace, Subsystem: subsystem, Name: name, Help: help, StabilityLevel: metrics.ALPHA,
	}, labels)
}

func histogramOpts(subsystem, name, help string, buckets ...float64) *metrics.HistogramOpts {
	return &metrics.HistogramOpts{
		Namespace: metricsNamespace, Subsystem: subsystem, Name: name, Help: help, Buckets: buckets, StabilityLevel: metrics.ALPHA,
	}
}

// NewMetrics returns metrics that are not registered yet.
func NewMetrics() *Metrics {
	const subsystem = "controller"
	return &Metrics{
		leading: metrics.NewGauge(&metrics.GaugeOpts{
			Namespace: metricsNamespace, Subsystem: subsystem, Name: "leading", StabilityLevel: metrics.ALPHA,
			Help: "1 while this process runs the controllers, 0 otherwise.",
		}),
		machines: gaugeVec("", "machines",
			"VirtualServers by printable status and run strategy, as the process that runs the controllers sees them.",
			"status", "run_strategy"),
		pending: gaugeVec("", "pending_operations", "Operations that were accepted and are not done yet, by type.", "type"),
		operations: counterVec(subsystem, "operations_total",
			"Operations that ended, by type and result.", "type", "result"),
		failures: counterVec(subsystem, "reconcile_failures_total",
			"Reconciliations that failed and are tried again, by reason. Those that lost a race are not counted.", "reason"),
		duration: metrics.NewHistogramVec(histogramOpts(subsystem, "operation_duration_seconds",
			"Time from the acceptance of an operation that succeeded to its end, by type.",
			0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300), []string{"type"}),
		imports: metrics.NewHistogramVec(histogramOpts("", "import_duration_seconds",
			"Time from the creation of a root disk's DataVolume to the end of its import, by kind of source.",
			3, 10, 30, 60, 120, 300, 600, 1200, 3600, 10800), []string{"source"}),
		importFailures: counterVec("", "import_failures_total",
			"Errors of imports, which are tried again, by kind of source.", "source"),
		ready: metrics.NewHistogram(histogramOpts("", "apply_to_ready_seconds",
			"Time from the creation of a VirtualServer that starts by itself to the first time that it is Ready, the import included.",
			3, 10, 30, 60, 120, 300, 600, 1200, 3600, 10800)),
		adopted: counterVec("", "adopted_changes_total",
			"Changes that others made and that were taken over: run_strategy on a machine, or a whole machine.", "change"),
		healed: counterVec("", "healed_changes_total",
			"Changes that others made to the objects behind VirtualServers and that were undone, by kind of object.", "kind"),
	}
}

// All returns the metrics for registration.
func (m *Metrics) All() []metrics.Registerable {
	return []metrics.Registerable{m.leading, m.machines, m.pending, m.operations, m.failures, m.duration, m.imports,
		m.importFailures, m.ready, m.adopted, m.healed}
}

func (m *Metrics) observeOperation(record v1beta1.OperationRecord) {
	m.operations.WithLabelValues(string(record.Type), string(record.Result)).Inc()
	if record.Result == v1beta1.OperationSucceeded {
		m.duration.WithLabelValues(string(record.Type)).
			Observe(record.CompletedAt.Sub(record.RequestedAt.Time).Seconds())
	}
}

func (m *Metrics) observeFailure(err error) {
	m.failures.WithLabelValues(problemOf(err).reason).Inc()
}

// census counts machines and pending operations until ctx ends.
func (c *Controller) census(ctx context.Context) {
	c.metrics.leading.Set(1)
	defer func() {
		c.metrics.leading.Set(0)
		// Another process counts from now on.
		c.metrics.machines.Reset()
		c.metrics.pending.Reset()
	}()
	ticker := c.clock.NewTicker(censusPeriod)
	defer ticker.Stop()
	for {
		c.metrics.count(c.caches.servers.GetStore().List())
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
		}
	}
}

// machineLabels are the values of the labels of machines.
type machineLabels struct {
	status   v1beta1.PrintableStatus
	strategy v1beta1.RunStrategy
}

func printableStatuses() []v1beta1.PrintableStatus {
	return []v1beta1.PrintableStatus{
		v1beta1.StatusStopped, v1beta1.StatusProvisioning, v1beta1.StatusStarting, v1beta1.StatusRunning, v1beta1.StatusPaused,
		v1beta1.StatusStopping, v1beta1.StatusTerminating, v1beta1.StatusCrashLoopBackOff, v1beta1.StatusMigrating,
		v1beta1.StatusUnknown, v1beta1.StatusFailedUnschedulable,
	}
}

// count sets every series, zero included: one that vanishes is no zero to an alert.
func (m *Metrics) count(servers []any) {
	machines := map[machineLabels]int{}
	for _, row := range runstrategy.Table() {
		for _, status := range printableStatuses() {
			machines[machineLabels{status, row.From}] = 0
		}
	}
	pending := map[v1beta1.OperationType]int{v1beta1.OperationStart: 0, v1beta1.OperationStop: 0, v1beta1.OperationRestart: 0}
	for _, object := range servers {
		vs, ok := object.(*v1beta1.VirtualServer)
		if !ok || vs.Status.PrintableStatus == "" {
			continue
		}
		machines[machineLabels{vs.Status.PrintableStatus, vs.Status.RunStrategy}]++
		if op := vs.Status.PendingOperation; op != nil {
			pending[op.Type]++
		}
	}
	for labels, number := range machines {
		m.machines.WithLabelValues(string(labels.status), string(labels.strategy)).Set(float64(number))
	}
	for operation, number := range pending {
		m.pending.WithLabelValues(string(operation)).Set(float64(number))
	}
}

// observeStatus counts what a change of status tells: an import that ended or failed, and the first time that a machine is Ready.
// A machine that somebody has to start is Ready when he starts it, which says nothing about us. started is when the import began.
func (p *pass) observeStatus(before *v1beta1.VirtualServerStatus, started time.Time) {
	now, after := p.clock.Now(), &p.before.Status
	source := sourceKind(&p.vs.Spec.Storage.Root.Source)
	first := before.ObservedGeneration == 0
	if !first && !started.IsZero() && turned(before, after, v1beta1.ConditionDataImported) {
		p.metrics.imports.WithLabelValues(source).Observe(now.Sub(started).Seconds())
	}
	if after.Import != nil && after.Import.LastError != "" && (before.Import == nil || before.Import.LastError != after.Import.LastError) {
		p.metrics.importFailures.WithLabelValues(source).Inc()
	}
	if first {
		p.memory.starting = after.RunStrategy == v1beta1.RunStrategyAlways || after.RunStrategy == v1beta1.RunStrategyRerunOnFailure
	}
	if p.memory.starting && meta.IsStatusConditionTrue(after.Conditions, v1beta1.ConditionReady) {
		p.memory.starting = false
		p.metrics.ready.Observe(now.Sub(p.vs.CreationTimestamp.Time).Seconds())
	}
	if len(after.Operations) > 0 {
		// Somebody stopped or restarted it meanwhile.
		p.memory.starting = false
	}
}

// turned says whether a condition is True now and was not before.
func turned(before, after *v1beta1.VirtualServerStatus, kind string) bool {
	return meta.IsStatusConditionTrue(after.Conditions, kind) && !meta.IsStatusConditionTrue(before.Conditions, kind)
}

// observeHealed counts the write of an object behind a VirtualServer that was as it should be before: somebody else changed or
// deleted it. The first writes and those that follow an edit are the controller's own work.
func (p *pass) observeHealed(kind string) {
	status := &p.before.Status
	if status.ObservedGeneration == p.before.Generation && meta.IsStatusConditionTrue(status.Conditions, v1beta1.ConditionReconciled) &&
		status.PendingOperation == nil {
		p.metrics.healed.WithLabelValues(kind).Inc()
	}
}

// sourceKind names the kind of source that a root disk is imported from.
func sourceKind(source *cdiv1.DataVolumeSource) string {
	switch {
	case source.HTTP != nil:
		return "http"
	case source.S3 != nil:
		return "s3"
	case source.GCS != nil:
		return "gcs"
	case source.Registry != nil:
		return "registry"
	case source.PVC != nil:
		return "pvc"
	case source.Snapshot != nil:
		return "snapshot"
	case source.Upload != nil:
		return "upload"
	case source.Blank != nil:
		return "blank"
	case source.Imageio != nil:
		return "imageio"
	case source.VDDK != nil:
		return "vddk"
	default:
		return "none"
	}
}

// tellPhase logs one line for each state that a machine reaches.
func (p *pass) tellPhase(ctx context.Context, before *v1beta1.VirtualServerStatus) {
	after := &p.before.Status
	if before.PrintableStatus == after.PrintableStatus {
		return
	}
	klog.FromContext(ctx).V(1).Info("The machine has reached another state", "status", after.PrintableStatus,
		"was", before.PrintableStatus, "runStrategy", after.RunStrategy, "virtualMachine", after.VM.Name, "node", after.Node)
}
