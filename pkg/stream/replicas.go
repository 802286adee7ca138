package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"

	"tensorstack.dev/virtualserver/pkg/etcd"
)

// replicas makes exclusive sessions known to the other replicas of the server, of which each serves some.
type replicas struct {
	records *etcd.Records
	// self tells this replica from the others.
	self types.UID
}

// announcement is an exclusive session as the replicas see it.
type announcement struct {
	Session
	Replica types.UID
}

func newReplicas(records *etcd.Records) *replicas {
	if records == nil {
		return nil
	}
	return &replicas{records: records, self: uuid.NewUUID()}
}

// keyOf is the record of a stream that only one may hold. Names of VirtualServers and namespaces have no slashes.
func keyOf(session Session) string {
	return session.Namespace + "/" + session.Name + "/" + string(session.Kind)
}

func (r *replicas) announce(session Session) ([]byte, error) {
	return json.Marshal(announcement{Session: session, Replica: r.self})
}

// claim makes the session the only one of its stream in all replicas. Whoever holds it, if the claim is stronger, is told by
// the replica that serves them.
func (r *replicas) claim(ctx context.Context, session Session, claim claim) error {
	if r == nil || !session.Kind.exclusive() {
		return nil
	}
	value, err := r.announce(session)
	if err != nil {
		return err
	}
	instead := int64(0)
	for {
		other, err := r.records.Put(ctx, keyOf(session), value, instead)
		if err != nil {
			return apierrors.NewServiceUnavailable("the sessions of the other replicas of the server are not known: " + err.Error())
		}
		if other == nil {
			return nil
		}
		var holder announcement
		// What cannot be read, or is our own, is left from before: this replica has no such session open.
		if json.Unmarshal(other.Value, &holder) == nil && holder.Replica != r.self && !claim.beats(holder.Session, session.User) {
			return heldBy(holder.Session)
		}
		instead = other.Revision
	}
}

// release gives the stream up, unless somebody has taken it over.
func (r *replicas) release(ctx context.Context, session Session) {
	if r == nil || !session.Kind.exclusive() {
		return
	}
	if value, err := r.announce(session); err == nil {
		r.records.Remove(ctx, keyOf(session), value)
	}
}

// list returns the exclusive sessions of the other replicas.
func (r *replicas) list(ctx context.Context, namespace, name string) ([]Session, error) {
	if r == nil {
		return nil, nil
	}
	prefix := ""
	if namespace != "" {
		prefix = namespace + "/"
		if name != "" {
			prefix += name + "/"
		}
	}
	records, err := r.records.List(ctx, prefix)
	if err != nil {
		return nil, apierrors.NewServiceUnavailable("the sessions of the other replicas of the server are not known: " + err.Error())
	}
	var sessions []Session
	for _, record := range records {
		var found announcement
		if json.Unmarshal(record.Value, &found) == nil && found.Replica != r.self {
			sessions = append(sessions, found.Session)
		}
	}
	return sessions, nil
}

// Share tells the other replicas about the sessions of this one, and ends those that somebody takes over there. It returns
// when the context ends, or at once if the Gateway has no records.
func (s *Sessions) Share(ctx context.Context) {
	if s.replicas != nil {
		s.replicas.records.Run(ctx, s.announceAll, s.hear)
	}
}

// announceAll puts the records of all exclusive sessions, after the old ones may have been lost.
func (s *Sessions) announceAll(ctx context.Context) error {
	var errs []error
	for _, held := range s.exclusive() {
		errs = append(errs, s.announceAgain(ctx, held))
	}
	return errors.Join(errs...)
}

func (s *Sessions) announceAgain(ctx context.Context, held *lease) error {
	value, err := s.replicas.announce(held.Session)
	if err != nil {
		return err
	}
	other, err := s.replicas.records.Put(ctx, keyOf(held.Session), value, 0)
	if err == nil && other != nil {
		var holder announcement
		if json.Unmarshal(other.Value, &holder) == nil && holder.Replica != s.replicas.self {
			s.yield(holder)
			return nil
		}
		_, err = s.replicas.records.Put(ctx, keyOf(held.Session), value, other.Revision)
	}
	if err != nil {
		return fmt.Errorf("announce the %s of %s/%s: %w", held.Kind, held.Namespace, held.Name, err)
	}
	s.mu.Lock()
	_, open := s.open[held.ID]
	open = open && !held.ending
	s.mu.Unlock()
	if !open {
		s.replicas.release(ctx, held.Session)
	}
	return nil
}

// hear is told of each session that a replica announces.
func (s *Sessions) hear(record etcd.Record) {
	var holder announcement
	if json.Unmarshal(record.Value, &holder) == nil && holder.Replica != s.replicas.self {
		s.yield(holder)
	}
}

// yield ends our session of a stream that somebody holds at another replica.
func (s *Sessions) yield(holder announcement) {
	for _, held := range s.exclusive() {
		if keyOf(held.Session) == keyOf(holder.Session) {
			held.cancel(takenOver(holder.User, holder.Kind))
		}
	}
}

// exclusive returns the exclusive sessions of this replica.
func (s *Sessions) exclusive() []*lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*lease
	for _, held := range s.open {
		if held.Kind.exclusive() && !held.ending {
			found = append(found, held)
		}
	}
	return found
}
