package simulation

import (
	"context"
	"errors"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// errLost is what a caller gets whose request or answer was lost.
var errLost = errors.New("the connection was lost")

// fate is what becomes of a call.
type fate int

const (
	// pass carries it out.
	pass fate = iota
	// lostRequest does not carry it out.
	lostRequest
	// lostAnswer carries it out, but the caller does not learn of it.
	lostAnswer
)

// call is a request of the controller that waits at the gate.
type call struct {
	name string
	fate chan fate
}

// gate holds up every request of the controller until the world lets it through.
type gate struct {
	mu    sync.Mutex
	calls []*call
	// carriedOut and refused count the calls that reached a server, and those of them that it refused, by name and reason.
	carriedOut int
	refused    map[string]int
}

// note counts a call that reached a server.
func (g *gate) note(name string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.carriedOut++
	if err != nil {
		if g.refused == nil {
			g.refused = map[string]int{}
		}
		g.refused[name+": "+string(apierrors.ReasonForError(err))]++
	}
}

// through waits for its turn and does what the fate of the call is.
func (g *gate) through(ctx context.Context, name string, do func() error) error {
	waiting := &call{name: name, fate: make(chan fate, 1)}
	g.mu.Lock()
	g.calls = append(g.calls, waiting)
	g.mu.Unlock()
	select {
	case <-ctx.Done():
		g.remove(waiting)
		return ctx.Err()
	case f := <-waiting.fate:
		if f == lostRequest {
			return fmt.Errorf("%s: %w", name, errLost)
		}
		err := do()
		g.note(name, err)
		if f == lostAnswer {
			return fmt.Errorf("%s: %w", name, errLost)
		}
		return err
	}
}

func (g *gate) remove(gone *call) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, waiting := range g.calls {
		if waiting == gone {
			g.calls = append(g.calls[:i], g.calls[i+1:]...)
			return
		}
	}
}

// first returns the call that has waited longest, or nil.
func (g *gate) first() *call {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.calls) == 0 {
		return nil
	}
	return g.calls[0]
}

// settle decides the fate of a call.
func (g *gate) settle(waiting *call, f fate) {
	g.remove(waiting)
	waiting.fate <- f
}
