package main

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sync/errgroup"
)

// place says for whom something is prepared: no two share names.
type place struct {
	// Subject, Round and Client count from 0.
	Subject, Round, Client int
}

// preparer makes what one client needs in one round, before the clock runs, and returns what the client repeats.
type preparer func(ctx context.Context, s subject, p place) (func(context.Context) error, error)

func prepareCreate(_ context.Context, s subject, p place) (func(context.Context) error, error) {
	next := 0
	return func(ctx context.Context) error {
		next++
		return s.Create(ctx, createNamespace, fmt.Sprintf("create-%d-%d-%d-%d", p.Subject, p.Round, p.Client, next))
	}, nil
}

func prepareGet(_ context.Context, s subject, p place) (func(context.Context) error, error) {
	next := p.Client
	return func(ctx context.Context) error {
		next++
		return s.Get(ctx, fewNamespace, filledName(next%few))
	}, nil
}

func prepareUpdate(ctx context.Context, s subject, p place) (func(context.Context) error, error) {
	name := fmt.Sprintf("update-%d-%d-%d", p.Subject, p.Round, p.Client)
	if err := s.Create(ctx, createNamespace, name); err != nil {
		return nil, err
	}
	return s.Updater(ctx, createNamespace, name)
}

func prepareList(namespace string) preparer {
	return func(_ context.Context, s subject, _ place) (func(context.Context) error, error) {
		return func(ctx context.Context) error { return s.List(ctx, namespace) }, nil
	}
}

func filledName(i int) string { return fmt.Sprintf("filled-%d", i) }

// fill puts this many objects into a namespace of every subject.
func fill(ctx context.Context, subjects []subject, namespace string, count, clients int) error {
	for _, s := range subjects {
		if shared, ok := s.(*resource); ok && shared.sharesStore {
			continue
		}
		fmt.Fprintf(os.Stderr, "Filling %s of %s with %d objects\n", namespace, s.Name(), count)
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(clients)
		for i := range count {
			group.Go(func() error { return s.Create(ctx, namespace, filledName(i)) })
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return nil
}
