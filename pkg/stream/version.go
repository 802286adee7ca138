package stream

import (
	"context"
	"maps"
	"time"

	"golang.org/x/sync/singleflight"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/utils/clock"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// versionLife is how long KubeVirt's version is remembered. Everybody may ask for it, in kube-apiserver without priority and
// fairness, and we ask with our own rights.
const versionLife = time.Minute

// versions remembers KubeVirt's version and asks for it once at a time.
type versions struct {
	known *cache.Expiring
	ask   singleflight.Group
}

func newVersions(clock clock.Clock) *versions {
	return &versions{known: cache.NewExpiringWithClock(clock)}
}

// ReadVersion reads the version of KubeVirt, as it was at most a minute ago. A failure names no time to try again: virtctl reads
// the version when anything else has failed, and would repeat that for ten seconds before it tells the user.
func (g *Gateway) ReadVersion(ctx context.Context) (map[string]any, error) {
	const key = "version"
	if known, ok := g.versions.known.Get(key); ok {
		return maps.Clone(known.(map[string]any)), nil
	}
	// Who asked first may leave; others wait for the same answer.
	asking := context.WithoutCancel(ctx)
	answer := g.versions.ask.DoChan(key, func() (any, error) {
		version, err := g.readVersion(asking)
		if err == nil {
			g.versions.known.Set(key, version, versionLife)
		}
		return version, err
	})
	select {
	case result := <-answer:
		if result.Err != nil {
			return nil, neverRetry(result.Err)
		}
		return maps.Clone(result.Val.(map[string]any)), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (g *Gateway) readVersion(ctx context.Context) (map[string]any, error) {
	version := map[string]any{}
	found, err := g.read(ctx, g.below(subresourceAPI, "version"), &tensorstack.VirtualServer{}, &version)
	if err == nil && !found {
		err = unavailable("KubeVirt does not tell its version")
	}
	return version, err
}
