package controller

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
)

const patience = 10 * time.Second

func testElector(t *testing.T, client kubernetes.Interface, identity string) *elector {
	t.Helper()
	settings, err := LeaderElection{
		Identity:      identity,
		LeaseDuration: 2 * time.Second,
		RenewDeadline: time.Second,
		RetryPeriod:   20 * time.Millisecond,
	}.withDefaults()
	require.NoError(t, err)
	e, err := newElector(settings, client, clock.RealClock{})
	require.NoError(t, err)
	return e
}

func holder(t *testing.T, client kubernetes.Interface) string {
	t.Helper()
	lease, err := client.CoordinationV1().Leases(DefaultLeaseNamespace).
		Get(t.Context(), DefaultLeaseName, metav1.GetOptions{})
	require.NoError(t, err)
	return ptr.Deref(lease.Spec.HolderIdentity, "")
}

func TestElectorReleasesOnlyAfterTheTermHasEnded(t *testing.T) {
	client := fake.NewClientset()
	e := testElector(t, client, "a")
	ctx, cancel := context.WithCancel(t.Context())
	leads, mayEnd, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		ended <- e.run(ctx, func(ctx context.Context) {
			close(leads)
			<-ctx.Done()
			<-mayEnd
		})
	}()
	waitFor(t, leads)

	cancel()
	// Long enough for several renewals: the Lease stays ours while the term ends.
	assert.Never(t, func() bool { return holder(t, client) != "a" }, 200*time.Millisecond, 20*time.Millisecond)
	close(mayEnd)

	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(patience):
		require.Fail(t, "the elector did not end")
	}
	assert.Empty(t, holder(t, client), "the Lease is given up")
}

func TestElectorLetsOnlyOneLead(t *testing.T) {
	client := fake.NewClientset()
	first, second := testElector(t, client, "a"), testElector(t, client, "b")
	var leading atomic.Int32
	term := func(leads chan struct{}) func(context.Context) {
		return func(ctx context.Context) {
			assert.Equal(t, int32(1), leading.Add(1), "nobody else leads")
			close(leads)
			<-ctx.Done()
			leading.Add(-1)
		}
	}
	firstContext, stopFirst := context.WithCancel(t.Context())
	secondContext, stopSecond := context.WithCancel(t.Context())
	firstLeads, secondLeads := make(chan struct{}), make(chan struct{})
	firstEnded, secondEnded := make(chan error, 1), make(chan error, 1)
	go func() { firstEnded <- first.run(firstContext, term(firstLeads)) }()
	waitFor(t, firstLeads)
	go func() { secondEnded <- second.run(secondContext, term(secondLeads)) }()

	stopFirst()
	require.NoError(t, <-firstEnded)
	waitFor(t, secondLeads)
	stopSecond()
	require.NoError(t, <-secondEnded)
}

func TestElectorEndsWhileItWaits(t *testing.T) {
	client := fake.NewClientset()
	leads := make(chan struct{})
	leaderContext, stopLeader := context.WithCancel(t.Context())
	leaderEnded := make(chan error, 1)
	go func() {
		leaderEnded <- testElector(t, client, "a").run(leaderContext, func(ctx context.Context) {
			close(leads)
			<-ctx.Done()
		})
	}()
	waitFor(t, leads)

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- testElector(t, client, "b").run(ctx, func(context.Context) { assert.Fail(t, "it never leads") })
	}()
	cancel()
	require.NoError(t, <-ended)
	assert.Equal(t, "a", holder(t, client))
	stopLeader()
	require.NoError(t, <-leaderEnded)
}

func TestNewRefusesWrongSettings(t *testing.T) {
	config := &rest.Config{Host: "https://127.0.0.1:1"}
	_, err := New(Config{Kubernetes: config})
	require.Error(t, err, "no loopback configuration")
	_, err = New(Config{Kubernetes: config, Loopback: config, Workers: -1})
	require.ErrorContains(t, err, "workers")
	_, err = New(Config{Kubernetes: config, Loopback: config,
		LeaderElection: LeaderElection{LeaseDuration: time.Second, RenewDeadline: 2 * time.Second}})
	require.ErrorContains(t, err, "leader election")
	manager, err := New(Config{Kubernetes: config, Loopback: config})
	require.NoError(t, err)
	assert.False(t, manager.Leading())
}

func waitFor(t *testing.T, what chan struct{}) {
	t.Helper()
	select {
	case <-what:
	case <-time.After(patience):
		require.Fail(t, "waited in vain")
	}
}
