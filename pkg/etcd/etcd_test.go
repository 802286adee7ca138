package etcd

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/client-go/kubernetes/fake"
)

func startEmbedded(t *testing.T, dir string) *Embedded {
	t.Helper()
	embedded, err := StartEmbedded(context.Background(), dir)
	require.NoError(t, err)
	t.Cleanup(embedded.Close)
	return embedded
}

func newClient(t *testing.T, embedded *Embedded) *clientv3.Client {
	t.Helper()
	client, err := NewClient(context.Background(), storagebackend.TransportConfig{ServerList: []string{embedded.Endpoint()}})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	return client
}

func TestEmbeddedKeepsItsDataAndItsDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	embedded := startEmbedded(t, dir)
	client := newClient(t, embedded)
	require.NoError(t, CheckVersions(context.Background(), client))
	_, err := client.Put(context.Background(), "a", "b")
	require.NoError(t, err)

	info, err := os.Stat(dir)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm(), "only this user reaches the socket")

	_, err = StartEmbedded(context.Background(), dir)
	assert.ErrorContains(t, err, "in use by another server")

	embedded.Close()
	again := startEmbedded(t, dir)
	answer, err := newClient(t, again).Get(context.Background(), "a")
	require.NoError(t, err)
	require.Len(t, answer.Kvs, 1)
	assert.Equal(t, "b", string(answer.Kvs[0].Value))
}

func TestEmbeddedInADeepDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep", 40))
	embedded := startEmbedded(t, dir)
	require.NoError(t, CheckVersions(context.Background(), newClient(t, embedded)))
	socketDir := embedded.socketDir
	require.DirExists(t, socketDir)
	embedded.Close()
	assert.NoDirExists(t, socketDir)
}

func TestTransportIsEncryptedOffLoopback(t *testing.T) {
	for _, test := range []struct {
		name   string
		config storagebackend.TransportConfig
		want   string
	}{
		{"http on loopback", storagebackend.TransportConfig{ServerList: []string{"http://127.0.0.1:2379", "http://localhost:2379", "http://[::1]:2379"}}, ""},
		{"unix", storagebackend.TransportConfig{ServerList: []string{"unix:///run/etcd.sock"}}, ""},
		{"https with a CA", storagebackend.TransportConfig{ServerList: []string{"https://etcd:2379"}, TrustedCAFile: "ca"}, ""},
		{"http elsewhere", storagebackend.TransportConfig{ServerList: []string{"http://10.0.0.1:2379"}}, "not encrypted"},
		{"http to a name", storagebackend.TransportConfig{ServerList: []string{"http://localhost.example.com:2379"}}, "not encrypted"},
		{"https without a CA", storagebackend.TransportConfig{ServerList: []string{"https://etcd:2379"}}, "--etcd-cafile"},
		{"no scheme", storagebackend.TransportConfig{ServerList: []string{"etcd:2379"}}, "must begin with https://"},
		{"half a key pair", storagebackend.TransportConfig{CertFile: "cert"}, "--etcd-keyfile"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := CheckTransport(test.config)
			if test.want == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, test.want)
			}
		})
	}
}

func TestVersions(t *testing.T) {
	for version, accepted := range map[string]bool{
		"3.3.27": false, "3.4.30": false, "3.4.31": true, "3.5.0": false, "3.5.12": false, "3.5.13": true, "3.6.0": true,
		"3.7.3": true, "4.0.0": true, "3.5.13-rc.0": false, "": false,
	} {
		err := checkVersion(version)
		assert.Equal(t, accepted, err == nil, "%s: %v", version, err)
	}
}

// TestGuard walks through the life of a store and a cluster.
func TestGuard(t *testing.T) {
	const namespace = "virtualserver-system"
	cluster := func(uid types.UID) *fake.Clientset {
		return fake.NewClientset(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: uid}})
	}
	ctx := context.Background()
	store := newClient(t, startEmbedded(t, t.TempDir()))
	home := cluster("home")
	guard := &Guard{Store: store, Prefix: "/registry/tensorstack.dev", Cluster: home, Namespace: namespace}
	note := func() *corev1.ConfigMap {
		configMap, err := home.CoreV1().ConfigMaps(namespace).Get(ctx, IdentityConfigMap, metav1.GetOptions{})
		require.NoError(t, err)
		return configMap
	}
	mismatch := func(g *Guard, text string) {
		t.Helper()
		var found *MismatchError
		require.ErrorAs(t, g.Check(ctx), &found)
		assert.Contains(t, found.Message, text)
		assert.Contains(t, found.Message, "--adopt-store")
	}

	require.NoError(t, guard.Check(ctx), "a new store in a new cluster")
	first := note().Data["storeID"]
	require.NotEmpty(t, first)
	require.NoError(t, guard.Check(ctx), "the same store again")
	assert.Equal(t, first, note().Data["storeID"])

	before := note().Data["revision"]
	_, err := store.Put(ctx, "something", "changed")
	require.NoError(t, err)
	require.NoError(t, guard.Remember(ctx))
	assert.NotEqual(t, before, note().Data["revision"])

	require.NoError(t, home.CoreV1().ConfigMaps(namespace).Delete(ctx, IdentityConfigMap, metav1.DeleteOptions{}))
	require.NoError(t, guard.Check(ctx), "a store that knows this cluster, which has forgotten it")
	assert.Equal(t, first, note().Data["storeID"])

	ahead := note()
	ahead.Data["revision"] = "1000000"
	_, err = home.CoreV1().ConfigMaps(namespace).Update(ctx, ahead, metav1.UpdateOptions{})
	require.NoError(t, err)
	mismatch(guard, "older backup")

	emptied := newClient(t, startEmbedded(t, t.TempDir()))
	empty := &Guard{Store: emptied, Prefix: guard.Prefix, Cluster: home, Namespace: namespace}
	mismatch(empty, "empty")
	answer, err := emptied.Get(ctx, "/", clientv3.WithPrefix())
	require.NoError(t, err)
	assert.Empty(t, answer.Kvs, "a refused store is not written to")

	empty.Adopt = true
	require.NoError(t, empty.Check(ctx))
	assert.NotEqual(t, first, note().Data["storeID"])
	empty.Adopt = false
	require.NoError(t, empty.Check(ctx), "an adopted store is the known one")
	mismatch(guard, "this cluster had store")

	away := cluster("away")
	foreign := &Guard{Store: store, Prefix: guard.Prefix, Cluster: away, Namespace: namespace}
	mismatch(foreign, "another cluster")
	foreign.Adopt = true
	require.NoError(t, foreign.Check(ctx))
	foreign.Adopt = false
	require.NoError(t, foreign.Check(ctx))
}

// TestBelongs walks through what a transaction is compared with.
func TestBelongs(t *testing.T) {
	cluster := func(uid types.UID) *fake.Clientset {
		return fake.NewClientset(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: uid}})
	}
	ctx := context.Background()
	store := newClient(t, startEmbedded(t, t.TempDir()))
	guard := func(client *fake.Clientset) *Guard {
		return &Guard{Store: store, Prefix: "/registry/tensorstack.dev", Cluster: client, Namespace: "virtualserver-system"}
	}
	write := func(belongs clientv3.Cmp) bool {
		answer, err := store.Txn(ctx).If(belongs).Then(clientv3.OpPut("x", "y")).Commit()
		require.NoError(t, err)
		return answer.Succeeded
	}
	home, away := cluster("home"), cluster("away")
	belongs, err := guard(home).Belongs(ctx)
	require.NoError(t, err, "a store without a name gets one")
	assert.True(t, write(belongs))
	_, err = guard(home).Belongs(ctx)
	require.NoError(t, err)

	var foreign *MismatchError
	_, err = guard(away).Belongs(ctx)
	require.ErrorAs(t, err, &foreign)
	_, err = guard(fake.NewClientset()).Belongs(ctx)
	require.Error(t, err)
	assert.NotErrorAs(t, err, &foreign, "a cluster that does not answer is no other one")

	adopting := guard(away)
	adopting.Adopt = true
	theirs, err := adopting.Belongs(ctx)
	require.NoError(t, err)
	assert.True(t, write(theirs))
	assert.False(t, write(belongs), "what was compared before holds no more")
	_, err = guard(home).Belongs(ctx)
	require.ErrorAs(t, err, &foreign)

	emptied := newClient(t, startEmbedded(t, t.TempDir()))
	unnamed := guard(home)
	unnamed.Store = emptied
	_, err = unnamed.Belongs(ctx)
	require.ErrorAs(t, err, &foreign, "an empty store in a cluster that knows another")
}
