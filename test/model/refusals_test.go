package model

import (
	"maps"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/model/simulation"
	"tensorstack.dev/virtualserver/test/model/spec"
)

// As long as nobody else writes a VirtualServer, no write of it is refused, and nothing is created that is there already: a
// pass waits until the caches have seen what the one before has written. Events come late and in every order here.
func TestTheControllerNeverLosesARaceWithItself(t *testing.T) {
	requests, refused := 0, map[string]int{}
	for number := range uint64(100) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(*seed, number))
			world, err := simulation.New(t.Context(), random, simulation.Faults{})
			require.NoError(t, err)
			defer world.Close()
			require.NoError(t, world.Create(v1beta1.RunStrategy(spec.Strategies()[number%4])))
			require.NoError(t, world.Rest())
			carriedOut, lost := world.Requests()
			requests += carriedOut
			for what, times := range lost {
				refused[what] += times
			}
		})
	}
	t.Logf("%d requests, refused: %v", requests, refused)
	// virt-controller writes the machine as well, and what is not there is found out by asking.
	maps.DeleteFunc(refused, func(what string, _ int) bool {
		return what == "patch VirtualMachine: Conflict" || what == "get VirtualMachineInstance: NotFound"
	})
	assert.Empty(t, refused)
}
