// Package console measures consoles: how fast one is, beside KubeVirt's own, and what many idle ones cost. It needs a
// control plane to itself: "make up", then
//
//	CONSOLES=500 HOLD=30m go test -count=1 -timeout 90m -v ./test/benchmark/console/
package console

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// number is a setting from the environment: MEGABYTES and ROUNDS of the transfers, CONSOLES to keep open.
func number(t *testing.T, name string, fallback int) int {
	t.Helper()
	text, set := os.LookupEnv(name)
	if !set {
		return fallback
	}
	value, err := strconv.Atoi(text)
	require.NoError(t, err, name)
	require.Positive(t, value, name)
	return value
}

// period is a setting from the environment: HOLD, how long to keep idle consoles open.
func period(t *testing.T, name string, fallback time.Duration) time.Duration {
	t.Helper()
	text, set := os.LookupEnv(name)
	if !set {
		return fallback
	}
	value, err := time.ParseDuration(text)
	require.NoError(t, err, name)
	return value
}
