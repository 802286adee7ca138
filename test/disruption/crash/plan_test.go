package crash

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Environment variables of the restart storm.
const (
	killsVariable = "CRASH_KILLS"
	seedVariable  = "CRASH_SEED"
)

// defaultKills is the number of kills in a run of all tests; a long run has 200.
const defaultKills = 8

// blow is one kill of the product: when it strikes, and what follows.
type blow struct {
	// starting strikes while the product starts, instead of after it is ready.
	starting bool
	// events is how many changes of machines may pass before it strikes; a change is the moment at which the product is
	// at work. after is when it strikes at the latest.
	events int
	after  time.Duration
	// waitLease lets the successor wait until the Lease of the dead process has run out, as it would in a cluster. Else
	// the Lease is removed, which makes time for more blows.
	waitLease bool
}

// plan is what happens in a storm, all of it drawn from the seed.
type plan struct {
	seed  uint64
	blows []blow
}

func newPlan(t *testing.T) plan {
	t.Helper()
	p := plan{seed: uint64(number(t, seedVariable, time.Now().UnixNano())), blows: make([]blow, number(t, killsVariable, defaultKills))}
	random := p.random(0)
	for i := range p.blows {
		p.blows[i] = blow{
			starting:  random.IntN(8) == 0,
			events:    1 + random.IntN(60),
			after:     time.Duration(random.Int64N(int64(2500 * time.Millisecond))),
			waitLease: random.IntN(5) == 0,
		}
		if p.blows[i].starting {
			p.blows[i].after = time.Duration(random.Int64N(int64(800 * time.Millisecond)))
		}
	}
	t.Logf("%d kills; the same plan again: %s=%d %s=%d", len(p.blows), seedVariable, p.seed, killsVariable, len(p.blows))
	return p
}

// random is the source of one party of the storm: 0 is the killer, the others are machines.
func (p plan) random(party uint64) *rand.Rand { return rand.New(rand.NewPCG(p.seed, party)) }

func number(t *testing.T, variable string, fallback int64) int64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return fallback
	}
	value, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err, variable)
	return value
}
