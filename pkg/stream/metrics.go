package stream

import (
	"k8s.io/component-base/metrics"
)

// Metrics counts streams and operations. Register it once.
type Metrics struct {
	open       *metrics.GaugeVec
	opened     *metrics.CounterVec
	closed     *metrics.CounterVec
	bytes      *metrics.CounterVec
	operations *metrics.CounterVec
}

// NewMetrics makes the metrics. They count nothing until they are registered.
func NewMetrics() *Metrics {
	counter := func(name, help string, labels ...string) *metrics.CounterVec {
		return metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace: "virtualserver", Subsystem: "stream", Name: name, Help: help, StabilityLevel: metrics.ALPHA,
		}, labels)
	}
	return &Metrics{
		open: metrics.NewGaugeVec(&metrics.GaugeOpts{
			Namespace: "virtualserver", Subsystem: "stream", Name: "open_sessions",
			Help: "Streams that are open now, by kind.", StabilityLevel: metrics.ALPHA,
		}, []string{"kind"}),
		opened:     counter("requests_total", "Requests for a stream, by kind and HTTP status code; 101 is a stream that was opened.", "kind", "code"),
		closed:     counter("closed_total", "Streams that ended, by kind and websocket close code.", "kind", "code"),
		bytes:      counter("bytes_total", "Bytes carried, by kind and direction: to_machine or from_machine.", "kind", "direction"),
		operations: counter("operations_total", "Operations passed on to KubeVirt, by operation and HTTP status code.", "operation", "code"),
	}
}

// All returns the metrics for registration.
func (m *Metrics) All() []metrics.Registerable {
	return []metrics.Registerable{m.open, m.opened, m.closed, m.bytes, m.operations}
}
