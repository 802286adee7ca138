package parity

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

// watched are the resources that a Recorder watches.
func watched() []schema.GroupVersionResource {
	return []schema.GroupVersionResource{
		{Group: "tensorstack.dev", Version: "v1beta1", Resource: "virtualservers"},
		{Group: "kubevirt.io", Version: "v1", Resource: "virtualmachineinstances"},
		{Version: "v1", Resource: "pods"},
	}
}

// Recorder records what the objects of a namespace with one VirtualServer go through.
type Recorder struct {
	normalizer Normalizer

	mu        sync.Mutex
	seen      map[types.UID]string
	last      map[types.UID]map[string]string
	counts    map[string]int
	recording Recording
	began     Recording
	changed   time.Time
	err       error
}

func newRecorder() *Recorder {
	return &Recorder{seen: map[types.UID]string{}, last: map[types.UID]map[string]string{}, counts: map[string]int{},
		recording: Recording{}, began: Recording{}, changed: time.Now()}
}

// Record begins to record. It ends with the context.
func Record(ctx context.Context, client dynamic.Interface, namespace string) (*Recorder, error) {
	r := newRecorder()
	r.normalizer.Name(namespace, "NAMESPACE")
	for _, resource := range watched() {
		// Without a version the watch begins with what is there.
		watcher, err := client.Resource(resource).Namespace(namespace).Watch(ctx, metav1.ListOptions{TimeoutSeconds: new(int64(3600))})
		if err != nil {
			return nil, fmt.Errorf("watching %s: %w", resource.Resource, err)
		}
		go r.follow(ctx, resource.Resource, watcher)
	}
	return r, nil
}

func (r *Recorder) follow(ctx context.Context, resource string, watcher watch.Interface) {
	defer watcher.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case event, open := <-watcher.ResultChan():
			object, is := event.Object.(*unstructured.Unstructured)
			if !open || !is || event.Type == watch.Error {
				r.mu.Lock()
				r.err = fmt.Errorf("the watch of %s ended: %v", resource, event.Object)
				r.mu.Unlock()
				return
			}
			if err := r.note(resource, object, event.Type == watch.Deleted); err != nil {
				r.mu.Lock()
				r.err = err
				r.mu.Unlock()
				return
			}
		}
	}
}

func (r *Recorder) note(resource string, object *unstructured.Unstructured, deleted bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	kind, aspects, err := aspectsOf(resource, object, &r.normalizer)
	if err != nil || kind == "" {
		return err
	}
	name, found := r.seen[object.GetUID()]
	if !found {
		r.counts[kind]++
		name = fmt.Sprintf("%s %d", kind, r.counts[kind])
		r.seen[object.GetUID()] = name
	}
	switch {
	case deleted:
		aspects = map[string]string{"object": "gone"}
	case object.GetDeletionTimestamp() != nil:
		aspects["object"] = "being deleted"
	default:
		aspects["object"] = "there"
	}
	for aspect := range r.last[object.GetUID()] {
		// A condition that was removed.
		if _, found := aspects[aspect]; !found && !deleted {
			aspects[aspect] = absent
		}
	}
	r.last[object.GetUID()] = aspects
	for aspect, value := range aspects {
		key := name + ": " + aspect
		before := len(r.recording[key])
		r.recording.Add(key, value)
		if len(r.recording[key]) != before {
			r.changed = time.Now()
		}
	}
	return nil
}

// Quiet says for how long nothing has changed, or why the recording is broken.
func (r *Recorder) Quiet() (time.Duration, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Since(r.changed), r.err
}

// Cut returns what was recorded since the last cut. What did not change is left out; each aspect begins with the value that it
// had at the cut.
func (r *Recorder) Cut() Recording {
	r.mu.Lock()
	defer r.mu.Unlock()
	cut, whole := r.recording.Changed(r.began), r.recording
	r.recording, r.began = Recording{}, Recording{}
	for key, values := range whole {
		name, _, _ := strings.Cut(key, ": ")
		if states := whole[name+": object"]; len(states) > 0 && states[len(states)-1] == "gone" {
			continue
		}
		last := values[len(values)-1]
		r.recording[key], r.began[key] = []string{last}, []string{last}
	}
	return cut
}
