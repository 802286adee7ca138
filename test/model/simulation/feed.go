package simulation

import (
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// watchBuffer is more than a watcher ever leaves unread: the world sends one event and waits until it was taken in.
const watchBuffer = 16

// feed carries the changes of one kind of object to its watchers, late and in order.
type feed struct {
	name     string
	mu       sync.Mutex
	watchers []*feedWatcher
}

type feedWatcher struct {
	feed    *feed
	pending []watch.Event
	result  chan watch.Event
}

var _ watch.Interface = &feedWatcher{}

// publish puts a change in front of every watcher.
func (f *feed) publish(kind watch.EventType, object runtime.Object) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, watcher := range f.watchers {
		watcher.pending = append(watcher.pending, watch.Event{Type: kind, Object: object.DeepCopyObject()})
	}
}

func (f *feed) watch() watch.Interface {
	f.mu.Lock()
	defer f.mu.Unlock()
	watcher := &feedWatcher{feed: f, result: make(chan watch.Event, watchBuffer)}
	f.watchers = append(f.watchers, watcher)
	return watcher
}

// ready says that a change waits to be seen.
func (f *feed) ready() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, watcher := range f.watchers {
		if len(watcher.pending) > 0 {
			return true
		}
	}
	return false
}

// deliver lets the oldest change be seen.
func (f *feed) deliver() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, watcher := range f.watchers {
		if len(watcher.pending) > 0 {
			watcher.result <- watcher.pending[0]
			watcher.pending = watcher.pending[1:]
			return
		}
	}
}

// Stop implements watch.Interface.
func (w *feedWatcher) Stop() {
	w.feed.mu.Lock()
	defer w.feed.mu.Unlock()
	for i, watcher := range w.feed.watchers {
		if watcher == w {
			w.feed.watchers = append(w.feed.watchers[:i], w.feed.watchers[i+1:]...)
			close(w.result)
			return
		}
	}
}

// ResultChan implements watch.Interface.
func (w *feedWatcher) ResultChan() <-chan watch.Event { return w.result }
