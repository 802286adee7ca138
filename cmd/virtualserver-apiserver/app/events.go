package app

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/tools/record"
)

// events records events on objects. It outlives the signal that stops the server: the ends of streams are told after it.
type events struct {
	broadcaster record.EventBroadcaster
	recorder    record.EventRecorder
	sink        *markedSink
}

// newEvents starts to write events to a sink, until shutdown.
func newEvents(ctx context.Context, sink record.EventSink) *events {
	e := &events{
		broadcaster: record.NewBroadcaster(record.WithContext(context.WithoutCancel(ctx))),
		sink:        &markedSink{EventSink: sink, mark: uuid.NewUUID(), reached: make(chan struct{}, 1)},
	}
	e.broadcaster.StartRecordingToSink(e.sink)
	e.recorder = e.broadcaster.NewRecorder(runtime.NewScheme(), corev1.EventSource{Component: "virtualserver-apiserver"})
	return e
}

// shutdown writes what is queued, for as long as the context allows, and ends. The broadcaster's own end drops the queue.
func (e *events) shutdown(ctx context.Context) {
	defer e.broadcaster.Shutdown()
	e.recorder.Event(&corev1.ObjectReference{UID: e.sink.mark}, corev1.EventTypeNormal, "Mark", "")
	select {
	case <-e.sink.reached:
	case <-ctx.Done():
	}
}

// markedSink passes events on. They come one after another, so when a mark comes all before it are written. The mark itself
// is not.
type markedSink struct {
	record.EventSink
	mark    types.UID
	reached chan struct{}
}

// Create implements record.EventSink.
func (s *markedSink) Create(event *corev1.Event) (*corev1.Event, error) {
	if event.InvolvedObject.UID != s.mark {
		return s.EventSink.Create(event)
	}
	select {
	case s.reached <- struct{}{}:
	default:
	}
	return event, nil
}
