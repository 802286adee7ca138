package apiserver

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	restclient "k8s.io/client-go/rest"
)

func TestControllersAreStoppedAndWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopped := false
		loopback := &restclient.Config{Host: "loopback"}
		c := newControllers(func(ctx context.Context, got *restclient.Config) error {
			assert.Same(t, loopback, got)
			<-ctx.Done()
			stopped = true
			return ctx.Err()
		})
		c.start(loopback)
		synctest.Wait()
		c.stop()
		assert.True(t, stopped)
	})
}

func TestControllersThatFailAreRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := make(chan int, 10)
		count := 0
		c := newControllers(func(ctx context.Context, _ *restclient.Config) error {
			count++
			runs <- count
			if count < 3 {
				return errors.New("not now")
			}
			<-ctx.Done()
			return nil
		})
		c.start(nil)
		for want := 1; want <= 3; want++ {
			require.Equal(t, want, <-runs)
		}
		c.stop()
		assert.Equal(t, 3, count)
	})
}

func TestControllersThatWereNeverStartedStopAtOnce(t *testing.T) {
	newControllers(func(context.Context, *restclient.Config) error { return nil }).stop()
}
