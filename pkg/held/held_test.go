package held

import (
	"crypto/aes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/value"
	aestransformer "k8s.io/apiserver/pkg/storage/value/encrypt/aes"
	"k8s.io/utils/ptr"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/etcd"
)

// sealed encrypts with AES-GCM, which ties a value to its key, and writes with the first of the keys.
func sealed(t *testing.T, keys ...string) value.Transformer {
	t.Helper()
	var all []value.PrefixTransformer
	for _, key := range keys {
		block, err := aes.NewCipher([]byte(strings.Repeat(key, 32)))
		require.NoError(t, err)
		transformer, err := aestransformer.NewGCMTransformer(block)
		require.NoError(t, err)
		all = append(all, value.PrefixTransformer{Prefix: []byte("test:" + key + ":"), Transformer: transformer})
	}
	return value.NewPrefixTransformers(nil, all...)
}

func TestHoldAndGiveBack(t *testing.T) {
	for name, encryption := range map[string]value.Transformer{"plain": nil, "encrypted": sealed(t, "a")} {
		t.Run(name, func(t *testing.T) {
			p := newPlant(t, encryption)
			before := p.create("one")
			p.create("two")
			require.Equal(t, "team-1", string(before.Status.NamespaceUID))
			require.NoError(t, p.Sweep(p.ctx))
			require.Empty(t, p.listed(), "everybody is at home")

			watcher, err := p.servers.Watch(p.ctx, &metainternalversion.ListOptions{})
			require.NoError(t, err)
			defer watcher.Stop()
			p.replaceNamespace("team-2")
			require.NoError(t, p.Sweep(p.ctx))
			assert.Nil(t, p.served("one"))
			assert.Nil(t, p.served("two"))
			assert.Equal(t, []string{"one", "two"}, deleted(t, watcher, 2), "whoever watches is told")
			held := p.listed()
			require.Len(t, held, 2)
			if encryption != nil {
				assert.NotContains(t, p.dump(), password)
				assert.NotContains(t, p.dump(), "runStrategy")
			}

			// The name is free, and what is under it now is in nobody's way.
			next := p.create("one")
			require.NoError(t, p.Sweep(p.ctx))
			assert.Equal(t, next.UID, p.served("one").UID)
			require.Len(t, p.listed(), 2)
			_, err = p.Restore(p.ctx, string(before.UID))
			require.True(t, apierrors.IsConflict(err), "%v", err)
			assert.Contains(t, err.Error(), "has a VirtualServer one already")
			require.Len(t, p.listed(), 2, "nothing is lost")

			_, _, err = p.servers.Delete(p.ctx, "one", rest.ValidateAllObjectFunc, &metav1.DeleteOptions{})
			require.NoError(t, err)
			p.edit(next, func(vs *tensorstack.VirtualServer) { vs.Finalizers = nil })
			_, _, err = p.servers.Delete(p.ctx, "one", rest.ValidateAllObjectFunc, &metav1.DeleteOptions{})
			require.NoError(t, err)
			returned, err := p.Restore(p.ctx, string(before.UID))
			require.NoError(t, err)
			after := p.served("one")
			assert.Equal(t, returned.UID, after.UID)
			assert.Equal(t, "team-2", string(after.Status.NamespaceUID))
			assert.Equal(t, before.UID, after.UID, "it is the same one")
			assert.Equal(t, before.Spec, after.Spec)
			assert.Equal(t, before.Finalizers, after.Finalizers)
			require.NoError(t, p.Sweep(p.ctx))
			assert.NotNil(t, p.served("one"), "it is at home now")
			require.Len(t, p.listed(), 1)
		})
	}
}

// deleted returns the names of the next deletions.
func deleted(t *testing.T, watcher watch.Interface, count int) []string {
	t.Helper()
	var names []string
	deadline := time.After(30 * time.Second)
	for len(names) < count {
		select {
		case event := <-watcher.ResultChan():
			if event.Type == watch.Deleted {
				object, err := meta.Accessor(event.Object)
				require.NoError(t, err)
				names = append(names, object.GetName())
			}
		case <-deadline:
			require.FailNow(t, "not told", "%v", names)
		}
	}
	return names
}

// What version 0.1.0 stored has no stamp.
func TestObjectsOfAnOlderVersion(t *testing.T) {
	p := newPlant(t, sealed(t, "a"))
	unstamp := func(vs *tensorstack.VirtualServer) { vs.Status.NamespaceUID = "" }
	p.clock.Step(time.Second)
	p.edit(p.create("at-home"), unstamp)
	p.edit(p.create("older"), func(vs *tensorstack.VirtualServer) {
		unstamp(vs)
		vs.CreationTimestamp = metav1.NewTime(p.clock.Now().Add(-time.Hour))
	})
	// The registry dates objects by the real clock.
	p.edit(p.served("at-home"), func(vs *tensorstack.VirtualServer) { vs.CreationTimestamp = metav1.NewTime(p.clock.Now()) })
	require.NoError(t, p.Sweep(p.ctx))
	assert.Equal(t, "team-1", string(p.served("at-home").Status.NamespaceUID))
	assert.Nil(t, p.served("older"))
	held := p.listed()
	require.Len(t, held, 1)
	assert.Equal(t, tensorstack.HeldNamespaceYounger, held[0].Reason)
	require.NoError(t, p.Sweep(p.ctx))
	assert.NotNil(t, p.served("at-home"))
}

func TestAStoreOfAnotherClusterIsLeftAlone(t *testing.T) {
	p := newPlant(t, nil)
	p.create("one")
	require.NoError(t, p.Sweep(p.ctx), "the store gets a name")
	p.deleteNamespace(metav1.NamespaceSystem)
	p.makeNamespace(metav1.NamespaceSystem, "another cluster")
	p.replaceNamespace("team-2")
	before := p.dump()
	var foreign *etcd.MismatchError
	require.ErrorAs(t, p.Sweep(p.ctx), &foreign)
	require.NoError(t, p.Start(p.ctx), "an administrator needs the API")
	assert.Equal(t, before, p.dump())
	assert.NotNil(t, p.served("one"))

	p.Guard.Adopt = true
	require.NoError(t, p.Start(p.ctx))
	assert.Nil(t, p.served("one"), "its namespace is not of this cluster")
	require.Len(t, p.listed(), 1)
	assert.False(t, p.Guard.Adopt, "once")
}

// An older backup is of our cluster. The controllers refuse it until it is adopted, and it is served meanwhile: all the more
// must nothing be served in a namespace that it does not belong to.
func TestAnOlderBackup(t *testing.T) {
	p := newPlant(t, nil)
	p.create("one")
	require.NoError(t, p.Guard.Check(p.ctx))
	configMaps := p.cluster.CoreV1().ConfigMaps("virtualserver-system")
	known, err := configMaps.Get(p.ctx, etcd.IdentityConfigMap, metav1.GetOptions{})
	require.NoError(t, err)
	known.Data["revision"] = "1000000"
	_, err = configMaps.Update(p.ctx, known, metav1.UpdateOptions{})
	require.NoError(t, err)
	var refused *etcd.MismatchError
	require.ErrorAs(t, p.Guard.Check(p.ctx), &refused, "the controllers do not run")
	require.NoError(t, p.Start(p.ctx))
	assert.NotNil(t, p.served("one"))
	p.replaceNamespace("team-2")
	require.NoError(t, p.Start(p.ctx))
	assert.Nil(t, p.served("one"))
	assert.Len(t, p.listed(), 1)
}

// The comparison with the identity of the store is part of the transaction: a store that is adopted by another cluster
// between the look and the move is left alone.
func TestTheClusterIsComparedInTheTransaction(t *testing.T) {
	p := newPlant(t, nil)
	vs := p.create("one")
	require.NoError(t, p.Sweep(p.ctx))
	belongs, err := p.Guard.Belongs(p.ctx)
	require.NoError(t, err)
	found, err := one[*tensorstack.VirtualServer](p.ctx, p.Store, p.Store.serverKey("team", "one"))
	require.NoError(t, err)
	_, err = p.client.Put(p.ctx, prefix+"/store-identity", `{"storeID":"x","clusterUID":"y"}`)
	require.NoError(t, err)
	done, err := p.Store.hold(p.ctx, belongs, found, &tensorstack.HeldVirtualServer{})
	require.NoError(t, err)
	assert.False(t, done)
	assert.Equal(t, vs.UID, p.served("one").UID)
}

// A write between the look and the move makes the move look again. Whatever it wrote goes along.
func TestAWriteMeanwhile(t *testing.T) {
	p := newPlant(t, nil)
	p.create("one")
	require.NoError(t, p.Sweep(p.ctx))
	found, err := one[*tensorstack.VirtualServer](p.ctx, p.Store, p.Store.serverKey("team", "one"))
	require.NoError(t, err)
	p.edit(p.served("one"), func(vs *tensorstack.VirtualServer) { vs.Labels = map[string]string{"written": "later"} })
	belongs, err := p.Guard.Belongs(p.ctx)
	require.NoError(t, err)
	done, err := p.Store.hold(p.ctx, belongs, found, &tensorstack.HeldVirtualServer{})
	require.NoError(t, err)
	assert.False(t, done)
	p.deleteNamespace("team")
	require.NoError(t, p.Sweep(p.ctx))
	held := p.listed()
	require.Len(t, held, 1)
	assert.Equal(t, tensorstack.HeldNamespaceDeleted, held[0].Reason)
	assert.Equal(t, "later", held[0].VirtualServer.Labels["written"])
}

func TestRestoreRefuses(t *testing.T) {
	p := newPlant(t, nil)
	uid := string(p.create("one").UID)
	_, err := p.Restore(p.ctx, uid)
	assert.True(t, apierrors.IsNotFound(err), "it is not held: %v", err)
	p.deleteNamespace("team")
	require.NoError(t, p.Sweep(p.ctx))
	for name, test := range map[string]struct {
		namespace *corev1.Namespace
		want      string
	}{
		"no namespace":      {nil, "there is no namespace team"},
		"being deleted":     {&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team", UID: "x", DeletionTimestamp: ptr.To(metav1.Now()), Finalizers: []string{"x/y"}}}, "is being deleted"},
		"terminating phase": {&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team", UID: "x"}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceTerminating}}, "is being deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.namespace != nil {
				require.NoError(t, p.cluster.Tracker().Add(test.namespace))
				defer func() {
					require.NoError(t, p.cluster.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("namespaces"), "", "team"))
				}()
			}
			_, err := p.Restore(p.ctx, uid)
			require.True(t, apierrors.IsConflict(err), "%v", err)
			assert.Contains(t, err.Error(), test.want)
			assert.Len(t, p.listed(), 1)
		})
	}
}

// An operation that was pending when the namespace went is not carried out when the VirtualServer comes back.
func TestAPendingOperationEnds(t *testing.T) {
	p := newPlant(t, nil)
	vs := p.create("one")
	p.edit(vs, func(vs *tensorstack.VirtualServer) {
		vs.Status.PendingOperation = &tensorstack.Operation{ID: "x", Type: tensorstack.OperationRestart}
	})
	p.replaceNamespace("team-2")
	require.NoError(t, p.Sweep(p.ctx))
	_, err := p.Restore(p.ctx, string(vs.UID))
	require.NoError(t, err)
	after := p.served("one")
	assert.Nil(t, after.Status.PendingOperation)
	require.Len(t, after.Status.Operations, 1)
	assert.Equal(t, tensorstack.OperationSuperseded, after.Status.Operations[0].Result)
}

func TestRetentionAndRotation(t *testing.T) {
	p := newPlant(t, sealed(t, "a"))
	vs := p.create("one")
	p.deleteNamespace("team")
	require.NoError(t, p.Sweep(p.ctx))
	require.NoError(t, p.upkeep(p.ctx))
	held := p.listed()
	require.Len(t, held, 1)
	assert.Equal(t, p.clock.Now().Add(p.Retention), held[0].ExpiresAt.UTC())

	// The administrator adds a key, has everything written anew, and takes the old one away.
	endpoint := p.client.Endpoints()[0]
	require.NoError(t, p.keeper(getterOf(endpoint, sealed(t, "b", "a"))).upkeep(p.ctx))
	later := p.keeper(getterOf(endpoint, sealed(t, "b")))
	again, err := one[*tensorstack.HeldVirtualServer](p.ctx, later.Store, later.Store.heldKey(vs.UID))
	require.NoError(t, err)
	assert.Equal(t, vs.UID, again.object.VirtualServer.UID)

	p.clock.Step(p.Retention - time.Second)
	require.NoError(t, later.upkeep(p.ctx))
	again, err = one[*tensorstack.HeldVirtualServer](p.ctx, later.Store, later.Store.heldKey(vs.UID))
	require.NoError(t, err)
	require.NotNil(t, again)
	p.clock.Step(time.Second)
	require.NoError(t, later.upkeep(p.ctx))
	assert.NotContains(t, p.dump(), string(vs.UID))
}

func TestDeleteAndTable(t *testing.T) {
	p := newPlant(t, nil)
	vs := p.create("one")
	p.deleteNamespace("team")
	require.NoError(t, p.Sweep(p.ctx))
	found, err := p.held.Held.Get(t.Context(), string(vs.UID), &metav1.GetOptions{})
	require.NoError(t, err)
	table, err := p.held.Held.ConvertToTable(t.Context(), found, nil)
	require.NoError(t, err)
	require.Len(t, table.Rows, 1)
	assert.Equal(t, []any{string(vs.UID), "team", "one", "NamespaceDeleted"}, table.Rows[0].Cells[:4])
	assert.Equal(t, "7d", table.Rows[0].Cells[5])
	_, _, err = p.held.Held.Delete(t.Context(), string(vs.UID), rest.ValidateAllObjectFunc, &metav1.DeleteOptions{})
	require.NoError(t, err)
	assert.Empty(t, p.listed())
}
