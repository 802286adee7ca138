package controlplane

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// step is one part of the start. It begins when all steps named in after are done, so
// that everything that can go on at the same time does.
type step struct {
	name  string
	after []string
	run   func(ctx context.Context) error
}

// runSteps runs all steps and returns the first error, after every started one has ended.
func runSteps(ctx context.Context, steps []step) error {
	done := make(map[string]chan struct{}, len(steps))
	for _, step := range steps {
		if done[step.name] != nil {
			return fmt.Errorf("step %s is there twice", step.name)
		}
		done[step.name] = make(chan struct{})
	}
	if err := checkSteps(steps); err != nil {
		return err
	}
	parent := ctx
	group, ctx := errgroup.WithContext(parent)
	for _, step := range steps {
		group.Go(func() error {
			for _, name := range step.after {
				select {
				case <-done[name]:
				case <-ctx.Done():
					// Those that were at work say better why.
					return nil
				}
			}
			if err := step.run(ctx); err != nil {
				return fmt.Errorf("%s: %w", step.name, err)
			}
			close(done[step.name])
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return context.Cause(parent)
}

// checkSteps finds dependencies that could never be met: each must come earlier in the
// list, which also rules out circles.
func checkSteps(steps []step) error {
	known := map[string]bool{}
	for _, step := range steps {
		for _, name := range step.after {
			if !known[name] {
				return fmt.Errorf("step %s waits for %s, which does not come before it", step.name, name)
			}
		}
		known[step.name] = true
	}
	return nil
}
