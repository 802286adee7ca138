// Package telemetry offers the metrics of this product apart from those of the library: some dozens of lines instead of thousands.
package telemetry

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

// Path is where the server serves the metrics of this product alone. /metrics has them too, with those of every API server.
const Path = "/metrics/virtualserver"

// Registry holds the metrics of this product.
type Registry struct {
	own metrics.KubeRegistry
}

// New returns an empty registry.
func New() *Registry {
	return &Registry{own: metrics.NewKubeRegistry()}
}

// Register adds metrics to this registry, and to the one that every API server exposes. There the first of a name wins, which
// only matters to a process with two servers, as in tests.
func (r *Registry) Register(all ...metrics.Registerable) error {
	for _, metric := range all {
		if err := r.own.Register(metric); err != nil {
			return fmt.Errorf("register the metric %s: %w", metric.FQName(), err)
		}
		var already prometheus.AlreadyRegisteredError
		if err := legacyregistry.Register(metric); err != nil && !errors.As(err, &already) {
			return fmt.Errorf("register the metric %s: %w", metric.FQName(), err)
		}
	}
	return nil
}

// Handler serves a scrape.
func (r *Registry) Handler() http.Handler {
	return metrics.HandlerFor(r.own, metrics.HandlerOpts{ErrorHandling: metrics.HTTPErrorOnError})
}
