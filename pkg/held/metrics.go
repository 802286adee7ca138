package held

import (
	"time"

	"k8s.io/component-base/metrics"

	"tensorstack.dev/virtualserver/pkg/home"
)

// Metrics show what is held.
type Metrics struct {
	held  *metrics.Gauge
	first *metrics.Gauge
	total *metrics.CounterVec
}

// NewMetrics returns metrics that are not registered yet.
func NewMetrics() *Metrics {
	const namespace, subsystem = "virtualserver", "held"
	return &Metrics{
		held: metrics.NewGauge(&metrics.GaugeOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "objects",
			Help:           "Number of VirtualServers that are held because their namespace is gone. It is counted once a minute.",
			StabilityLevel: metrics.ALPHA,
		}),
		first: metrics.NewGauge(&metrics.GaugeOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "first_expiry_timestamp_seconds",
			Help:           "When the first of the held VirtualServers is deleted for good, or 0 if none is held.",
			StabilityLevel: metrics.ALPHA,
		}),
		total: metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "moves_total",
			Help:           "Number of VirtualServers that this process took out of a namespace that they do not belong to, by reason.",
			StabilityLevel: metrics.ALPHA,
		}, []string{"reason"}),
	}
}

// All returns the metrics for registration.
func (m *Metrics) All() []metrics.Registerable {
	return []metrics.Registerable{m.held, m.first, m.total}
}

func (m *Metrics) moved(reason home.Reason) {
	m.total.WithLabelValues(string(reason)).Inc()
	m.held.Inc()
}

func (m *Metrics) set(held int, first time.Time) {
	m.held.Set(float64(held))
	if first.IsZero() {
		m.first.Set(0)
		return
	}
	m.first.Set(float64(first.Unix()))
}
