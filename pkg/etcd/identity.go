package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
)

// IdentityConfigMap is the name of the ConfigMap in which the cluster remembers the store.
const IdentityConfigMap = "virtualserver-store-identity"

// Keys of the ConfigMap.
const (
	keyStoreID  = "storeID"
	keyRevision = "revision"
)

// MismatchError says that the store is not the one that the cluster knows.
type MismatchError struct {
	Message string
}

// Error says what was found, what that may mean, and what to do.
func (e *MismatchError) Error() string { return e.Message }

func mismatchf(format string, args ...any) error {
	return &MismatchError{Message: fmt.Sprintf(format, args...) + ". The controllers do not run, so no machine or disk is " +
		"touched. Put the right store back, or restart with --adopt-store if this one is right"}
}

// identity is what the store knows about itself.
type identity struct {
	// StoreID is a random name that the store got when it was used first.
	StoreID string `json:"storeID"`
	// ClusterUID is the UID of the namespace kube-system, which is as unique as a cluster.
	ClusterUID string `json:"clusterUID"`
}

// Guard compares the store with what the cluster remembers of it. An empty, strange or outdated store holds no
// VirtualServers, or those of long ago, while the machines of today run in the cluster; controllers that took its word
// would stop, delete or duplicate them.
type Guard struct {
	// Store is the etcd, and Prefix the prefix of all keys in it.
	Store  *clientv3.Client
	Prefix string
	// Cluster is kube-apiserver, and Namespace the namespace of the ConfigMap.
	Cluster   kubernetes.Interface
	Namespace string
	// Adopt takes the store as it is and remembers it.
	Adopt bool
}

// Check returns nil if the store is the one that the cluster knows and not older than when it was last seen. A new store
// in a cluster that knows none is remembered. The error is a *MismatchError if the store must not be used; any other
// error means that the question could not be answered now.
func (g *Guard) Check(ctx context.Context) error {
	cluster, err := g.Cluster.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("identify the cluster: %w", err)
	}
	clusterUID := string(cluster.UID)
	known, err := g.Cluster.CoreV1().ConfigMaps(g.Namespace).Get(ctx, IdentityConfigMap, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		known = nil
	} else if err != nil {
		return fmt.Errorf("read what the cluster knows of the store: %w", err)
	}
	found, revision, err := g.read(ctx)
	if err != nil {
		return err
	}
	if !g.Adopt {
		if err := g.compare(found, known, revision, clusterUID); err != nil {
			return err
		}
	}
	if found == nil || found.ClusterUID != clusterUID {
		if found, revision, err = g.name(ctx, found, clusterUID); err != nil {
			return err
		}
	}
	return g.remember(ctx, known, found.StoreID, revision)
}

// compare decides whether the store is right. found is nil for a store without a name, known nil for a cluster that
// remembers none.
func (g *Guard) compare(found *identity, known *corev1.ConfigMap, revision int64, clusterUID string) error {
	switch {
	case found == nil && known == nil:
		return nil
	case found == nil:
		return mismatchf("The store is empty, but this cluster had store %s: it was lost or replaced", known.Data[keyStoreID])
	case found.ClusterUID != clusterUID:
		return mismatchf("The store %s belongs to another cluster", found.StoreID)
	case known == nil:
		// The ConfigMap was deleted, or the server died before it wrote it. The store itself knows this cluster.
		return nil
	case known.Data[keyStoreID] != found.StoreID:
		return mismatchf("The store is %s, but this cluster had store %s", found.StoreID, known.Data[keyStoreID])
	}
	seen, err := strconv.ParseInt(known.Data[keyRevision], 10, 64)
	if err == nil && revision < seen {
		return mismatchf("The store is at revision %d, but it was at %d before: an older backup was restored", revision, seen)
	}
	return nil
}

func (g *Guard) key() string { return path.Join(g.Prefix, "store-identity") }

// read returns what the store knows about itself, nil if it has no name yet, and its revision.
func (g *Guard) read(ctx context.Context) (*identity, int64, error) {
	ctx, cancel := context.WithTimeout(ctx, endpointTimeout)
	defer cancel()
	answer, err := g.Store.Get(ctx, g.key())
	if err != nil {
		return nil, 0, fmt.Errorf("read the identity of the store: %w", err)
	}
	if len(answer.Kvs) == 0 {
		return nil, answer.Header.Revision, nil
	}
	found := &identity{}
	if err := json.Unmarshal(answer.Kvs[0].Value, found); err != nil || found.StoreID == "" {
		return nil, 0, fmt.Errorf("the identity of the store, key %s in etcd, cannot be read: %w", g.key(),
			errors.Join(err, errors.New("not a JSON object with storeID")))
	}
	return found, answer.Header.Revision, nil
}

// name gives the store a name, or an adopted one a new cluster. Another replica may be faster; its word counts then.
func (g *Guard) name(ctx context.Context, found *identity, clusterUID string) (*identity, int64, error) {
	wanted := identity{StoreID: string(uuid.NewUUID()), ClusterUID: clusterUID}
	unchanged := clientv3.Compare(clientv3.CreateRevision(g.key()), "=", 0)
	if found != nil {
		wanted.StoreID = found.StoreID
		before, err := json.Marshal(found)
		if err != nil {
			return nil, 0, err
		}
		unchanged = clientv3.Compare(clientv3.Value(g.key()), "=", string(before))
	}
	value, err := json.Marshal(wanted)
	if err != nil {
		return nil, 0, err
	}
	timed, cancel := context.WithTimeout(ctx, endpointTimeout)
	defer cancel()
	answer, err := g.Store.Txn(timed).If(unchanged).Then(clientv3.OpPut(g.key(), string(value))).Commit()
	if err != nil {
		return nil, 0, fmt.Errorf("name the store: %w", err)
	}
	if answer.Succeeded {
		return &wanted, answer.Header.Revision, nil
	}
	return g.read(ctx)
}

// remember writes name and revision of the store into the cluster.
func (g *Guard) remember(ctx context.Context, known *corev1.ConfigMap, storeID string, revision int64) error {
	configMaps := g.Cluster.CoreV1().ConfigMaps(g.Namespace)
	data := map[string]string{keyStoreID: storeID, keyRevision: strconv.FormatInt(revision, 10)}
	var err error
	if known == nil {
		_, err = configMaps.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{
				Name: IdentityConfigMap, Namespace: g.Namespace,
				Labels: map[string]string{"app.kubernetes.io/part-of": "virtualserver"},
			},
			Data: data,
		}, metav1.CreateOptions{})
	} else {
		known = known.DeepCopy()
		known.Data = data
		_, err = configMaps.Update(ctx, known, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("remember the store in ConfigMap %s/%s: %w", g.Namespace, IdentityConfigMap, err)
	}
	return nil
}

// Remember notes how far the store is, so that an older backup is recognized later. It writes nothing if the revision has
// not moved. The store must have passed Check.
func (g *Guard) Remember(ctx context.Context) error {
	known, err := g.Cluster.CoreV1().ConfigMaps(g.Namespace).Get(ctx, IdentityConfigMap, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read what the cluster knows of the store: %w", err)
	}
	found, revision, err := g.read(ctx)
	if err != nil {
		return err
	}
	if found == nil || found.StoreID != known.Data[keyStoreID] {
		return mismatchf("The store changed while the controllers ran")
	}
	if known.Data[keyRevision] == strconv.FormatInt(revision, 10) {
		return nil
	}
	return g.remember(ctx, known, found.StoreID, revision)
}

// Belongs finds out whether the store belongs to this cluster, and returns a comparison that makes a transaction fail from
// the moment that it does not. A store without a name gets one, and with Adopt a strange one is adopted, as Check does. The
// error is a *MismatchError if the store belongs to another cluster.
func (g *Guard) Belongs(ctx context.Context) (clientv3.Cmp, error) {
	cluster, err := g.Cluster.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return clientv3.Cmp{}, fmt.Errorf("identify the cluster: %w", err)
	}
	found, _, err := g.read(ctx)
	if err != nil {
		return clientv3.Cmp{}, err
	}
	if found == nil || g.Adopt && found.ClusterUID != string(cluster.UID) {
		if err := g.Check(ctx); err != nil {
			return clientv3.Cmp{}, err
		}
		if found, _, err = g.read(ctx); err != nil {
			return clientv3.Cmp{}, err
		}
	}
	if found == nil || found.ClusterUID != string(cluster.UID) {
		return clientv3.Cmp{}, mismatchf("The store belongs to another cluster")
	}
	value, err := json.Marshal(found)
	if err != nil {
		return clientv3.Cmp{}, err
	}
	return clientv3.Compare(clientv3.Value(g.key()), "=", string(value)), nil
}
