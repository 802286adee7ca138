package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// changes is how many changes each round of the fan-out makes.
const changes = 40

// fanOutBatch opens watches of a namespace, changes an object in it, and waits until every watch has seen every change. A
// latency is the time from sending a change until the last watch has it.
func fanOutBatch(ctx context.Context, watchers int, s subject, p place) (sample, error) {
	name := fmt.Sprintf("fanout-%d-%d", p.Subject, p.Round)
	if err := s.Create(ctx, watchNamespace, name); err != nil {
		return sample{}, err
	}
	update, err := s.Updater(ctx, watchNamespace, name)
	if err != nil {
		return sample{}, err
	}
	streams := make([]stream, 0, watchers)
	defer func() {
		for _, stream := range streams {
			stream.Close()
		}
	}()
	for range watchers {
		stream, err := s.Watch(ctx, watchNamespace)
		if err != nil {
			return sample{}, err
		}
		streams = append(streams, stream)
	}
	// Each watch and the writer has a slice of its own, so nothing is shared while the clock runs.
	received := make([][changes]time.Time, watchers)
	var sent [changes]time.Time
	group, ctx := errgroup.WithContext(ctx)
	for i, stream := range streams {
		group.Go(func() error {
			for change := range changes {
				if err := stream.Next(); err != nil {
					return fmt.Errorf("watch %d, change %d: %w", i, change, err)
				}
				received[i][change] = time.Now()
			}
			return nil
		})
	}
	group.Go(func() error {
		for change := range changes {
			sent[change] = time.Now()
			if err := update(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return sample{}, err
	}
	return fanOutSample(sent, received), nil
}

func fanOutSample(sent [changes]time.Time, received [][changes]time.Time) sample {
	var taken sample
	var end time.Time
	for change := range changes {
		last := slices.MaxFunc(received, func(a, b [changes]time.Time) int { return a[change].Compare(b[change]) })[change]
		taken.Latencies = append(taken.Latencies, last.Sub(sent[change]))
		end = last
	}
	taken.PerSecond = float64(changes*len(received)) / end.Sub(sent[0]).Seconds()
	return taken
}
