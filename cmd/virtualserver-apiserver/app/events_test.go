package app

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// slowSink writes an event when it may.
type slowSink struct {
	may     chan struct{}
	written chan string
}

func (s *slowSink) Create(event *corev1.Event) (*corev1.Event, error) {
	<-s.may
	s.written <- event.Message
	return event, nil
}

func (s *slowSink) Update(event *corev1.Event) (*corev1.Event, error) { return event, nil }

func (s *slowSink) Patch(event *corev1.Event, _ []byte) (*corev1.Event, error) { return event, nil }

func TestEventsOfAShutdownAreWritten(t *testing.T) {
	const many = 20
	sink := &slowSink{may: make(chan struct{}), written: make(chan string, many+1)}
	signal, stop := context.WithCancel(t.Context())
	recorded := newEvents(signal, sink)
	stop()
	for i := range many {
		recorded.recorder.Event(&corev1.ObjectReference{Namespace: "ns", UID: types.UID(fmt.Sprint(i))}, corev1.EventTypeNormal, "ConsoleClosed", fmt.Sprint(i))
	}
	close(sink.may)
	limit, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	recorded.shutdown(limit)
	assert.NoError(t, limit.Err(), "it ends when all is written")
	assert.Len(t, sink.written, many, "all of them, and nothing else")
}

func TestTheEndOfEventsIsBounded(t *testing.T) {
	sink := &slowSink{may: make(chan struct{}), written: make(chan string, 1)}
	recorded := newEvents(t.Context(), sink)
	recorded.recorder.Event(&corev1.ObjectReference{Namespace: "ns", UID: "u"}, corev1.EventTypeNormal, "ConsoleClosed", "")
	limit, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	ended := make(chan struct{})
	go func() { defer close(ended); recorded.shutdown(limit) }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("a sink that hangs keeps the server from ending")
	}
	close(sink.may)
}
