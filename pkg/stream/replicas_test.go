package stream

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/utils/clock"

	"tensorstack.dev/virtualserver/pkg/etcd"
)

// newReplica is a replica of the server on an etcd that it shares with others.
func newReplica(t *testing.T, store *etcd.Embedded) (*Sessions, *clientv3.Client) {
	t.Helper()
	client, err := etcd.NewClient(context.Background(), storagebackend.TransportConfig{ServerList: []string{store.Endpoint()}})
	require.NoError(t, err)
	sessions := NewSessions(clock.RealClock{}, etcd.NewRecords(client, "/test/sessions/"))
	ctx, stop := context.WithCancel(context.Background())
	var sharing sync.WaitGroup
	sharing.Go(func() { sessions.Share(ctx) })
	t.Cleanup(func() {
		stop()
		sharing.Wait()
		assert.NoError(t, client.Close())
	})
	waitUntilItShares(t, sessions)
	return sessions, client
}

// twoReplicas share an etcd, of which the client is.
func twoReplicas(t *testing.T) (first, second *Sessions, client *clientv3.Client) {
	t.Helper()
	store, err := etcd.StartEmbedded(context.Background(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(store.Close)
	first, _ = newReplica(t, store)
	second, client = newReplica(t, store)
	return first, second, client
}

func waitUntilItShares(t *testing.T, sessions *Sessions) {
	t.Helper()
	soon(t, "it shares", func() bool {
		held, err := sessions.acquire(t.Context(), Session{Namespace: "ns", Name: "probe", Kind: VNC}, claim{takeOver: true})
		if err == nil {
			sessions.release(held)
		}
		return err == nil
	})
}

func soon(t *testing.T, what string, is func() bool) {
	t.Helper()
	require.Eventually(t, is, 20*time.Second, 5*time.Millisecond, what)
}

func consoleOf(user string) Session {
	return Session{Namespace: "ns", Name: "vs", Kind: Console, User: user}
}

func users(t *testing.T, sessions *Sessions) []string {
	t.Helper()
	all, err := sessions.ListAll(t.Context(), "ns", "vs")
	require.NoError(t, err)
	names := []string{}
	for _, session := range all {
		names = append(names, session.User)
	}
	return names
}

// Two replicas serve consoles of the same machine.
func TestAConsoleIsExclusiveOverAllReplicas(t *testing.T) {
	first, second, client := twoReplicas(t)

	alice, err := first.acquire(t.Context(), consoleOf("alice"), claim{})
	require.NoError(t, err)
	assert.Equal(t, []string{"alice"}, users(t, first))
	assert.Equal(t, []string{"alice"}, users(t, second))
	_, err = second.acquire(t.Context(), consoleOf("bob"), claim{})
	require.True(t, apierrors.IsConflict(err), "%v", err)
	assert.ErrorContains(t, err, "alice holds the console since")
	assert.Empty(t, second.List("ns", "vs"), "what was refused is forgotten")

	bob, err := second.acquire(t.Context(), consoleOf("bob"), claim{takeOver: true})
	require.NoError(t, err)
	var told Closing
	<-alice.ctx.Done()
	require.True(t, errors.As(context.Cause(alice.ctx), &told))
	assert.Equal(t, takenOver("bob", Console), told)
	first.release(alice)
	assert.Equal(t, []string{"bob"}, users(t, first), "alice does not take bob's along")

	// Whatever happens to etcd, who is connected is known again, and stays connected.
	leases, err := client.Leases(t.Context())
	require.NoError(t, err)
	for _, lease := range leases.Leases {
		_, err := client.Revoke(t.Context(), lease.ID)
		require.NoError(t, err)
	}
	soon(t, "bob's session is announced again", func() bool { return len(users(t, first)) == 1 })
	// Each replica notices by itself that its lease is gone.
	waitUntilItShares(t, first)
	require.NoError(t, bob.ctx.Err())

	again, err := first.acquire(t.Context(), consoleOf("bob"), claim{})
	require.NoError(t, err, "a user may have lost the connection to the other replica")
	<-bob.ctx.Done()
	second.release(bob)
	first.release(again)
	carol, err := second.acquire(t.Context(), consoleOf("carol"), claim{})
	require.NoError(t, err)
	second.release(carol)
	assert.Empty(t, users(t, first))
}

// Both replicas take the console over at the same time. Whoever was later has it, and not nobody.
func TestOneOfTwoTakersHasTheConsole(t *testing.T) {
	first, second, _ := twoReplicas(t)
	heard := func(sessions *Sessions, held *lease) func() bool {
		return func() bool {
			sessions.mu.Lock()
			defer sessions.mu.Unlock()
			return held.rival != nil
		}
	}

	later, _, err := second.add(consoleOf("bob"))
	require.NoError(t, err)
	earlier, err := first.acquire(t.Context(), consoleOf("alice"), claim{takeOver: true})
	require.NoError(t, err)
	soon(t, "bob's replica hears of alice", heard(second, later))
	later, err = second.claim(t.Context(), later, claim{takeOver: true})
	require.NoError(t, err)
	<-earlier.ctx.Done()
	require.NoError(t, later.ctx.Err())
	first.release(earlier)
	second.release(later)

	earlier, _, err = first.add(consoleOf("alice"))
	require.NoError(t, err)
	revision, err := first.replicas.claim(t.Context(), earlier.Session, claim{})
	require.NoError(t, err)
	later, err = second.acquire(t.Context(), consoleOf("bob"), claim{takeOver: true})
	require.NoError(t, err)
	soon(t, "alice's replica hears of bob", heard(first, earlier))
	first.decide(earlier, revision)
	require.Error(t, earlier.ctx.Err(), "bob was later")
	require.NoError(t, later.ctx.Err())
	first.release(earlier)
	second.release(later)
}

// Nothing is known of a claim whose answer is lost. It must not keep others out.
func TestAClaimThatFailsLeavesNoRecord(t *testing.T) {
	first, second, _ := twoReplicas(t)
	lost, _, err := first.add(consoleOf("alice"))
	require.NoError(t, err)
	_, err = first.replicas.claim(t.Context(), lost.Session, claim{})
	require.NoError(t, err)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = first.claim(ended, lost, claim{})
	require.True(t, apierrors.IsServiceUnavailable(err), "%v", err)
	held, err := second.acquire(t.Context(), consoleOf("bob"), claim{})
	require.NoError(t, err)
	second.release(held)
}

// A session that ends while it is announced again leaves the record of the next one alone.
func TestWhatHasEndedIsNotAnnounced(t *testing.T) {
	first, second, _ := twoReplicas(t)
	before, err := first.acquire(t.Context(), consoleOf("alice"), claim{})
	require.NoError(t, err)
	first.release(before)
	held, err := first.acquire(t.Context(), consoleOf("bob"), claim{})
	require.NoError(t, err)
	require.NoError(t, first.announceAgain(t.Context(), before))
	assert.Equal(t, []string{"bob"}, users(t, second))
	first.release(held)
	require.NoError(t, first.announceAgain(t.Context(), held))
	assert.Empty(t, users(t, second))
}

// A session of a process that was killed is forgotten. One that is open in this very process is not, whatever the records say.
func TestRecordsOfADeadReplicaVanish(t *testing.T) {
	store, err := etcd.StartEmbedded(context.Background(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(store.Close)
	survivor, client := newReplica(t, store)
	lease, err := client.Grant(t.Context(), 60)
	require.NoError(t, err)
	_, err = client.Put(t.Context(), "/test/sessions/ns/vs/console",
		`{"ID":"x","Namespace":"ns","Name":"vs","Kind":"console","User":"ghost","Replica":"dead"}`, clientv3.WithLease(lease.ID))
	require.NoError(t, err)
	assert.Equal(t, []string{"ghost"}, users(t, survivor))
	_, err = survivor.acquire(t.Context(), consoleOf("alice"), claim{})
	require.True(t, apierrors.IsConflict(err), "%v", err)
	_, err = client.Revoke(t.Context(), lease.ID)
	require.NoError(t, err, "as if it had run out")
	soon(t, "the ghost is gone", func() bool {
		held, err := survivor.acquire(t.Context(), consoleOf("alice"), claim{})
		if err == nil {
			survivor.release(held)
		}
		return err == nil
	})

	_, err = client.Put(t.Context(), "/test/sessions/ns/vs/console", "nonsense")
	require.NoError(t, err)
	held, err := survivor.acquire(t.Context(), consoleOf("alice"), claim{})
	require.NoError(t, err, "what nobody can read keeps nobody out")
	survivor.release(held)
}

// A port-forward is one session for each connection, and nobody is in anybody's way.
func TestOtherStreamsAreNotShared(t *testing.T) {
	store, err := etcd.StartEmbedded(context.Background(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(store.Close)
	sessions, client := newReplica(t, store)
	held, err := sessions.acquire(t.Context(), Session{Namespace: "ns", Name: "vs", Kind: PortForward, User: "alice"}, claim{})
	require.NoError(t, err)
	answer, err := client.Get(t.Context(), "/test/sessions/", clientv3.WithPrefix())
	require.NoError(t, err)
	assert.Empty(t, answer.Kvs)
	assert.Equal(t, []string{"alice"}, users(t, sessions))
	sessions.release(held)
}
