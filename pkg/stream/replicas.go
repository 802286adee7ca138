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

// claim makes the session the only one of its stream in all replicas, and returns the revision of its record. Whoever holds it,
// if the claim is stronger, is told by the replica that serves them. After an error that is no conflict there may be a record.
func (r *replicas) claim(ctx context.Context, session Session, claim claim) (int64, error) {
	if r == nil || !session.Kind.exclusive() {
		return 0, nil
	}
	value, err := r.announce(session)
	if err != nil {
		return 0, err
	}
	instead := int64(0)
	for {
		revision, other, err := r.records.Put(ctx, keyOf(session), value, instead)
		if err != nil {
			return 0, apierrors.NewServiceUnavailable("the sessions of the other replicas of the server are not known: " + err.Error())
		}
		if other == nil {
			return revision, nil
		}
		var holder announcement
		// What cannot be read, or is our own, is left from before: this replica has no such session open.
		if json.Unmarshal(other.Value, &holder) == nil && holder.Replica != r.self && !claim.beats(holder.Session, session.User) {
			return 0, heldBy(holder.Session)
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
		if err := s.announceAgain(ctx, held); err != nil {
			errs = append(errs, fmt.Errorf("announce the %s of %s/%s: %w", held.Kind, held.Namespace, held.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Sessions) announceAgain(ctx context.Context, held *lease) error {
	select {
	case <-held.decided:
	case <-ctx.Done():
		return ctx.Err()
	}
	value, err := s.replicas.announce(held.Session)
	if err != nil {
		return err
	}
	instead := int64(0)
	for s.holds(held.ID) {
		revision, other, err := s.replicas.records.Put(ctx, keyOf(held.Session), value, instead)
		if err != nil {
			return err
		}
		if other == nil {
			s.decide(held, revision)
			break
		}
		var holder announcement
		if json.Unmarshal(other.Value, &holder) == nil {
			if holder.Replica != s.replicas.self {
				held.cancel(takenOver(holder.User, holder.Kind))
				return nil
			}
			if holder.ID != held.ID && s.holds(holder.ID) {
				// Ours has ended meanwhile, and this is its successor.
				return nil
			}
		}
		instead = other.Revision
	}
	if !s.holds(held.ID) {
		s.replicas.release(ctx, held.Session)
	}
	return nil
}

// holds says whether a session of this replica is open and stays so.
func (s *Sessions) holds(id types.UID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	held, open := s.open[id]
	return open && !held.ending
}

// hear is told of each session that a replica announces. One of ours that was announced later has taken the stream over from
// that one. Of one whose claim is still on its way nobody knows yet which is the later.
func (s *Sessions) hear(record etcd.Record) {
	var holder announcement
	if json.Unmarshal(record.Value, &holder) != nil || holder.Replica == s.replicas.self {
		return
	}
	for _, held := range s.exclusive() {
		if keyOf(held.Session) != keyOf(holder.Session) {
			continue
		}
		s.mu.Lock()
		switch {
		case held.revision == 0:
			held.rival = &rival{revision: record.Revision, reason: takenOver(holder.User, holder.Kind)}
		case record.Revision > held.revision:
			held.cancel(takenOver(holder.User, holder.Kind))
		}
		s.mu.Unlock()
	}
}

// decide tells the revision of the record of a session.
func (s *Sessions) decide(held *lease, revision int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held.revision = revision
	if held.rival != nil && held.rival.revision > revision {
		held.cancel(held.rival.reason)
	}
	// After a restore of the store its revisions mean something else.
	held.rival = nil
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
