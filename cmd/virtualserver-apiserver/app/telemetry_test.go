package app

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/component-base/metrics"

	"tensorstack.dev/virtualserver/pkg/telemetry"
)

const metricsPage = "../../../docs/metrics.md"

// docs/metrics.md has a row for each metric that exists, with its type, its labels and its meaning, and no other. What else reads
// the names of metrics, such as the rules and the dashboard, is held against that page.
func TestEveryMetricIsDocumented(t *testing.T) {
	m, err := newMeasures()
	require.NoError(t, err)
	all := slices.Concat(m.controller.All(), m.stream.All(), m.held.All(), m.store.All(), m.certificates.All())
	var want []string
	for _, metric := range all {
		want = append(want, row(t, metric))
	}
	page, err := os.ReadFile(metricsPage)
	require.NoError(t, err)
	got := regexp.MustCompile("(?m)^\\| `virtualserver_.*$").FindAllString(string(page), -1)
	slices.Sort(want)
	slices.Sort(got)
	assert.Equal(t, strings.Join(want, "\n"), strings.Join(got, "\n"))
}

// row is the row of a metric in the page.
func row(t *testing.T, metric metrics.Registerable) string {
	t.Helper()
	kind := map[bool]string{true: "counter", false: "gauge"}[strings.HasSuffix(metric.FQName(), "_total")]
	switch metric.(type) {
	case *metrics.HistogramVec, *metrics.Histogram:
		kind = "histogram"
	}
	descriptions := make(chan *prometheus.Desc, 1)
	metric.Describe(descriptions)
	parts := regexp.MustCompile(`help: "([^"]*)".* variableLabels: \{([^}]*)\}`).FindStringSubmatch((<-descriptions).String())
	require.NotEmpty(t, parts, metric.FQName())
	labels := strings.ReplaceAll(parts[2], ",", ", ")
	help := strings.TrimPrefix(parts[1], "[ALPHA] ")
	return fmt.Sprintf("| `%s` | %s | %s | %s |", metric.FQName(), kind, labels, help)
}

// A scrape of the product's own metrics is some dozens of lines, not the thousands of every API server.
func TestScrapeOfOwnMetricsIsSmall(t *testing.T) {
	m, err := newMeasures()
	require.NoError(t, err)
	answer := httptest.NewRecorder()
	m.registry.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, telemetry.Path, nil))
	require.Equal(t, http.StatusOK, answer.Code)
	for line := range strings.Lines(answer.Body.String()) {
		if !strings.HasPrefix(line, "#") {
			assert.True(t, strings.HasPrefix(line, "virtualserver_"), line)
		}
	}
	assert.Contains(t, answer.Body.String(), "virtualserver_controller_leading")
}
