package stream

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/utils/clock"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/naming"
)

// Store reads VirtualServers of the internal version. The registry's store is one.
type Store interface {
	rest.Getter
	rest.Lister
	rest.Watcher
}

// machines finds the machine behind a name and follows its state.
type machines struct {
	store Store
	clock clock.Clock
}

// get reads a VirtualServer by its own name.
func (m machines) get(ctx context.Context, namespace, name string) (*tensorstack.VirtualServer, error) {
	object, err := m.store.Get(request.WithNamespace(ctx, namespace), name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	server, ok := object.(*tensorstack.VirtualServer)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("the store returned %T instead of a VirtualServer", object))
	}
	return server, nil
}

// resolve finds the VirtualServer that has the name or whose VirtualMachine has it. A VirtualServer's own name wins.
func (m machines) resolve(ctx context.Context, namespace, name string) (*tensorstack.VirtualServer, error) {
	server, err := m.get(ctx, namespace, name)
	if !apierrors.IsNotFound(err) || !strings.HasPrefix(name, naming.VMNamePrefix) {
		return server, err
	}
	object, listErr := m.store.List(request.WithNamespace(ctx, namespace), &internalversion.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("status.vm.name", name),
	})
	if listErr != nil {
		return nil, listErr
	}
	list, ok := object.(*tensorstack.VirtualServerList)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("the store returned %T instead of a list of VirtualServers", object))
	}
	for i := range list.Items {
		if found := &list.Items[i]; found.Namespace == namespace && found.Status.VM.Name == name {
			return found, nil
		}
	}
	return nil, err
}

// awaitReady returns a machine that a stream can be opened to. It watches for at most limit if the machine is not up yet. With
// the error 400, 404 or 409 comes the VirtualServer as it was last seen, if it was.
func (m machines) awaitReady(ctx context.Context, namespace, name string, limit time.Duration) (*tensorstack.VirtualServer, error) {
	server, err := m.get(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	if limit <= 0 || readinessOf(server) != notYet {
		return server, readinessError(server)
	}
	timer := m.clock.NewTimer(limit)
	defer timer.Stop()
	changes, stop := m.follow(ctx, server)
	defer stop()
	for {
		select {
		case next, ok := <-changes:
			switch {
			case !ok:
				return server, waitEnded(ctx, server)
			case next == nil:
				return nil, apierrors.NewNotFound(tensorstack.Resource("virtualservers"), name)
			}
			if server = next; readinessOf(server) != notYet {
				return server, readinessError(server)
			}
		case <-timer.C():
			return server, apierrors.NewBadRequest(fmt.Sprintf("virtualserver %q is not up after %v of waiting (%s); try again",
				name, limit, stateOf(server)))
		case <-ctx.Done():
			return server, waitEnded(ctx, server)
		}
	}
}

// waitEnded says why a wait ended early: the server shuts down, or the client left and nobody reads this.
func waitEnded(ctx context.Context, server *tensorstack.VirtualServer) error {
	if reason, ok := context.Cause(ctx).(Closing); ok {
		return unavailable(reason.Reason)
	}
	return notYetError(server)
}

// follow delivers the VirtualServer as it changes, nil once when it is gone or was replaced by another of the same name, and
// then closes. It also closes when the context ends. A watch that breaks is opened again. The caller calls stop, which waits
// until nothing of it runs any more.
func (m machines) follow(ctx context.Context, seen *tensorstack.VirtualServer) (_ <-chan *tensorstack.VirtualServer, stop func()) {
	changes := make(chan *tensorstack.VirtualServer)
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer close(changes)
		latest := seen
		for ctx.Err() == nil {
			next, gone := m.watchOnce(ctx, latest, changes)
			if gone {
				send(ctx, changes, nil)
				return
			}
			latest = next
			select {
			case <-ctx.Done():
			case <-m.clock.After(rewatchDelay):
			}
		}
	}()
	return changes, func() {
		cancel()
		for range changes {
			// It closes when the goroutine ends.
		}
	}
}

// rewatchDelay keeps a watch that breaks at once, as during a restart of etcd, from spinning.
const rewatchDelay = time.Second

// watchOnce reads the object and watches it until the watch breaks. It returns the object as last seen, and whether it is gone.
func (m machines) watchOnce(ctx context.Context, latest *tensorstack.VirtualServer, changes chan<- *tensorstack.VirtualServer) (*tensorstack.VirtualServer, bool) {
	current, err := m.get(ctx, latest.Namespace, latest.Name)
	if err != nil {
		return latest, apierrors.IsNotFound(err)
	}
	if current.UID != latest.UID {
		return latest, true
	}
	if current.ResourceVersion != latest.ResourceVersion && !send(ctx, changes, current) {
		return current, false
	}
	latest = current
	events, err := m.store.Watch(request.WithNamespace(ctx, latest.Namespace), &internalversion.ListOptions{
		FieldSelector:   fields.OneTermEqualSelector(metav1.ObjectNameField, latest.Name),
		ResourceVersion: latest.ResourceVersion,
	})
	if err != nil {
		return latest, false
	}
	defer events.Stop()
	for {
		select {
		case <-ctx.Done():
			return latest, false
		case event, ok := <-events.ResultChan():
			if !ok || event.Type == watch.Error {
				return latest, false
			}
			server, isServer := unwrapped(event.Object).(*tensorstack.VirtualServer)
			if !isServer {
				continue
			}
			if event.Type == watch.Deleted || server.UID != latest.UID {
				return latest, true
			}
			latest = server
			if !send(ctx, changes, server) {
				return latest, false
			}
		}
	}
}

// unwrapped is the object itself: the watch cache wraps one that three or more watch, to encode it once for all of them.
func unwrapped(object runtime.Object) runtime.Object {
	if shared, ok := object.(runtime.CacheableObject); ok {
		return shared.GetObject()
	}
	return object
}

func send(ctx context.Context, changes chan<- *tensorstack.VirtualServer, server *tensorstack.VirtualServer) bool {
	select {
	case changes <- server:
		return true
	case <-ctx.Done():
		return false
	}
}

// untilStopped delivers one Closing when the machine run that a stream was opened to has ended, and then closes. It closes
// without one when the context ends.
func (m machines) untilStopped(ctx context.Context, opened *tensorstack.VirtualServer) <-chan Closing {
	ended := make(chan Closing, 1)
	go func() {
		defer close(ended)
		changes, stop := m.follow(ctx, opened)
		defer stop()
		for server := range changes {
			if reason, stopped := runEnded(opened, server); stopped {
				ended <- reason
				return
			}
		}
	}()
	return ended
}

// runEnded compares the machine as it was when a stream was opened with what it is now; now is nil if it is gone.
func runEnded(opened, now *tensorstack.VirtualServer) (Closing, bool) {
	if now == nil {
		return closing(CloseMachineStopped, "virtualserver %s was deleted", opened.Name), true
	}
	before, after := opened.Status.VM.InstanceUID, now.Status.VM.InstanceUID
	switch now.Status.PrintableStatus {
	case tensorstack.StatusStopped, tensorstack.StatusCrashLoopBackOff:
		return closing(CloseMachineStopped, "the machine %s stopped (%s)", opened.Name, stateOf(now)), true
	}
	if before != "" && before != after {
		if failure := now.Status.LastFailure; failure != nil && failure.InstanceUID == before {
			return closing(CloseMachineStopped, "the machine %s ended: %s", opened.Name, failure.Reason), true
		}
		if after == "" {
			return closing(CloseMachineStopped, "the machine %s stopped", opened.Name), true
		}
		return closing(CloseMachineStopped, "the machine %s restarted; connect again", opened.Name), true
	}
	return Closing{}, false
}
