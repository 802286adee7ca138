package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"tensorstack.dev/virtualserver/test/benchmark/statistics"
)

// report prints a Markdown table. Each row says how a subject compares with the first one, the CustomResourceDefinition.
func report(out io.Writer, plan plan, results []result) error {
	fmt.Fprintf(out, "\n%d rounds in turns, %d clients, %d watches, long list of %d objects; %s, %d cores, client and servers on one machine.\n",
		plan.Rounds, plan.Clients, plan.Watchers, plan.Many, runtime.Version(), runtime.NumCPU())
	fmt.Fprintf(out, "Both etcds write to the disk before they answer. A fan-out counts delivered events; its latency ends at the last watch.\n\n")
	table := tabwriter.NewWriter(out, 0, 0, 1, ' ', tabwriter.Debug)
	fmt.Fprintln(table, "\t operation\t subject\t per second (median)\t × peer (median of rounds)\t p50\t p99\t p99 ÷ peer's\t")
	fmt.Fprintln(table, "\t---\t---\t---:\t---:\t---:\t---:\t---:\t")
	for _, result := range results {
		for i, name := range result.Subjects {
			peer, own := pool(result.Samples[0]), pool(result.Samples[i])
			fmt.Fprintf(table, "\t %s\t %s\t %.0f\t %.2f\t %s\t %s\t %.2f\t\n", result.Operation, name,
				statistics.Median(rates(result.Samples[i])), statistics.Median(ratios(result.Samples[i], result.Samples[0])),
				quantile(own, 0.5).Round(10*time.Microsecond), quantile(own, 0.99).Round(10*time.Microsecond),
				float64(quantile(own, 0.99))/float64(quantile(peer, 0.99)))
		}
	}
	return table.Flush()
}

func rates(samples []sample) []float64 {
	var rates []float64
	for _, sample := range samples {
		rates = append(rates, sample.PerSecond)
	}
	return rates
}

// ratios compares round by round: what disturbed a round disturbed both.
func ratios(samples, peer []sample) []float64 {
	var ratios []float64
	for i := range samples {
		ratios = append(ratios, samples[i].PerSecond/peer[i].PerSecond)
	}
	return ratios
}

// pool returns the latencies of all rounds in order.
func pool(samples []sample) []time.Duration {
	var all []time.Duration
	for _, sample := range samples {
		all = append(all, sample.Latencies...)
	}
	slices.Sort(all)
	return all
}

// quantile takes the nearest rank of sorted values; 0 without any.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(q * float64(len(sorted)))
	return sorted[min(rank, len(sorted)-1)]
}
