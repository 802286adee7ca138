package virtualserver

import (
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/cache"
)

const (
	// unseenDelay is how long a pass waits for a cache at most before it looks again. What it waits for wakes it earlier.
	unseenDelay = time.Second
	// patience is how long passes wait for a cache before they go on with what it has. It may never get there: versions go
	// back when etcd is restored from a backup.
	patience = 10 * time.Second
	// garbageDelay is how long a claim is left to garbage collection after its DataVolume was deleted.
	garbageDelay = 10 * time.Second
)

// memories holds what the controller remembers of each VirtualServer from pass to pass, for as long as it leads. It saves
// requests and nothing else: a controller that starts anew asks the servers where it does not remember.
type memories struct {
	mu   sync.Mutex
	held map[cache.ObjectName]*memory
}

// of returns what is remembered of a VirtualServer. Only the worker that has its key uses it.
func (m *memories) of(key cache.ObjectName) *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held == nil {
		m.held = map[cache.ObjectName]*memory{}
	}
	if m.held[key] == nil {
		m.held[key] = &memory{
			unseen: map[cache.SharedIndexInformer]string{}, met: map[objectID]bool{}, deleted: map[objectID]deletion{},
		}
	}
	return m.held[key]
}

// forget drops what is remembered of a VirtualServer that is gone.
func (m *memories) forget(key cache.ObjectName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.held, key)
}

// objectID names an object behind a VirtualServer, in its namespace.
type objectID struct{ kind, name string }

// memory is what is remembered of one VirtualServer.
type memory struct {
	// starting says that it was seen when it was new, starts by itself, and was not Ready yet.
	starting bool
	// unseen are the resourceVersions that were written, or read from a server, and that the caches have not reached. A pass
	// on older caches would do again what has been done, and have it refused.
	unseen map[cache.SharedIndexInformer]string
	// since is when the first of them came.
	since time.Time
	// met are the objects that the caches have held as ours. One that a cache holds no more is gone, or not ours any more.
	met map[objectID]bool
	// deleted are the objects that were deleted last. The caches may hold them a while longer.
	deleted map[objectID]deletion
}

// deletion is the last deletion of an object of one name.
type deletion struct {
	of types.UID
	at time.Time
}

// note remembers an object as a server has it.
func (m *memory) note(informer cache.SharedIndexInformer, object metav1.Object, now time.Time) {
	version := object.GetResourceVersion()
	if reached(informer, version) || newerOrSame(m.unseen[informer], version) {
		return
	}
	if len(m.unseen) == 0 {
		m.since = now
	}
	m.unseen[informer] = version
}

// waits says whether the caches are older than what was noted.
func (m *memory) waits(now time.Time) bool {
	for informer, version := range m.unseen {
		if reached(informer, version) || now.Sub(m.since) >= patience {
			delete(m.unseen, informer)
		}
	}
	return len(m.unseen) > 0
}

// reached says whether a cache holds everything up to a resourceVersion. Versions that cannot be compared, such as that of a
// kind that is not installed, count as reached.
func reached(informer cache.SharedIndexInformer, version string) bool {
	order, err := resourceversion.CompareResourceVersion(informer.GetStore().LastStoreSyncResourceVersion(), version)
	return err != nil || order >= 0
}

func newerOrSame(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order >= 0
}

// followsVolume says that garbage collection is about to take the claim after the DataVolume that this controller deleted.
func (p *pass) followsVolume() bool {
	if p.claim == nil || p.volume != nil || !volumeOwns(p.claim) {
		return false
	}
	last, known := p.memory.deleted[objectID{kind: kindDataVolume, name: p.name()}]
	return known && p.clock.Since(last.at) < garbageDelay
}

// remember notes everything that the pass knows, and that an object is there.
func (p *pass) remember() {
	noteObject(p, p.caches.servers, "", p.before)
	noteObject(p, p.caches.machines, kindMachine, p.machine)
	noteObject(p, p.caches.instances, kindInstance, p.instance)
	noteObject(p, p.caches.volumes, kindDataVolume, p.volume)
	noteObject(p, p.caches.claims, kindClaim, p.claim)
	noteObject(p, p.caches.services, kindService, p.service)
	noteObject(p, p.caches.secrets, kindSecret, p.secret)
}

func noteObject[T any, P interface {
	*T
	metav1.Object
}](p *pass, informer cache.SharedIndexInformer, kind string, object P) {
	if object == nil {
		return
	}
	p.memory.note(informer, object, p.clock.Now())
	if kind != "" {
		p.memory.met[objectID{kind: kind, name: object.GetName()}] = true
	}
}

// goes says that an object is being deleted, whether the cache shows that already or not.
func (p *pass) goes(kind string, object metav1.Object) bool {
	last, known := p.memory.deleted[objectID{kind: kind, name: object.GetName()}]
	return object.GetDeletionTimestamp() != nil || known && last.of == object.GetUID()
}

// wentAway says of an object that the caches do not hold now that they did before.
func (p *pass) wentAway(kind, name string) bool {
	return p.memory.met[objectID{kind: kind, name: name}]
}
