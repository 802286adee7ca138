package loop

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

const patience = 10 * time.Second

// run starts a loop and returns a function that stops it and waits for it.
func run(l *Loop) func() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { l.Run(ctx, 2); close(ended) }()
	return func() { cancel(); <-ended }
}

func TestErrorsAreTriedAgain(t *testing.T) {
	var turns atomic.Int32
	l := New("test", func(context.Context, string) (time.Duration, error) {
		if turns.Add(1) < 4 {
			return 0, errors.New("not yet")
		}
		return 0, nil
	})
	defer run(l)()
	l.Add("ns/a")
	require.Eventually(t, func() bool { return turns.Load() == 4 }, patience, time.Millisecond)
	assert.Never(t, func() bool { return turns.Load() > 4 }, 100*time.Millisecond, 10*time.Millisecond, "success ends the retries")
}

func TestAnotherTurnIsGiven(t *testing.T) {
	var turns atomic.Int32
	l := New("test", func(context.Context, string) (time.Duration, error) {
		turns.Add(1)
		return time.Millisecond, nil
	})
	stop := run(l)
	l.Add("ns/a")
	require.Eventually(t, func() bool { return turns.Load() > 3 }, patience, time.Millisecond)
	stop()
	last := turns.Load()
	assert.Never(t, func() bool { return turns.Load() != last }, 50*time.Millisecond, 10*time.Millisecond, "a stopped loop rests")
}

func TestHandler(t *testing.T) {
	keys := make(chan string, 10)
	l := New("test", func(_ context.Context, key string) (time.Duration, error) {
		keys <- key
		return 0, nil
	})
	defer run(l)()
	pod := func(name string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}}
	}
	handler := l.Handler()
	handler.OnAdd(pod("added"), false)
	assert.Equal(t, "ns/added", <-keys)
	handler.OnUpdate(pod("changed"), pod("changed"))
	assert.Equal(t, "ns/changed", <-keys)
	handler.OnDelete(cache.DeletedFinalStateUnknown{Key: "ns/deleted", Obj: pod("deleted")})
	assert.Equal(t, "ns/deleted", <-keys)
}
