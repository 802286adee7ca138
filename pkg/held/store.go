// Package held takes VirtualServers whose namespace is gone out of the store, keeps them aside for a while, and gives them
// back when an administrator asks for that.
package held

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
	"k8s.io/klog/v2"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

const (
	// pageSize is how many objects are read from etcd at once.
	pageSize = 500
	// reachTimeout bounds each request to etcd.
	reachTimeout = 20 * time.Second
)

// Store reaches past the registry for what no request of a user does: it moves objects from one key to another in one
// transaction. It writes what the registry reads, encryption at rest included.
type Store struct {
	client *clientv3.Client
	// servers and held are the prefixes of the keys of VirtualServers and of those that are held. Both end with a slash.
	servers, held string
	codec         runtime.Codec
	transformer   value.Transformer
}

// NewStore returns the store that the registry uses with the same getter. The caller closes the client, which must reach the
// same etcd.
func NewStore(client *clientv3.Client, getter generic.RESTOptionsGetter) (*Store, error) {
	options, err := getter.GetRESTOptions(tensorstack.Resource("virtualservers"), &tensorstack.VirtualServer{})
	if err != nil {
		return nil, fmt.Errorf("options of the store: %w", err)
	}
	held, err := getter.GetRESTOptions(tensorstack.Resource("heldvirtualservers"), &tensorstack.HeldVirtualServer{})
	if err != nil {
		return nil, fmt.Errorf("options of the store: %w", err)
	}
	s := &Store{
		client: client, codec: options.StorageConfig.Codec, transformer: options.StorageConfig.Transformer,
		servers: path.Join("/", options.StorageConfig.Prefix, options.ResourcePrefix) + "/",
		held:    path.Join("/", held.StorageConfig.Prefix, held.ResourcePrefix) + "/",
	}
	if s.transformer == nil {
		s.transformer = identity.NewEncryptCheckTransformer()
	}
	return s, nil
}

// stored is an object and where it is in etcd.
type stored[T runtime.Object] struct {
	key string
	// revision is that of the last write of the key.
	revision int64
	object   T
	// outdated is an object that is encrypted with a key which is no longer the one for writing.
	outdated bool
}

// each calls do with every object below a prefix. An object that cannot be read is told in the log and left alone: the
// registry cannot serve it either.
func each[T runtime.Object](ctx context.Context, s *Store, prefix string, do func(stored[T])) error {
	from, end := prefix, clientv3.GetPrefixRangeEnd(prefix)
	for {
		page, err := s.get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(pageSize))
		if err != nil {
			return err
		}
		for _, kv := range page.Kvs {
			found, err := decode[T](ctx, s, string(kv.Key), kv.Value)
			if err != nil {
				klog.FromContext(ctx).Error(err, "Cannot read an object in etcd, and do not look at whose it is")
				continue
			}
			found.revision = kv.ModRevision
			do(*found)
		}
		if !page.More {
			return nil
		}
		from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	}
}

// one reads the object of a key, and returns nil if there is none.
func one[T runtime.Object](ctx context.Context, s *Store, key string) (*stored[T], error) {
	answer, err := s.get(ctx, key)
	if err != nil || len(answer.Kvs) == 0 {
		return nil, err
	}
	found, err := decode[T](ctx, s, key, answer.Kvs[0].Value)
	if err != nil {
		return nil, err
	}
	found.revision = answer.Kvs[0].ModRevision
	return found, nil
}

func (s *Store) get(ctx context.Context, key string, options ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	answer, err := s.client.Get(ctx, key, options...)
	if err != nil {
		return nil, fmt.Errorf("read %s from etcd: %w", key, err)
	}
	return answer, nil
}

// decode opens what the registry wrote. Encryption ties a value to its key, as the library's own storage has it, so that
// nobody who can write to etcd can pass one object off as another.
func decode[T runtime.Object](ctx context.Context, s *Store, key string, data []byte) (*stored[T], error) {
	plain, outdated, err := s.transformer.TransformFromStorage(ctx, data, value.DefaultContext(key))
	if err != nil {
		return nil, fmt.Errorf("decrypt %s: %w", key, err)
	}
	object, err := runtime.Decode(s.codec, plain)
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", key, err)
	}
	typed, ok := object.(T)
	if !ok {
		return nil, fmt.Errorf("%s holds a %T", key, object)
	}
	return &stored[T]{key: key, object: typed, outdated: outdated}, nil
}

// encode makes the value of a key.
func (s *Store) encode(ctx context.Context, key string, object runtime.Object) (string, error) {
	plain, err := runtime.Encode(s.codec, object)
	if err != nil {
		return "", fmt.Errorf("encode %s: %w", key, err)
	}
	data, err := s.transformer.TransformToStorage(ctx, plain, value.DefaultContext(key))
	if err != nil {
		return "", fmt.Errorf("encrypt %s: %w", key, err)
	}
	return string(data), nil
}

// commit carries out writes if all comparisons hold, in one transaction. It returns false if they do not.
func (s *Store) commit(ctx context.Context, comparisons []clientv3.Cmp, writes ...clientv3.Op) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	answer, err := s.client.Txn(ctx).If(comparisons...).Then(writes...).Commit()
	if err != nil {
		return false, fmt.Errorf("write to etcd: %w", err)
	}
	return answer.Succeeded, nil
}

func unchanged(key string, revision int64) clientv3.Cmp {
	return clientv3.Compare(clientv3.ModRevision(key), "=", revision)
}

func (s *Store) serverKey(namespace, name string) string { return s.servers + namespace + "/" + name }

func (s *Store) heldKey(uid types.UID) string { return s.held + string(uid) }

// stamp writes down that a VirtualServer belongs to the namespace of the UID.
func (s *Store) stamp(ctx context.Context, belongs clientv3.Cmp, server *stored[*tensorstack.VirtualServer], namespace types.UID) (bool, error) {
	stamped := server.object.DeepCopy()
	stamped.ResourceVersion, stamped.Status.NamespaceUID = "", namespace
	data, err := s.encode(ctx, server.key, stamped)
	if err != nil {
		return false, err
	}
	return s.commit(ctx, []clientv3.Cmp{belongs, unchanged(server.key, server.revision)}, clientv3.OpPut(server.key, data))
}

// hold moves a VirtualServer out of its namespace: from then on it is not served, and its name is free.
func (s *Store) hold(ctx context.Context, belongs clientv3.Cmp, server *stored[*tensorstack.VirtualServer],
	held *tensorstack.HeldVirtualServer) (bool, error) {
	held.Name = string(server.object.UID)
	held.VirtualServer = *server.object.DeepCopy()
	held.VirtualServer.ResourceVersion = ""
	key := s.heldKey(server.object.UID)
	data, err := s.encode(ctx, key, held)
	if err != nil {
		return false, err
	}
	return s.commit(ctx, []clientv3.Cmp{belongs, unchanged(server.key, server.revision)},
		clientv3.OpPut(key, data), clientv3.OpDelete(server.key))
}

// errTaken says that a VirtualServer of the name exists already.
var errTaken = errors.New("the name is taken")

// giveBack moves a VirtualServer back to its name.
func (s *Store) giveBack(ctx context.Context, belongs clientv3.Cmp, held *stored[*tensorstack.HeldVirtualServer],
	server *tensorstack.VirtualServer) (bool, error) {
	key := s.serverKey(server.Namespace, server.Name)
	data, err := s.encode(ctx, key, server)
	if err != nil {
		return false, err
	}
	done, err := s.commit(ctx, []clientv3.Cmp{belongs, unchanged(held.key, held.revision), unchanged(key, 0)},
		clientv3.OpPut(key, data), clientv3.OpDelete(held.key))
	if done || err != nil {
		return done, err
	}
	if present, err := s.get(ctx, key, clientv3.WithKeysOnly()); err != nil {
		return false, err
	} else if len(present.Kvs) > 0 {
		return false, errTaken
	}
	return false, nil
}

// remove deletes a held VirtualServer for good.
func (s *Store) remove(ctx context.Context, held *stored[*tensorstack.HeldVirtualServer]) (bool, error) {
	return s.commit(ctx, []clientv3.Cmp{unchanged(held.key, held.revision)}, clientv3.OpDelete(held.key))
}

// renew writes a held VirtualServer again, encrypted with the present key.
func (s *Store) renew(ctx context.Context, held *stored[*tensorstack.HeldVirtualServer]) error {
	again := held.object.DeepCopy()
	again.ResourceVersion = ""
	data, err := s.encode(ctx, held.key, again)
	if err != nil {
		return err
	}
	_, err = s.commit(ctx, []clientv3.Cmp{unchanged(held.key, held.revision)}, clientv3.OpPut(held.key, data))
	return err
}

// below is the prefix of all VirtualServers of a namespace, or of all namespaces if it is empty.
func (s *Store) below(namespace string) string {
	if namespace == "" {
		return s.servers
	}
	return s.servers + strings.TrimSuffix(namespace, "/") + "/"
}
