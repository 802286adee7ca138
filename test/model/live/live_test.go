// Package live runs the sequences of test/model against the real control plane, where KubeVirt itself decides what an
// action leads to. It kills the product again and again, so that nothing else may run beside it.
package live

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/controlplane"
	"tensorstack.dev/virtualserver/test/framework"
	"tensorstack.dev/virtualserver/test/model/sequence"
	"tensorstack.dev/virtualserver/test/model/spec"
)

var (
	seed      = flag.Uint64("model.seed", 11, "seed of the sequences; 0 chooses one")
	first     = flag.Int("model.first", 0, "number of the first sequence, to run one again")
	sequences = flag.Int("model.sequences", 8, "number of sequences")
	actions   = flag.Int("model.actions", 5, "number of actions in each sequence")
	killEvery = flag.Duration("model.kill-every", 6*time.Second, "mean time between two kills of the product; 0 for none")
)

func TestRandomSequences(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64N(1_000_000)
	}
	start := time.Now()
	t.Logf("seed %d, %d sequences of %d actions", *seed, *sequences, *actions)
	kills := killer(t)
	var checks atomic.Int64
	t.Run("sequences", func(t *testing.T) {
		for number := *first; number < *first+*sequences; number++ {
			t.Run(fmt.Sprint(number), func(t *testing.T) {
				t.Parallel()
				checks.Add(int64(runOne(t, *seed, number)))
			})
		}
	})
	t.Logf("%d comparisons of the machine with the specification and %d kills in %v", checks.Load(), kills(),
		time.Since(start).Round(time.Second))
}

func runOne(t *testing.T, seed uint64, number int) int {
	random := rand.New(rand.NewPCG(seed, uint64(number)))
	created := spec.Strategies()[random.IntN(4)]
	run := &sequence.Sequence{
		Random: random, Driver: newDriver(t, v1beta1.RunStrategy(created)), Actions: sequence.AllActions(),
		Hurried: []spec.Kind{spec.Start, spec.Stop, spec.Restart, spec.Edit},
	}
	if err := run.Run(created, *actions); err != nil {
		t.Errorf("sequence %d of seed %d: %v\nto run it again: go test ./test/model/live -model.seed %d -model.first %d "+
			"-model.sequences 1 -model.actions %d", number, seed, err, seed, number, *actions)
	}
	return run.Checks()
}

// killer kills the product again and again until the test ends or the returned function is called, which says how often.
func killer(t *testing.T) func() int64 {
	t.Helper()
	e := framework.New(t)
	plane := e.Plane
	ctx, cancel := context.WithCancel(t.Context())
	var kills atomic.Int64
	var running sync.WaitGroup
	stop := sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	t.Cleanup(stop)
	if *killEvery > 0 {
		running.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-time.After(*killEvery/2 + rand.N(*killEvery)):
				}
				// The product must run again afterwards, also when the test ends meanwhile.
				again := context.WithoutCancel(ctx)
				before := leader(again, e)
				if err := plane.Kill(again, controlplane.Product); err != nil {
					t.Errorf("kill the product: %v", err)
				}
				kills.Add(1)
				if err := plane.StartComponent(again, controlplane.Product); err != nil {
					t.Errorf("start the product again: %v", err)
					return
				}
				// One that is killed before it leads has done nothing. On a slow machine that would be all of them.
				if rand.IntN(4) > 0 {
					_ = wait.PollUntilContextTimeout(ctx, time.Second/4, time.Minute, true, func(ctx context.Context) (bool, error) {
						now := leader(ctx, e)
						return now != "" && now != before, nil
					})
				}
			}
		})
	}
	require.NotNil(t, plane)
	return func() int64 {
		stop()
		return kills.Load()
	}
}

// leader names the process of the product that runs the controllers, or nobody. Each process has a name of its own.
func leader(ctx context.Context, e *framework.Environment) string {
	lease, err := e.Kube.CoordinationV1().Leases("virtualserver-system").Get(ctx, "virtualserver-controller", metav1.GetOptions{})
	if err != nil {
		return ""
	}
	return ptr.Deref(lease.Spec.HolderIdentity, "")
}
