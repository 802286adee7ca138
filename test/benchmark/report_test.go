package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensorstack.dev/virtualserver/test/benchmark/statistics"
)

func TestFiguresOfTheReport(t *testing.T) {
	assert.Zero(t, statistics.Median[float64](nil))
	assert.InDelta(t, 2, statistics.Median([]float64{9, 1, 2}), 0)
	assert.InDelta(t, 1.5, statistics.Median([]float64{2, 1}), 0)
	sorted := []time.Duration{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	assert.Equal(t, time.Duration(6), quantile(sorted, 0.5))
	assert.Equal(t, time.Duration(10), quantile(sorted, 0.99))
	assert.Zero(t, quantile(nil, 0.99))
}

func TestReportComparesRoundByRound(t *testing.T) {
	peer := []sample{{PerSecond: 100, Latencies: []time.Duration{10 * time.Millisecond}}, {PerSecond: 50}}
	own := []sample{{PerSecond: 200, Latencies: []time.Duration{5 * time.Millisecond}}, {PerSecond: 100}}
	var out bytes.Buffer
	require.NoError(t, report(&out, defaultPlan(), []result{{Operation: "get", Subjects: []string{"peer", "own"}, Samples: [][]sample{peer, own}}}))
	assert.Regexp(t, `\| get +\| own +\| 150 +\| 2\.00 +\| 5ms +\| 5ms +\| 0\.50 +\|`, out.String())
}

func TestFanOutWaitsForTheLastWatch(t *testing.T) {
	begin := time.Now()
	var sent, first, last [changes]time.Time
	for i := range changes {
		sent[i] = begin.Add(time.Duration(i) * time.Second)
		first[i], last[i] = sent[i].Add(time.Millisecond), sent[i].Add(time.Second)
	}
	taken := fanOutSample(sent, [][changes]time.Time{first, last})
	assert.Equal(t, time.Second, taken.Latencies[0])
	assert.InDelta(t, 2, taken.PerSecond, 0.001)
}

func TestPeerHasTheSchemaOfVirtualServers(t *testing.T) {
	definition, err := customResourceDefinition()
	require.NoError(t, err)
	encoded, err := definition.MarshalJSON()
	require.NoError(t, err)
	assert.Contains(t, string(encoded), `"additionalDisks"`)
	assert.NotContains(t, string(encoded), `"$ref"`)
}
