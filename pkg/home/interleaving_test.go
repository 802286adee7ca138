package home

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
)

// What can happen to one namespace name, in any order.
const (
	deleteNamespace  = "namespace deleted"
	makeNamespace    = "namespace made"
	removeAPIService = "APIService away"
	putAPIService    = "APIService back"
	stopServer       = "server away"
	startServer      = "server back"
	backUpStore      = "store backed up"
	restoreStore     = "store restored"
	otherCluster     = "another cluster"
	create           = "VirtualServer created"
	// sweep is the server looking: at an event of the namespace, which may come late, or after a time.
	sweep = "event"
)

var actions = []string{deleteNamespace, makeNamespace, removeAPIService, putAPIService, stopServer, startServer, backUpStore,
	restoreStore, otherCluster, create, sweep}

// ofServer is a VirtualServer in the world, with what is really true of it.
type ofServer struct {
	name string
	Server
	// really is the namespace that it was created in, whatever is written down.
	really types.UID
}

// stores are the VirtualServers under their names and those that are held.
type stores struct {
	served, held map[string]ofServer
	// cluster is the cluster that the store remembers.
	cluster string
}

func (s stores) clone() stores {
	return stores{served: maps.Clone(s.served), held: maps.Clone(s.held), cluster: s.cluster}
}

// world is a cluster with one namespace name.
type world struct {
	now       int
	cluster   string
	namespace Namespace
	service   bool
	up        bool
	// stamps says that the server writes down what VirtualServers belong to, which version 0.1.0 does not.
	stamps bool
	store  stores
	backup *stores
	// changedAbroad is what was done to a store in another cluster than its own.
	changedAbroad string
	// ever is every VirtualServer that was created and not deleted by somebody who could reach it.
	ever map[string]types.UID
}

func newWorld(stamps bool) *world {
	w := &world{cluster: "ours", service: true, up: true, stamps: stamps, ever: map[string]types.UID{},
		store: stores{served: map[string]ofServer{}, held: map[string]ofServer{}, cluster: "ours"}}
	w.makeNamespace()
	return w
}

func (w *world) time() time.Time {
	w.now++
	return time.Unix(int64(w.now), 0)
}

func (w *world) makeNamespace() {
	created := w.time()
	w.namespace = Namespace{UID: types.UID(fmt.Sprintf("%s-%d", w.cluster, w.now)), Created: created}
}

// possible says whether an action can happen now.
func (w *world) possible(action string) bool {
	exists := w.namespace.UID != ""
	switch action {
	case deleteNamespace:
		// kube-apiserver first deletes what is in it, and waits for the server of each APIService.
		return exists && (!w.service || w.up)
	case makeNamespace:
		return !exists
	case removeAPIService:
		return w.service
	case putAPIService:
		return !w.service
	case startServer:
		return !w.up
	case backUpStore:
		return w.backup == nil
	case restoreStore:
		return w.backup != nil && !w.up
	case otherCluster:
		return !w.up && w.cluster == "ours"
	case create:
		return exists && w.up && w.service && len(w.store.served) == 0
	default:
		return w.up
	}
}

func (w *world) do(action string) {
	switch action {
	case deleteNamespace:
		if w.service {
			for name := range w.store.served {
				delete(w.store.served, name)
				delete(w.ever, name)
			}
		}
		w.namespace = Namespace{}
	case makeNamespace:
		w.makeNamespace()
	case removeAPIService, putAPIService:
		w.service = action == putAPIService
	case stopServer:
		w.up = false
	case startServer:
		w.up, w.stamps = true, true
		w.sweep()
	case backUpStore:
		copied := w.store.clone()
		w.backup = &copied
	case restoreStore:
		w.store = w.backup.clone()
		w.ever = map[string]types.UID{}
		for name, vs := range w.store.served {
			w.ever[name] = vs.really
		}
		for name, vs := range w.store.held {
			w.ever[name] = vs.really
		}
	case otherCluster:
		w.cluster, w.namespace = "other", Namespace{}
	case create:
		vs := ofServer{Server: Server{Created: w.time()}, really: w.namespace.UID}
		vs.name = fmt.Sprintf("vs-%d", w.now)
		if w.stamps {
			vs.NamespaceUID = w.namespace.UID
		}
		w.store.served[vs.name], w.ever[vs.name] = vs, vs.really
	case sweep:
		w.sweep()
	}
}

// sweep is what the server does before it is ready and at each event of the namespace.
func (w *world) sweep() {
	if !w.stamps {
		return
	}
	for name, vs := range w.store.served {
		verdict, _ := Decide(w.store.cluster == w.cluster, vs.Server, w.namespace)
		if w.store.cluster != w.cluster && verdict != Wait {
			w.changedAbroad = fmt.Sprintf("%s of %s: %s", name, vs.really, verdict)
		}
		switch verdict {
		case Hold:
			delete(w.store.served, name)
			w.store.held[name] = vs
		case Stamp:
			vs.NamespaceUID = w.namespace.UID
			w.store.served[name] = vs
		}
	}
}

// touched returns the VirtualServers that the controller makes something for in the namespace that is there. It may act
// at any time, also between a namespace and its event, and asks kube-apiserver before it does.
func (w *world) touched() []ofServer {
	var touched []ofServer
	for _, vs := range w.store.served {
		if w.stamps && w.up && AtHome(vs.NamespaceUID, w.namespace.UID) {
			touched = append(touched, vs)
		}
	}
	return touched
}

// wrong says what must not be.
func (w *world) wrong(last string) string {
	for _, vs := range w.touched() {
		if vs.really != w.namespace.UID {
			return fmt.Sprintf("a machine of %s is made in %s", vs.really, w.namespace.UID)
		}
	}
	if w.changedAbroad != "" {
		return "done in another cluster: " + w.changedAbroad
	}
	ours := w.store.cluster == w.cluster
	if last == startServer || last == sweep {
		for _, vs := range w.store.served {
			if w.stamps && ours && vs.really != w.namespace.UID {
				return fmt.Sprintf("%s of %s is served in %q", vs.name, vs.really, w.namespace.UID)
			}
			if w.stamps && ours && !AtHome(vs.NamespaceUID, w.namespace.UID) {
				return vs.name + " is at home, and nothing is ever done for it"
			}
		}
	}
	for name, vs := range w.store.held {
		if _, both := w.store.served[name]; both {
			return name + " is held and served"
		}
		if w.cluster == "ours" && vs.really == w.namespace.UID {
			return name + " is held though its namespace is there"
		}
	}
	for name := range w.ever {
		_, served := w.store.served[name]
		_, held := w.store.held[name]
		if !served && !held {
			return name + " is lost"
		}
	}
	return ""
}

// TestEveryInterleaving plays every sequence of what can happen, for a store of this version and for one of 0.1.0, which
// wrote no UIDs down, up to its first start of this version.
func TestEveryInterleaving(t *testing.T) {
	const length = 6
	for _, stamps := range []bool{true, false} {
		t.Run(fmt.Sprintf("stamps=%v", stamps), func(t *testing.T) {
			played, held := 0, 0
			var play func(done []string)
			play = func(done []string) {
				w := newWorld(stamps)
				w.do(create)
				for i, action := range done {
					if !w.possible(action) {
						return
					}
					w.do(action)
					if problem := w.wrong(action); problem != "" {
						require.Fail(t, problem, strings.Join(done[:i+1], ", "))
					}
				}
				played++
				held += len(w.store.held)
				if len(done) == length {
					return
				}
				for _, action := range actions {
					play(append(slices.Clone(done), action))
				}
			}
			play(nil)
			t.Logf("%d sequences, %d VirtualServers held at their ends", played, held)
			require.Greater(t, played, 10000)
			require.Positive(t, held)
		})
	}
}

// The scene that all this is for, step by step.
func TestTheNextTenantOfTheName(t *testing.T) {
	w := newWorld(true)
	for _, action := range []string{create, stopServer, removeAPIService, deleteNamespace, makeNamespace, putAPIService, startServer} {
		require.True(t, w.possible(action), action)
		w.do(action)
	}
	require.Empty(t, w.store.served)
	require.Len(t, w.store.held, 1)
	require.True(t, w.possible(create), "the name is free")
}
