package etcd

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

// While the records are made anew, because one of a session that has ended could not be removed, those of the others stay:
// in a gap somebody else could get in.
func TestRecordsMadeAnewWereNeverGone(t *testing.T) {
	store, err := StartEmbedded(context.Background(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(store.Close)
	client, err := NewClient(context.Background(), storagebackend.TransportConfig{ServerList: []string{store.Endpoint()}})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	records := NewRecords(client, "/test/")
	// A wish from a time when the store was out of reach is fulfilled by the first round.
	records.anew <- struct{}{}

	puts := make(chan error)
	put := func(ctx context.Context) error {
		_, other, err := records.Put(ctx, "one", []byte("value"), 0)
		if err == nil && other != nil {
			_, _, err = records.Put(ctx, "one", []byte("value"), other.Revision)
		}
		puts <- err
		return err
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { records.Run(ctx, put, func(Record) {}) })
	t.Cleanup(func() { stop(); running.Wait() })
	require.NoError(t, within(t, puts))
	assert.Empty(t, records.anew)

	records.anew <- struct{}{}
	require.NoError(t, within(t, puts))
	stop()
	running.Wait()
	history := client.Watch(t.Context(), "/test/one", clientv3.WithRev(1))
	var kinds []string
	for len(kinds) < 3 {
		answer := within(t, history)
		require.NoError(t, answer.Err())
		for _, event := range answer.Events {
			kinds = append(kinds, event.Type.String())
		}
	}
	assert.Equal(t, []string{"PUT", "PUT", "DELETE"}, kinds, "it ends with the process")
}

func within[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(20 * time.Second):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}
