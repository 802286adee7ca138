package controlplane

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRunStepsKeepsTheOrder(t *testing.T) {
	var first, second atomic.Bool
	err := runSteps(t.Context(), []step{
		{name: "a", run: func(context.Context) error { first.Store(true); return nil }},
		{name: "b", run: func(context.Context) error { second.Store(true); return nil }},
		{name: "c", after: []string{"a", "b"}, run: func(context.Context) error {
			if !first.Load() || !second.Load() {
				return errors.New("too early")
			}
			return nil
		}},
	})
	assert.NoError(t, err)
}

func TestRunStepsStopsAtTheFirstError(t *testing.T) {
	reached := false
	err := runSteps(t.Context(), []step{
		{name: "bad", run: func(context.Context) error { return errors.New("broken") }},
		{name: "slow", run: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
		{name: "later", after: []string{"bad"}, run: func(context.Context) error { reached = true; return nil }},
	})
	assert.EqualError(t, err, "bad: broken")
	assert.False(t, reached)
}

func TestRunStepsRefusesImpossiblePlans(t *testing.T) {
	nothing := func(context.Context) error { return nil }
	tests := map[string][]step{
		"twice":                   {{name: "a", run: nothing}, {name: "a", run: nothing}},
		"does not come before it": {{name: "a", after: []string{"b"}, run: nothing}, {name: "b", run: nothing}},
	}
	for want, steps := range tests {
		t.Run(want, func(t *testing.T) {
			assert.ErrorContains(t, runSteps(t.Context(), steps), want)
		})
	}
}

func TestPlanCanBeMet(t *testing.T) {
	for _, options := range []Options{{}, {WithoutProduct: true}, {WithoutProduct: true, WithoutNodeAgent: true}} {
		c := &ControlPlane{options: options}
		require.NoError(t, checkSteps(c.steps()))
	}
}

func TestRunStepsTellsWhatWasAtWork(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	err := runSteps(ctx, []step{
		{name: "slow", run: func(ctx context.Context) error { cancel(); <-ctx.Done(); return errors.New("still starting") }},
		{name: "later", after: []string{"slow"}, run: func(context.Context) error { return nil }},
	})
	assert.EqualError(t, err, "slow: still starting")
}
