package guide

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tensorstack.dev/virtualserver/test/framework"
)

// The deadlines of this package. The first test boots a probe guest before any other test begins, and sets them from the
// time that took: an emulated guest needs ten times as long on one machine as on another.
var (
	probe sync.Once
	// bootTimeout bounds the time from apply, or from a restart, to the guest's shell.
	bootTimeout = 14 * time.Minute
	// commandTimeout bounds a command in the guest.
	commandTimeout = 5 * time.Minute
)

// measureBoot boots the probe guest. Only the first call does; it must come before t.Parallel.
func measureBoot(t *testing.T) {
	t.Helper()
	probe.Do(func() {
		e := framework.New(t)
		if !e.Plane.RealNodes() {
			return
		}
		begin := time.Now()
		e.Create(small(e, "probe"))
		g := boot(e, "probe", "")
		took := time.Since(begin)
		_ = g.connection.Close()
		result := e.Kubectl("delete", "virtualserver", "probe", "--wait=false")
		require.NoError(t, result.Err, result.Stderr)
		bootTimeout, commandTimeout = deadlines(took)
		t.Logf("the probe guest had its shell after %.1f s: a boot may take %v, a command %v", took.Seconds(), bootTimeout, commandTimeout)
	})
}

// deadlines are what a boot and a command may take where the probe took so long. Other work on the machine and guests that
// boot at the same time make a boot many times slower than the probe, which had the machine for itself.
func deadlines(probe time.Duration) (boot, command time.Duration) {
	within := func(low, wanted, high time.Duration) time.Duration {
		return min(max(low, wanted), high).Round(time.Second)
	}
	return within(3*time.Minute, 12*probe, 14*time.Minute), within(time.Minute, 3*probe, 5*time.Minute)
}

func TestDeadlinesFollowTheProbe(t *testing.T) {
	for probe, want := range map[time.Duration][2]time.Duration{
		4 * time.Second:   {3 * time.Minute, time.Minute},
		25 * time.Second:  {5 * time.Minute, 75 * time.Second},
		40 * time.Second:  {8 * time.Minute, 2 * time.Minute},
		90 * time.Second:  {14 * time.Minute, 270 * time.Second},
		300 * time.Second: {14 * time.Minute, 5 * time.Minute},
	} {
		boot, command := deadlines(probe)
		require.Equal(t, want, [2]time.Duration{boot, command}, probe)
	}
}
