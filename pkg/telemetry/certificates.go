package telemetry

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"k8s.io/component-base/metrics"
	"k8s.io/klog/v2"
)

// certificatesPeriod is how often certificates are read again.
const certificatesPeriod = time.Minute

// Certificate is a certificate that the server uses.
type Certificate struct {
	// Name is what it is for, the value of a label.
	Name string
	// PEM returns what is in force now: a certificate or several, of which the one that expires first counts.
	PEM func() ([]byte, error)
}

// CertificateMetrics show when certificates expire.
type CertificateMetrics struct {
	expiry *metrics.GaugeVec
}

// NewCertificateMetrics returns metrics that are not registered yet.
func NewCertificateMetrics() *CertificateMetrics {
	return &CertificateMetrics{expiry: metrics.NewGaugeVec(&metrics.GaugeOpts{
		Namespace: "virtualserver", Name: "certificate_expiry_timestamp_seconds", StabilityLevel: metrics.ALPHA,
		Help: "When a certificate that the server uses expires, by what it is for. 0 is one that cannot be read.",
	}, []string{"certificate"})}
}

// All returns the metrics for registration.
func (m *CertificateMetrics) All() []metrics.Registerable {
	return []metrics.Registerable{m.expiry}
}

// Observe reads the certificates until the context ends.
func (m *CertificateMetrics) Observe(ctx context.Context, certificates []Certificate) {
	ticker := time.NewTicker(certificatesPeriod)
	defer ticker.Stop()
	for {
		for _, certificate := range certificates {
			m.observe(ctx, certificate)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (m *CertificateMetrics) observe(ctx context.Context, certificate Certificate) {
	content, err := certificate.PEM()
	if err == nil {
		var expiry time.Time
		if expiry, err = firstExpiry(content); err == nil {
			m.expiry.WithLabelValues(certificate.Name).Set(float64(expiry.Unix()))
			return
		}
	}
	klog.FromContext(ctx).Error(err, "Cannot read a certificate", "certificate", certificate.Name)
	m.expiry.WithLabelValues(certificate.Name).Set(0)
}

// firstExpiry returns when the first of the certificates expires.
func firstExpiry(content []byte) (time.Time, error) {
	var first time.Time
	for {
		var block *pem.Block
		if block, content = pem.Decode(content); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return time.Time{}, fmt.Errorf("parse a certificate: %w", err)
		}
		if first.IsZero() || certificate.NotAfter.Before(first) {
			first = certificate.NotAfter
		}
	}
	if first.IsZero() {
		return first, errors.New("there is no certificate in it")
	}
	return first, nil
}
