package telemetry

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientcert "k8s.io/client-go/util/cert"
	"k8s.io/component-base/metrics/testutil"
)

// Of a bundle the certificate counts that expires first. One that cannot be read counts as expired, so that an alert sees it.
func TestExpiryOfCertificates(t *testing.T) {
	content, key, err := clientcert.GenerateSelfSignedCertKey("localhost", nil, nil)
	require.NoError(t, err)
	expiry, err := firstExpiry(content)
	require.NoError(t, err)
	assert.Greater(t, time.Until(expiry), time.Hour)

	metrics := NewCertificateMetrics()
	require.NoError(t, New().Register(metrics.All()...))
	for name, test := range map[string]struct {
		content []byte
		err     error
		want    float64
	}{
		"bundle":      {slices.Concat(content, key, content), nil, float64(expiry.Unix())},
		"no file":     {nil, errors.New("no such file"), 0},
		"empty":       {nil, nil, 0},
		"only a key":  {key, nil, 0},
		"broken":      {[]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), nil, 0},
		"not PEM":     {[]byte("hello"), nil, 0},
		"certificate": {content, nil, float64(expiry.Unix())},
	} {
		metrics.observe(t.Context(), Certificate{Name: name, PEM: func() ([]byte, error) { return test.content, test.err }})
		got, err := testutil.GetGaugeMetricValue(metrics.expiry.WithLabelValues(name))
		require.NoError(t, err)
		assert.InDelta(t, test.want, got, 0.5, name)
	}
}
