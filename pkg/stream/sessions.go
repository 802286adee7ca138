package stream

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/utils/clock"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/etcd"
)

// Session is a stream that somebody holds.
type Session struct {
	// ID is unique.
	ID types.UID
	// Namespace and Name are the VirtualServer's.
	Namespace, Name string
	// Kind is the stream.
	Kind Kind
	// Port is set for PortForward.
	Port Port
	// User is who holds it.
	User string
	// Since is when it was opened.
	Since time.Time
}

// takeOverTimeout is how long a session may take to end before its successor gives up, in time for the client's patience.
const takeOverTimeout = 5 * time.Second

// Sessions knows every stream of this process, and the exclusive ones of the other replicas. It is safe for concurrent use.
type Sessions struct {
	clock clock.PassiveClock
	// replicas is nil if this process is the only one.
	replicas *replicas

	mu       sync.Mutex
	open     map[types.UID]*lease
	shutdown bool
	// ending is cancelled with the reason when the server shuts down.
	ending context.Context
	end    context.CancelCauseFunc
}

// lease is one entry of Sessions. Its context ends, with a Closing as the cause, when the session has to.
type lease struct {
	Session
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{}
	// decided is closed when it is known whether the session may be: no other replica has a stronger one.
	decided chan struct{}

	// Sessions.mu guards the rest.

	// ending says that the session is being given up.
	ending bool
	// revision is that of the session's record, or 0 if it has none yet.
	revision int64
	// rival is the last session of the same stream that another replica announced while this one had no record.
	rival *rival
}

// rival is a session of another replica.
type rival struct {
	revision int64
	reason   Closing
}

// NewSessions returns an empty registry. Without records there are no other replicas.
func NewSessions(clock clock.PassiveClock, records *etcd.Records) *Sessions {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &Sessions{clock: clock, replicas: newReplicas(records), open: map[types.UID]*lease{}, ending: ctx, end: cancel}
}

// claim says how to treat a session that is in the way.
type claim struct {
	// takeOver ends it whoever holds it.
	takeOver bool
	// preserve leaves it alone even if the same user holds it.
	preserve bool
}

// beats says whether the claim of a user ends the session that another holds. A user's own may have lost its connection.
func (c claim) beats(holder Session, user string) bool {
	return c.takeOver || !c.preserve && holder.User == user
}

func heldBy(holder Session) error {
	refused := conflict(holder.Name, "%s holds the %s since %s", holder.User, holder.Kind, holder.Since.UTC().Format(time.RFC3339))
	return because(refused, holder.Name, metav1.StatusCause{
		Type: v1beta1.CauseSessionHeld, Field: "takeOver", Message: "takeOver=true ends that session",
	})
}

func takenOver(by string, kind Kind) Closing {
	return closing(CloseTakenOver, "%s took the %s over", by, kind)
}

// acquire registers a session. If the stream is exclusive and somebody holds it, that session is ended first if the claim
// says so or if it is the same user's, whose connection may have been lost. Otherwise the error is a 409 that names the
// holder. The caller must release the lease.
func (s *Sessions) acquire(ctx context.Context, session Session, claim claim) (*lease, error) {
	session.ID = uuid.NewUUID()
	session.Since = s.clock.Now()
	ctx, cancel := context.WithTimeout(ctx, takeOverTimeout)
	defer cancel()
	for {
		created, holder, err := s.add(session)
		if err != nil {
			return nil, err
		}
		if created != nil {
			return s.claim(ctx, created, claim)
		}
		if !claim.beats(holder.Session, session.User) {
			return nil, heldBy(holder.Session)
		}
		holder.cancel(takenOver(session.User, session.Kind))
		select {
		case <-holder.done:
		case <-ctx.Done():
			return nil, apierrors.NewServiceUnavailable(fmt.Sprintf("the session of %s did not end in time; try again", holder.User))
		}
	}
}

// claim makes a session that was registered known to the other replicas, or forgets it.
func (s *Sessions) claim(ctx context.Context, created *lease, claim claim) (*lease, error) {
	defer close(created.decided)
	revision, err := s.replicas.claim(ctx, created.Session, claim)
	switch {
	case apierrors.IsConflict(err):
		s.forget(created)
		return nil, err
	case err != nil:
		// The record may have been written, and would live as long as this process.
		s.release(created)
		return nil, err
	}
	s.decide(created, revision)
	return created, nil
}

// add registers a session, or returns the one that is in the way.
func (s *Sessions) add(session Session) (created, holder *lease, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shutdown {
		return nil, nil, apierrors.NewServiceUnavailable(context.Cause(s.ending).Error())
	}
	if session.Kind.exclusive() {
		for _, other := range s.open {
			if other.Kind == session.Kind && other.Namespace == session.Namespace && other.Name == session.Name {
				return nil, other, nil
			}
		}
	}
	ctx, cancel := context.WithCancelCause(s.ending)
	created = &lease{Session: session, ctx: ctx, cancel: cancel, done: make(chan struct{}), decided: make(chan struct{})}
	s.open[session.ID] = created
	return created, nil, nil
}

// release ends a lease. It must be called exactly once.
func (s *Sessions) release(held *lease) {
	s.mu.Lock()
	held.ending = true
	s.mu.Unlock()
	s.replicas.release(held.ctx, held.Session)
	s.forget(held)
}

func (s *Sessions) forget(held *lease) {
	s.mu.Lock()
	delete(s.open, held.ID)
	s.mu.Unlock()
	held.cancel(context.Canceled)
	close(held.done)
}

// ListAll returns the sessions of a VirtualServer, oldest first: those of this replica and the exclusive ones of the others. The
// error is a 503 if the others cannot be known.
func (s *Sessions) ListAll(ctx context.Context, namespace, name string) ([]Session, error) {
	others, err := s.replicas.list(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	sessions := append(s.List(namespace, name), others...)
	sortSessions(sessions)
	return sessions, nil
}

// List returns the sessions of a VirtualServer at this replica, oldest first; with an empty name those of a namespace, and with
// both empty all.
func (s *Sessions) List(namespace, name string) []Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	sessions := []Session{}
	for _, held := range s.open {
		if (namespace == "" || held.Namespace == namespace) && (name == "" || held.Name == name) {
			sessions = append(sessions, held.Session)
		}
	}
	sortSessions(sessions)
	return sessions
}

func sortSessions(sessions []Session) {
	slices.SortFunc(sessions, func(a, b Session) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
	})
}

// Shutdown refuses new sessions, ends all with a reason that their users see, and waits for them to end or for the context.
// It is for the server's pre-shutdown hook: the drain of the server does not know streams.
func (s *Sessions) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.shutdown = true
	s.end(closing(websocket.CloseGoingAway, "the VirtualServer API server is shutting down; connect again"))
	held := make([]*lease, 0, len(s.open))
	for _, one := range s.open {
		held = append(held, one)
	}
	s.mu.Unlock()
	for _, one := range held {
		select {
		case <-one.done:
		case <-ctx.Done():
			return fmt.Errorf("%d streams are still open: %w", len(s.List("", "")), ctx.Err())
		}
	}
	return nil
}
