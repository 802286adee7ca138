package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
)

const (
	// recordsLast is how long the records of a process that was killed stay, in seconds.
	recordsLast = 10
	// removeTimeout bounds what is done when a record, or the process, ends.
	removeTimeout = 2 * time.Second
	// reachTimeout bounds what is asked of a store that may be out of reach.
	reachTimeout = 5 * time.Second
	// roundPause is the time between two attempts to reach the store.
	roundPause = time.Second
)

// Record is a value that a process keeps in the store.
type Record struct {
	// Key comes after the prefix of the Records.
	Key   string
	Value []byte
	// Revision changes with each write of the record.
	Revision int64
}

// Records are values that the processes of the server share. Each belongs to the process that wrote it and vanishes with it:
// no crash leaves one behind for longer than ten seconds. It is safe for concurrent use.
type Records struct {
	client *clientv3.Client
	prefix string
	// anew asks Run to give all records up and make them again.
	anew chan struct{}

	mu sync.Mutex
	// lease carries the records of this process. It is zero while Run has none.
	lease clientv3.LeaseID
}

// NewRecords returns the records under a prefix, which ends with a slash. Nothing can be put before Run has begun.
func NewRecords(client *clientv3.Client, prefix string) *Records {
	return &Records{client: client, prefix: prefix, anew: make(chan struct{}, 1)}
}

// Put writes a record in place of the one that has the revision, or of none if that is 0, and returns the revision of what it
// wrote. If there is another one then that is returned, and nothing is written. After an error the record may be written.
func (r *Records) Put(ctx context.Context, key string, value []byte, instead int64) (revision int64, other *Record, err error) {
	r.mu.Lock()
	lease := r.lease
	r.mu.Unlock()
	if lease == clientv3.NoLease {
		return 0, nil, errors.New("etcd is out of reach")
	}
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	at := r.prefix + key
	for {
		answer, err := r.client.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(at), "=", instead)).
			Then(clientv3.OpPut(at, string(value), clientv3.WithLease(lease))).
			Else(clientv3.OpGet(at)).Commit()
		if err != nil {
			return 0, nil, fmt.Errorf("write %s to etcd: %w", at, err)
		}
		if answer.Succeeded {
			return answer.Header.Revision, nil, nil
		}
		if found := answer.Responses[0].GetResponseRange().Kvs; len(found) > 0 {
			return 0, &Record{Key: key, Value: found[0].Value, Revision: found[0].ModRevision}, nil
		}
		// It has gone meanwhile.
		instead = 0
	}
}

// Remove removes a record of this process if it has the value. If that is not possible now Run makes all others anew, and this
// one vanishes with their old lease.
func (r *Records) Remove(ctx context.Context, key string, value []byte) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	at := r.prefix + key
	_, err := r.client.Txn(ctx).If(clientv3.Compare(clientv3.Value(at), "=", string(value))).Then(clientv3.OpDelete(at)).Commit()
	if err != nil {
		select {
		case r.anew <- struct{}{}:
		default:
		}
	}
}

// List returns the records of all processes whose keys have the prefix.
func (r *Records) List(ctx context.Context, prefix string) ([]Record, error) {
	answer, err := r.client.Get(ctx, r.prefix+prefix, clientv3.WithPrefix())
	if err != nil {
		return nil, fmt.Errorf("read %s from etcd: %w", r.prefix+prefix, err)
	}
	records := make([]Record, 0, len(answer.Kvs))
	for _, found := range answer.Kvs {
		records = append(records, Record{Key: string(found.Key)[len(r.prefix):], Value: found.Value, Revision: found.ModRevision})
	}
	return records, nil
}

// Run keeps the records of this process until the context ends, and then removes them. It calls put whenever the process has
// to put all of its records: at the start, and after the store was out of reach for longer than they last. It calls changed
// with each record that any process puts.
func (r *Records) Run(ctx context.Context, put func(context.Context) error, changed func(Record)) {
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		if err := r.round(ctx, put, changed); err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Info("Making the records of this process in etcd anew", "err", err)
		}
	}, roundPause)
}

// round lasts as long as one lease.
func (r *Records) round(ctx context.Context, put func(context.Context) error, changed func(Record)) error {
	lease, revision, err := r.begin(ctx)
	if err != nil {
		return err
	}
	// It outlives the context, so that the records of sessions that are about to end are kept until then.
	outlasting := context.WithoutCancel(ctx)
	session, err := concurrency.NewSession(r.client, concurrency.WithLease(lease), concurrency.WithContext(outlasting))
	if err != nil {
		return fmt.Errorf("keep the lease: %w", err)
	}
	defer func() {
		r.carry(clientv3.NoLease)
		session.Orphan()
		if ctx.Err() == nil {
			// The records stay until the next lease has them, or until this one runs out: nobody gets in between.
			return
		}
		revoking, cancel := context.WithTimeout(outlasting, removeTimeout)
		defer cancel()
		// If this fails the lease ends by itself.
		_, _ = r.client.Revoke(revoking, lease)
	}()
	watching, stop := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer stop()
	watch := r.client.Watch(watching, r.prefix, clientv3.WithPrefix(), clientv3.WithFilterDelete(), clientv3.WithRev(revision+1))
	select {
	case <-r.anew:
		// This round makes them anew already.
	default:
	}
	r.carry(lease)
	if err := put(ctx); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-session.Done():
			return errors.New("the lease has run out")
		case <-r.anew:
			return errors.New("a record could not be removed")
		case answer, open := <-watch:
			if err := answer.Err(); err != nil || !open {
				return fmt.Errorf("the watch has ended: %w", err)
			}
			for _, event := range answer.Events {
				changed(Record{Key: string(event.Kv.Key)[len(r.prefix):], Value: event.Kv.Value, Revision: event.Kv.ModRevision})
			}
		}
	}
}

// begin gets a lease, and the revision of the store at that time.
func (r *Records) begin(ctx context.Context) (clientv3.LeaseID, int64, error) {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	lease, err := r.client.Grant(ctx, recordsLast)
	if err != nil {
		return clientv3.NoLease, 0, fmt.Errorf("get a lease: %w", err)
	}
	now, err := r.client.Get(ctx, r.prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return clientv3.NoLease, 0, fmt.Errorf("read the revision: %w", err)
	}
	return lease.ID, now.Header.Revision, nil
}

func (r *Records) carry(lease clientv3.LeaseID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lease = lease
}
