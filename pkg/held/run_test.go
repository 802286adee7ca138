package held

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	clienttesting "k8s.io/client-go/testing"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// run runs the Keeper until the test ends.
func (p *plant) run() {
	p.t.Helper()
	ctx, stop := context.WithCancel(p.t.Context())
	factory := informers.NewSharedInformerFactory(p.cluster, 0)
	informer := factory.Core().V1().Namespaces().Informer()
	var running sync.WaitGroup
	running.Go(func() { assert.NoError(p.t, p.Run(ctx, informer)) })
	factory.StartWithContext(ctx)
	p.t.Cleanup(func() { stop(); running.Wait(); factory.Shutdown() })
	require.True(p.t, factory.WaitForCacheSyncWithContext(ctx).AsError() == nil)
}

func (p *plant) eventually(what string, holds func() bool) {
	p.t.Helper()
	require.Eventually(p.t, holds, 30*time.Second, 20*time.Millisecond, what)
}

func TestEventsOfNamespaces(t *testing.T) {
	p := newPlant(t, nil)
	first, second := p.create("one"), p.create("two")
	require.NoError(t, p.Start(p.ctx))
	p.run()
	p.deleteNamespace("team")
	p.eventually("both are held", func() bool { return len(p.listed()) == 2 })
	p.makeNamespace("team", "team-2")
	_, err := p.Restore(p.ctx, string(first.UID))
	require.NoError(t, err)
	p.deleteNamespace("team")
	p.makeNamespace("team", "team-3")
	p.eventually("the one that was given back is held again", func() bool { return len(p.listed()) == 2 })
	assert.Nil(t, p.served("one"))
	_, err = p.Restore(p.ctx, string(second.UID))
	require.NoError(t, err)
	assert.Equal(t, "team-3", string(p.served("two").Status.NamespaceUID))
}

// A VirtualServer whose creation arrives in etcd after the last event of its namespace is seen by the look at everything.
func TestALateCreation(t *testing.T) {
	p := newPlant(t, nil)
	require.NoError(t, p.Start(p.ctx))
	vs := p.create("late")
	p.edit(vs, func(vs *tensorstack.VirtualServer) { vs.Status.NamespaceUID = "team-0" })
	p.run()
	p.eventually("it is held", func() bool { return len(p.listed()) == 1 })
}

// The start waits for kube-apiserver, and does not guess meanwhile.
func TestTheStartWaitsForTheCluster(t *testing.T) {
	for name, resource := range map[string]string{"list": "namespaces", "get": "namespaces"} {
		t.Run(name, func(t *testing.T) {
			p := newPlant(t, nil)
			p.create("one")
			p.replaceNamespace("team-2")
			failures := 1
			p.cluster.PrependReactor(name, resource, func(clienttesting.Action) (bool, runtime.Object, error) {
				failures--
				return failures >= 0, nil, apierrors.NewInternalError(assert.AnError)
			})
			require.NoError(t, p.Start(p.ctx))
			assert.Negative(t, failures, "it was asked again")
			assert.Nil(t, p.served("one"))
		})
	}
	p := newPlant(t, nil)
	p.create("one")
	ctx, cancel := context.WithCancel(p.ctx)
	cancel()
	require.Error(t, p.Start(ctx))
	assert.NotNil(t, p.served("one"))
}

// One VirtualServer that cannot be read does not keep the others from being looked at, nor the server from its start.
func TestAnUnreadableVirtualServer(t *testing.T) {
	p := newPlant(t, sealed(t, "a"))
	p.create("one")
	_, err := p.client.Put(p.ctx, p.Store.serverKey("team", "broken"), "test:a:nonsense")
	require.NoError(t, err)
	p.replaceNamespace("team-2")
	require.NoError(t, p.Start(p.ctx))
	held, err := p.held.Held.List(p.ctx, nil)
	require.NoError(t, err)
	require.Len(t, held.(*tensorstack.HeldVirtualServerList).Items, 1)
	_, err = p.held.Held.Get(p.ctx, "no-such-uid", &metav1.GetOptions{})
	assert.True(t, apierrors.IsNotFound(err))
}
