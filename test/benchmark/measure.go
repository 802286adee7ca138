package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// sample is what one round of one subject gave.
type sample struct {
	// PerSecond is how many requests, or events for the fan-out, were finished in a second.
	PerSecond float64
	// Latencies are those of the single requests.
	Latencies []time.Duration
}

// result is a row of the report: the samples of each subject, in the subjects' order.
type result struct {
	Operation string
	Subjects  []string
	Samples   [][]sample
}

// measure lets the subjects take turns, so that whatever else slows the machine down slows all of them. Each round begins
// with another subject. A round before the first is not counted.
func measure(ctx context.Context, plan plan, subjects []subject) ([]result, error) {
	if err := fill(ctx, subjects, fewNamespace, few, plan.Clients); err != nil {
		return nil, err
	}
	var results []result
	for _, operation := range plan.operations() {
		if !plan.wants(operation.Name) {
			continue
		}
		if operation.Name == listMany {
			if err := fill(ctx, subjects, manyNamespace, plan.Many, plan.Clients); err != nil {
				return nil, err
			}
		}
		stop, err := plan.profile(ctx, subjects, operation.Name)
		if err != nil {
			return nil, err
		}
		measured, err := takeTurns(ctx, plan, subjects, operation.Name, func(ctx context.Context, p place) (sample, error) {
			return batch(ctx, operation, subjects[p.Subject], p)
		})
		if err := errors.Join(err, stop()); err != nil {
			return nil, fmt.Errorf("%s: %w", operation.Name, err)
		}
		results = append(results, measured)
	}
	if plan.wants(fanOut) {
		measured, err := takeTurns(ctx, plan, subjects, fanOut, func(ctx context.Context, p place) (sample, error) {
			return fanOutBatch(ctx, plan.Watchers, subjects[p.Subject], p)
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", fanOut, err)
		}
		results = append(results, measured)
	}
	return results, nil
}

func takeTurns(ctx context.Context, plan plan, subjects []subject, name string,
	once func(context.Context, place) (sample, error),
) (result, error) {
	fmt.Fprintf(os.Stderr, "Measuring %s, %d rounds\n", name, plan.Rounds)
	measured := result{Operation: name, Samples: make([][]sample, len(subjects))}
	for _, s := range subjects {
		measured.Subjects = append(measured.Subjects, s.Name())
	}
	for round := range plan.Rounds + 1 {
		for turn := range subjects {
			index := (turn + round) % len(subjects)
			taken, err := once(ctx, place{Subject: index, Round: round})
			if err != nil {
				return result{}, fmt.Errorf("%s: %w", subjects[index].Name(), err)
			}
			if round > 0 {
				measured.Samples[index] = append(measured.Samples[index], taken)
			}
		}
	}
	return measured, nil
}

// batch sends the requests of one round.
func batch(ctx context.Context, operation operation, s subject, p place) (sample, error) {
	share := max(1, operation.Batch/operation.Clients)
	clients := make([]func(context.Context) error, operation.Clients)
	for i := range clients {
		var err error
		p.Client = i
		if clients[i], err = operation.Prepare(ctx, s, p); err != nil {
			return sample{}, err
		}
	}
	latencies := make([][]time.Duration, len(clients))
	group, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for i, request := range clients {
		group.Go(func() error {
			for range share {
				sent := time.Now()
				if err := request(ctx); err != nil {
					return err
				}
				latencies[i] = append(latencies[i], time.Since(sent))
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return sample{}, err
	}
	taken := sample{Latencies: slices.Concat(latencies...)}
	taken.PerSecond = float64(len(taken.Latencies)) / time.Since(began).Seconds()
	return taken, nil
}
