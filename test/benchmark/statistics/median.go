// Package statistics has the figures that the benchmarks share.
package statistics

import "slices"

// Median of values in any order, the middle of the two middle ones if their number is even; 0 without any.
func Median[T ~int64 | ~float64](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
