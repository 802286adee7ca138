package app

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	testingclock "k8s.io/utils/clock/testing"
)

func TestASilentGuest(t *testing.T) {
	for name, test := range map[string]struct {
		act  func(*silenceWatch, *testingclock.FakeClock)
		told bool
	}{
		"silent for ten seconds": {func(_ *silenceWatch, clock *testingclock.FakeClock) { clock.Step(silenceLimit) }, true},
		"silent for nine":        {func(_ *silenceWatch, clock *testingclock.FakeClock) { clock.Step(silenceLimit - time.Second) }, false},
		"a word in between": {func(watch *silenceWatch, clock *testingclock.FakeClock) {
			clock.Step(silenceLimit / 2)
			_, _ = watch.Write([]byte("login: "))
			clock.Step(2 * silenceLimit)
		}, false},
		"an empty message in between": {func(watch *silenceWatch, clock *testingclock.FakeClock) {
			_, _ = watch.Write(nil)
			clock.Step(silenceLimit)
		}, true},
		"told once": {func(watch *silenceWatch, clock *testingclock.FakeClock) {
			clock.Step(silenceLimit)
			clock.Step(silenceLimit)
			_, _ = watch.Write([]byte("login: "))
			clock.Step(10 * silenceLimit)
		}, true},
		"left before": {func(watch *silenceWatch, clock *testingclock.FakeClock) {
			watch.stop()
			clock.Step(2 * silenceLimit)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			clock := testingclock.NewFakeClock(time.Unix(0, 0))
			out, errOut := &bytes.Buffer{}, &bytes.Buffer{}
			test.act(watchSilence(clock, out, errOut, "my-vs"), clock)
			if !test.told {
				assert.Empty(t, errOut.String())
				return
			}
			require.Equal(t, 1, bytes.Count(errOut.Bytes(), []byte("\r\n")))
			assert.Contains(t, errOut.String(), "kubectl vs vnc my-vs")
			assert.NotContains(t, out.String(), "has written nothing", "a script that reads the console gets the guest's words only")
		})
	}
}
