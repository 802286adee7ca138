package simulation

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	kubernetesfake "k8s.io/client-go/kubernetes/fake"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/apiserver/scheme"
	controller "tensorstack.dev/virtualserver/pkg/controller/virtualserver"
	"tensorstack.dev/virtualserver/pkg/registry/tensorstack/virtualserver/storage"
)

const (
	// Namespace and Name are those of the one VirtualServer.
	Namespace, Name = "ns", "machine"
	workers         = 2
	// steps is how many steps the world may take to come to rest. Real ones take at most some hundred.
	maxSteps = 4000
	// faultySteps is how many of them may be faults, so that there is an end.
	faultySteps = 400
	// firstPause is what the world waits first when nothing can happen. It is odd, so that no timer of the controller ends at
	// the very same time: which of two comes first would be open then.
	firstPause = 23*time.Millisecond + 17*time.Microsecond
	// idleTime is how long nothing must happen for the world to be at rest. The controller's longest delay is shorter.
	idleTime = 70 * time.Second
	// traceLength is how many of the last steps are shown when something is wrong.
	traceLength = 150
)

// Faults are how likely, in a thousand steps, something breaks.
type Faults struct {
	// Kills end the product at once.
	Kills int
	// Losses lose a request of the controller, or its answer.
	Losses int
}

// World is a cluster with one VirtualServer, in which one thing happens at a time. It lives in a bubble of
// testing/synctest.
type World struct {
	ctx        context.Context
	random     *rand.Rand
	faults     Faults
	kubevirt   *KubeVirt
	store      *store
	registry   *storage.Storage
	kubernetes *kubernetesfake.Clientset
	gate       *gate
	servers    *feed
	feeds      []*feed
	ledger     *ledger
	// view is what the operation that was asked for last was answered by.
	view  *view
	trace []string
	kills int

	kill    context.CancelFunc
	stopped chan struct{}
}

// New makes a world and starts the product in it. Close ends it.
func New(ctx context.Context, random *rand.Rand, faults Faults) (*World, error) {
	ctx = genericapirequest.WithUser(klog.NewContext(ctx, logr.Discard()), &user.DefaultInfo{Name: "ann"})
	w := &World{
		ctx: genericapirequest.WithNamespace(ctx, Namespace), random: random, faults: faults,
		gate: &gate{}, servers: &feed{name: "VirtualServers"}, ledger: newLedger(), kubernetes: kubernetesfake.NewSimpleClientset(theNamespace()),
	}
	w.kubevirt = newKubeVirt(func() bool { return w.random.IntN(4) == 0 })
	w.kubevirt.serve(w.kubernetes)
	w.feeds = []*feed{w.servers, w.kubevirt.machineFeed, w.kubevirt.instanceFeed, w.kubevirt.volumeFeed, w.kubevirt.podFeed}
	w.store = newStore(w.changed)
	registry, err := storage.New(w.store.options(), storage.Options{
		Typer: scheme.Scheme, Namespaces: w, Machines: w, Clock: clock.RealClock{},
	})
	if err != nil {
		return nil, err
	}
	w.registry = registry
	w.start()
	return w, nil
}

func (w *World) changed(kind watch.EventType, vs *tensorstack.VirtualServer) {
	w.servers.publish(kind, toExternal(vs))
	w.ledger.see(vs)
}

// start starts the controller and waits until it watches: what is written between its first list and its first watch
// would be lost to it, which the watches of a real server do not do.
func (w *World) start() {
	ctx, cancel := context.WithCancel(w.ctx)
	w.kill, w.stopped = cancel, make(chan struct{})
	process := controller.NewController(controller.Clients{
		Kubernetes:     w.kubernetes,
		KubeVirt:       &client{KubeVirt: w.kubevirt, gate: w.gate},
		VirtualServers: &servers{gate: w.gate, feed: w.servers, registry: w.registry},
	}, controller.NewMetrics(), clock.RealClock{})
	stopped := w.stopped
	go func() {
		defer close(stopped)
		process.Run(ctx, workers)
	}()
	synctest.Wait()
}

// Kill ends the product as "kill -9" does, and starts it again. A request that is under way is lost before or after it
// was carried out.
func (w *World) Kill() {
	synctest.Wait()
	w.kills++
	if waiting := w.gate.first(); waiting != nil {
		lost := lostRequest
		if w.random.IntN(2) == 0 {
			lost = lostAnswer
		}
		w.note("kill while %s waits (carried out: %v)", waiting.name, lost == lostAnswer)
		w.gate.settle(waiting, lost)
		// Whatever it does next waits at the gate and never gets through.
		synctest.Wait()
	} else {
		w.note("kill")
	}
	w.kill()
	<-w.stopped
	w.start()
}

// Close ends everything that runs.
func (w *World) Close() {
	w.kill()
	<-w.stopped
	w.registry.VirtualServer.Destroy()
}

// Rest lets everything happen until nothing does any more.
func (w *World) Rest() error { return w.rest() }

// Requests returns how many requests of the controller have reached a server, and how many of each kind and reason were
// refused.
func (w *World) Requests() (int, map[string]int) {
	w.gate.mu.Lock()
	defer w.gate.mu.Unlock()
	return w.gate.carriedOut, maps.Clone(w.gate.refused)
}

// Trace returns the last things that happened.
func (w *World) Trace() []string { return w.trace }

func (w *World) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
	if len(w.trace) > traceLength {
		w.trace = w.trace[len(w.trace)-traceLength:]
	}
}

// chance is true so many times in a thousand.
func (w *World) chance(inThousand int) bool { return w.random.IntN(1000) < inThousand }

// step lets one thing happen and returns false if there is nothing that could.
func (w *World) step(faulty bool) bool {
	synctest.Wait()
	var choices []func()
	if waiting := w.gate.first(); waiting != nil {
		choices = append(choices, func() { w.answer(waiting, faulty) })
	}
	for _, changes := range w.feeds {
		if changes.ready() {
			choices = append(choices, func() {
				w.note("seen: %s", changes.name)
				changes.deliver()
			})
		}
	}
	k := w.kubevirt
	k.mu.Lock()
	switch {
	case k.seen != nil:
		choices = append(choices, w.locked("virt-controller acts", k.act))
	case k.unseen:
		choices = append(choices, w.locked("virt-controller looks", k.look))
	}
	if k.nodeHasWork() {
		choices = append(choices, w.locked("the node works", k.nodeWorks))
	}
	k.mu.Unlock()
	if len(choices) == 0 {
		return false
	}
	if faulty && w.chance(w.faults.Kills) {
		w.Kill()
		return true
	}
	choices[w.random.IntN(len(choices))]()
	// Whoever acts next must not race with what follows from it.
	synctest.Wait()
	return true
}

func (w *World) locked(name string, do func()) func() {
	return func() {
		w.note("%s", name)
		w.kubevirt.mu.Lock()
		defer w.kubevirt.mu.Unlock()
		do()
	}
}

func (w *World) answer(waiting *call, faulty bool) {
	f := pass
	if faulty && w.chance(w.faults.Losses) {
		f = lostRequest
		if w.random.IntN(2) == 0 {
			f = lostAnswer
		}
		w.note("controller: %s is lost (carried out: %v)", waiting.name, f == lostAnswer)
	} else {
		w.note("controller: %s", waiting.name)
	}
	w.gate.settle(waiting, f)
}

// some lets up to so many things happen.
func (w *World) some(most int) {
	for range w.random.IntN(most + 1) {
		if !w.step(true) {
			// The controller may wait to try again.
			time.Sleep(2 * firstPause)
		}
	}
}

// rest lets everything happen until nothing does any more.
func (w *World) rest() error {
	idle := time.Duration(0)
	pause := firstPause
	for steps := 0; idle < idleTime; {
		if w.step(steps < faultySteps) {
			idle, pause = 0, firstPause
			if steps++; steps > maxSteps {
				return fmt.Errorf("it does not come to rest in %d steps", maxSteps)
			}
			continue
		}
		time.Sleep(pause)
		idle += pause
		pause *= 2
	}
	return nil
}

// Create creates the VirtualServer.
func (w *World) Create(strategy v1beta1.RunStrategy) error {
	_, err := w.registry.VirtualServer.Create(w.ctx, newServer(strategy), nil, &metav1.CreateOptions{})
	return err
}
