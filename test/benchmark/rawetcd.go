package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"tensorstack.dev/virtualserver/pkg/etcd"
	"tensorstack.dev/virtualserver/test/controlplane"
)

// rawEtcd is an etcd like the product's own, used without any API server.
type rawEtcd struct {
	server *etcd.Embedded
	client *clientv3.Client
	dir    string
	value  string
}

var _ subject = &rawEtcd{}

func newRawEtcd(ctx context.Context, value []byte) (*rawEtcd, error) {
	root, err := controlplane.RepositoryRoot()
	if err != nil {
		return nil, err
	}
	// Beside the other data, because a file system in memory would be faster than theirs.
	dir, err := os.MkdirTemp(root+"/_output", "bench-etcd-")
	if err != nil {
		return nil, err
	}
	raw := &rawEtcd{dir: dir, value: string(value)}
	if raw.server, err = etcd.StartEmbedded(ctx, dir); err != nil {
		raw.close()
		return nil, err
	}
	raw.client, err = clientv3.New(clientv3.Config{Endpoints: []string{raw.server.Endpoint()}, Context: ctx, Logger: zap.NewNop()})
	if err != nil {
		raw.close()
		return nil, err
	}
	return raw, nil
}

func (e *rawEtcd) close() {
	if e.client != nil {
		_ = e.client.Close()
	}
	if e.server != nil {
		e.server.Close()
	}
	_ = os.RemoveAll(e.dir)
}

// Name is the subject's column.
func (e *rawEtcd) Name() string { return "raw etcd" }

func etcdKey(namespace, name string) string { return "/registry/" + namespace + "/" + name }

// Create puts a key that must be new, as an API server does.
func (e *rawEtcd) Create(ctx context.Context, namespace, name string) error {
	key := etcdKey(namespace, name)
	answer, err := e.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", 0)).Then(clientv3.OpPut(key, e.value)).Commit()
	if err == nil && !answer.Succeeded {
		err = fmt.Errorf("%s exists", key)
	}
	return err
}

// Get reads a key.
func (e *rawEtcd) Get(ctx context.Context, namespace, name string) error {
	answer, err := e.client.Get(ctx, etcdKey(namespace, name))
	if err == nil && len(answer.Kvs) != 1 {
		err = fmt.Errorf("%s does not exist", name)
	}
	return err
}

// List reads a prefix.
func (e *rawEtcd) List(ctx context.Context, namespace string) error {
	_, err := e.client.Get(ctx, etcdKey(namespace, ""), clientv3.WithPrefix())
	return err
}

// Updater writes the value again if nobody else did.
func (e *rawEtcd) Updater(ctx context.Context, namespace, name string) (func(context.Context) error, error) {
	key := etcdKey(namespace, name)
	answer, err := e.client.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	if len(answer.Kvs) != 1 {
		return nil, fmt.Errorf("%s does not exist", key)
	}
	revision := answer.Kvs[0].ModRevision
	return func(ctx context.Context) error {
		answer, err := e.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", revision)).
			Then(clientv3.OpPut(key, e.value)).Commit()
		if err != nil {
			return err
		}
		if !answer.Succeeded {
			return fmt.Errorf("%s was changed by somebody else", key)
		}
		revision = answer.Header.Revision
		return nil
	}, nil
}

// Watch follows a prefix.
func (e *rawEtcd) Watch(ctx context.Context, namespace string) (stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	channel := e.client.Watch(ctx, etcdKey(namespace, ""), clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	select {
	case created := <-channel:
		return &etcdEvents{cancel: cancel, channel: channel}, created.Err()
	case <-ctx.Done():
		cancel()
		return nil, ctx.Err()
	}
}

type etcdEvents struct {
	cancel  context.CancelFunc
	channel clientv3.WatchChan
	pending int
}

// Next takes one event.
func (e *etcdEvents) Next() error {
	for e.pending == 0 {
		answer, open := <-e.channel
		if !open {
			return errors.New("the watch was closed")
		}
		if err := answer.Err(); err != nil {
			return err
		}
		e.pending = len(answer.Events)
	}
	e.pending--
	return nil
}

// Close ends the watch.
func (e *etcdEvents) Close() { e.cancel() }
