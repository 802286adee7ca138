// Package model runs random sequences of operations, guest events, edits from outside and kills against the product's own
// registry and controller, and compares the machine with the specification in test/model/spec after each.
package model

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/model/sequence"
	"tensorstack.dev/virtualserver/test/model/simulation"
	"tensorstack.dev/virtualserver/test/model/spec"
)

var (
	seed      = flag.Uint64("model.seed", 4, "seed of the sequences; 0 chooses one")
	first     = flag.Int("model.first", 0, "number of the first sequence, to run one again")
	sequences = flag.Int("model.sequences", number("MODEL_SEQUENCES", 1000), "number of sequences")
	replays   = flag.Int("model.replays", 20, "number of sequences that are run twice and must take the same steps")
	actions   = flag.Int("model.actions", 12, "number of actions in each sequence")
	failures  = flag.Int64("model.failures", 1, "number of sequences that may fail before the test stops")
)

func number(variable string, otherwise int) int {
	if value, err := strconv.Atoi(os.Getenv(variable)); err == nil {
		return value
	}
	return otherwise
}

func TestRandomSequences(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64N(1_000_000)
	}
	t.Logf("seed %d, %d sequences of %d actions", *seed, *sequences, *actions)
	var next, checks, failed atomic.Int64
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for failed.Load() < *failures {
				number := *first + int(next.Add(1)) - 1
				if number >= *first+*sequences {
					return
				}
				synctest.Test(t, func(t *testing.T) {
					done, err := runOne(t, *seed, number)
					checks.Add(int64(done))
					if err != nil {
						failed.Add(1)
						t.Error(err)
					}
				})
			}
		})
	}
	workers.Wait()
	t.Logf("%d comparisons of the machine with the specification", checks.Load())
}

// runOne runs one sequence and returns how often machine and specification were compared.
func runOne(t *testing.T, seed uint64, number int) (int, error) {
	_, checks, err := play(t, seed, number)
	if err != nil {
		err = fmt.Errorf("sequence %d of seed %d: %w\nto run it again: go test ./test/model -model.seed %d -model.first %d "+
			"-model.sequences 1 -model.actions %d", number, seed, err, seed, number, *actions)
	}
	return checks, err
}

// play plays a sequence. Some meet no faults, some are killed often, and some have a bad network.
func play(t *testing.T, seed uint64, number int) ([]string, int, error) {
	random := rand.New(rand.NewPCG(seed, uint64(number)))
	faults := []simulation.Faults{{}, {Kills: 20}, {Losses: 30}, {Kills: 10, Losses: 10}}[random.IntN(4)]
	world, err := simulation.New(t.Context(), random, faults)
	require.NoError(t, err)
	defer world.Close()
	created := spec.Strategies()[random.IntN(4)]
	require.NoError(t, world.Create(v1beta1.RunStrategy(created)))
	run := &sequence.Sequence{Random: random, Driver: world, Actions: sequence.AllActions(), Hurried: sequence.HurriedActions()}
	err = run.Run(created, *actions)
	return world.Trace(), run.Checks(), err
}

// A sequence that fails can be looked at again: the same seed and number give the same steps.
func TestSequencesCanBeReplayed(t *testing.T) {
	for number := range *replays {
		var traces [2][]string
		for i := range traces {
			synctest.Test(t, func(t *testing.T) {
				var err error
				traces[i], _, err = play(t, *seed, number)
				require.NoError(t, err)
			})
		}
		require.Equal(t, traces[0], traces[1], "sequence %d", number)
	}
}
