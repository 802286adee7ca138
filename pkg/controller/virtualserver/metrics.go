package virtualserver

import (
	"k8s.io/component-base/metrics"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// Metrics count what the controller does. They live as long as the process, over all terms.
type Metrics struct {
	operations *metrics.CounterVec
	failures   *metrics.CounterVec
	duration   *metrics.HistogramVec
}

// NewMetrics returns metrics that are not registered yet.
func NewMetrics() *Metrics {
	const namespace, subsystem = "virtualserver", "controller"
	return &Metrics{
		operations: metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "operations_total",
			Help:           "Number of operations that ended, by type and result.",
			StabilityLevel: metrics.ALPHA,
		}, []string{"type", "result"}),
		failures: metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "reconcile_failures_total",
			Help:           "Number of reconciliations that failed and are tried again, by reason. Those that lost a race are not counted.",
			StabilityLevel: metrics.ALPHA,
		}, []string{"reason"}),
		duration: metrics.NewHistogramVec(&metrics.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "operation_duration_seconds",
			Help:           "Time from the acceptance of an operation that succeeded to its end, by type.",
			Buckets:        []float64{0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300},
			StabilityLevel: metrics.ALPHA,
		}, []string{"type"}),
	}
}

// All returns the metrics for registration.
func (m *Metrics) All() []metrics.Registerable {
	return []metrics.Registerable{m.operations, m.failures, m.duration}
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
