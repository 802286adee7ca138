package etcd

import (
	"context"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/component-base/metrics"
)

// observePeriod is how often the store is asked how it is.
const observePeriod = 15 * time.Second

// Metrics show how the members of the store are.
type Metrics struct {
	up, size, used, quota, noSpace *metrics.GaugeVec
}

// NewMetrics returns metrics that are not registered yet.
func NewMetrics() *Metrics {
	gauge := func(name, help string) *metrics.GaugeVec {
		return metrics.NewGaugeVec(&metrics.GaugeOpts{
			Namespace: "virtualserver", Subsystem: "store", Name: name, Help: help, StabilityLevel: metrics.ALPHA,
		}, []string{"endpoint"})
	}
	return &Metrics{
		up:      gauge("member_up", "1 if the member of etcd answers, 0 if it does not."),
		size:    gauge("size_bytes", "Size of the member's database on its disk."),
		used:    gauge("size_in_use_bytes", "Size of what is in the member's database. The rest is given back by a defragmentation."),
		quota:   gauge("quota_bytes", "Size at which the member refuses writes, or 0 if it does not tell."),
		noSpace: gauge("no_space", "1 while the store refuses writes for lack of space, 0 otherwise."),
	}
}

// All returns the metrics for registration.
func (m *Metrics) All() []metrics.Registerable {
	return []metrics.Registerable{m.up, m.size, m.used, m.quota, m.noSpace}
}

// Observe asks every member how it is until the context ends.
func (m *Metrics) Observe(ctx context.Context, client *clientv3.Client) {
	ticker := time.NewTicker(observePeriod)
	defer ticker.Stop()
	for {
		m.observe(ctx, client)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (m *Metrics) observe(ctx context.Context, client *clientv3.Client) {
	var group sync.WaitGroup
	for _, endpoint := range client.Endpoints() {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, observePeriod)
			defer cancel()
			status, err := client.Status(ctx, endpoint)
			if err != nil {
				// What was last known of its size stays.
				m.up.WithLabelValues(endpoint).Set(0)
				return
			}
			m.set(endpoint, status)
		})
	}
	group.Wait()
}

func (m *Metrics) set(endpoint string, status *clientv3.StatusResponse) {
	noSpace := 0.0
	for _, alarm := range status.Errors {
		// Such as "memberID:1234 alarm:NOSPACE ".
		if strings.Contains(alarm, "NOSPACE") {
			noSpace = 1
		}
	}
	for gauge, value := range map[*metrics.GaugeVec]float64{
		m.up: 1, m.size: float64(status.DbSize), m.used: float64(status.DbSizeInUse), m.quota: float64(status.DbSizeQuota),
		m.noSpace: noSpace,
	} {
		gauge.WithLabelValues(endpoint).Set(value)
	}
}
