package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// Operations with something of their own.
const (
	listMany = "list many"
	fanOut   = "watch fan-out"
)

// profileSeconds is how long a profile is, as the server's handler takes it.
const profileSeconds = "20"

func (p plan) wants(operation string) bool {
	return len(p.Only) == 0 || slices.Contains(p.Only, operation)
}

// profile starts a CPU profile of the product and returns what waits for it.
func (p plan) profile(ctx context.Context, subjects []subject, operation string) (wait func() error, err error) {
	if p.Profiles == "" {
		return func() error { return nil }, nil
	}
	if err := os.MkdirAll(p.Profiles, 0o755); err != nil {
		return nil, err
	}
	var group errgroup.Group
	for _, s := range subjects {
		direct, ok := s.(*resource)
		if !ok || !direct.sharesStore {
			continue
		}
		group.Go(func() error {
			content, err := direct.read(ctx, http.MethodGet, direct.host+"/debug/pprof/profile?seconds="+profileSeconds, nil)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(p.Profiles, strings.ReplaceAll(operation, " ", "-")+".pprof"), content, 0o600)
		})
	}
	return group.Wait, nil
}
