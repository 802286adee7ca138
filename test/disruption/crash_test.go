// Package disruption holds the tests that everybody on a control plane would notice. They run alone, one after another.
package disruption

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/generated/informers"
	"tensorstack.dev/virtualserver/test/controlplane"
	"tensorstack.dev/virtualserver/test/framework"
)

// crashes is how often the product is killed under a client.
const crashes = 2

func halted(name string) *v1beta1.VirtualServer {
	return framework.Minimal(name, framework.WithStrategy(v1beta1.RunStrategyHalted))
}

// crash kills the product with its store, as a failing machine would, and waits until it serves again.
func crash(e *framework.Environment) {
	e.T.Helper()
	require.NoError(e.T, e.Plane.Kill(e.Context, controlplane.Product))
	require.NoError(e.T, e.Plane.StartComponent(e.Context, controlplane.Product))
	e.Eventually("the product is reached through kube-apiserver", func() error {
		_, err := e.Client().List(e.Context, metav1.ListOptions{})
		return err
	})
}

// writer creates VirtualServers one after another until it is stopped, and remembers which were acknowledged.
type writer struct {
	acknowledged []string
	done         chan struct{}
	stop         context.CancelFunc
}

func startWriter(e *framework.Environment, prefix string) *writer {
	ctx, stop := context.WithCancel(e.Context)
	w := &writer{done: make(chan struct{}), stop: stop}
	go func() {
		defer close(w.done)
		for number := 0; ctx.Err() == nil; number++ {
			name := fmt.Sprintf("%s-%d", prefix, number)
			if _, err := e.Client().Create(ctx, halted(name), metav1.CreateOptions{}); err == nil {
				w.acknowledged = append(w.acknowledged, name)
			}
		}
	}()
	return w
}

// finish ends the writer and returns what was acknowledged.
func (w *writer) finish() []string {
	w.stop()
	<-w.done
	return w.acknowledged
}

// The informers of other people's controllers begin with a list in a watch, and must be right again after each crash.
// What was acknowledged before a crash is there after it: the store is in the process that was killed.
func TestInformersSurviveACrash(t *testing.T) {
	e := framework.New(t)
	for _, name := range []string{"stays", "changes", "goes"} {
		e.Create(halted(name))
	}
	ctx, cancel := context.WithCancel(e.Context)
	factory := informers.NewSharedInformerFactoryWithOptions(e.VirtualServers, 0, informers.WithNamespace(e.Namespace))
	informer := factory.Tensorstack().V1beta1().VirtualServers()
	informer.Informer()
	factory.StartWithContext(ctx)
	defer func() {
		cancel()
		factory.Shutdown()
	}()
	limited, done := context.WithTimeout(ctx, framework.DefaultTimeout)
	defer done()
	require.NoError(t, factory.WaitForCacheSyncWithContext(limited).AsError())
	listed := func() map[string]string {
		found, err := informer.Lister().VirtualServers(e.Namespace).List(labels.Everything())
		require.NoError(t, err)
		return versions(found)
	}
	require.Contains(t, listed(), "goes")

	var acknowledged []string
	for number := range crashes {
		writer := startWriter(e, fmt.Sprintf("storm%d", number))
		e.Eventually("the writer writes", func() error {
			list, err := e.Client().List(e.Context, metav1.ListOptions{})
			if err == nil && len(list.Items) < 3+len(acknowledged)+2 {
				return errors.New("not yet")
			}
			return err
		})
		require.NoError(t, e.Plane.Kill(e.Context, controlplane.Product))
		acknowledged = append(acknowledged, writer.finish()...)
		assert.Contains(t, listed(), "stays", "a client keeps what it knows while the server is away")
		require.NoError(t, e.Plane.StartComponent(e.Context, controlplane.Product))
	}
	e.Eventually("the product is reached through kube-apiserver", func() error {
		_, err := e.Client().Patch(e.Context, "changes", types.MergePatchType, []byte(`{"metadata":{"labels":{"after":"crash"}}}`), metav1.PatchOptions{})
		return err
	})
	require.NoError(t, e.Client().Delete(e.Context, "goes", metav1.DeleteOptions{}))
	e.Create(halted("comes"))
	e.Within(3*time.Minute, "the informer has what the server has", func() error {
		list, err := e.Client().List(e.Context, metav1.ListOptions{})
		if err != nil {
			return err
		}
		var items []*v1beta1.VirtualServer
		for i := range list.Items {
			items = append(items, &list.Items[i])
		}
		want, got := versions(items), listed()
		if _, there := want["goes"]; there {
			return errors.New("the deleted one is still going")
		}
		if !assert.ObjectsAreEqual(want, got) {
			return fmt.Errorf("the server has %v, the informer %v", want, got)
		}
		return nil
	})
	final := listed()
	for _, name := range append(acknowledged, "stays", "changes", "comes") {
		assert.Contains(t, final, name, "acknowledged and lost")
	}
	changed, err := informer.Lister().VirtualServers(e.Namespace).Get("changes")
	require.NoError(t, err)
	assert.Equal(t, "crash", changed.Labels["after"])
}

// versions is what a list holds: names and resource versions.
func versions(items []*v1beta1.VirtualServer) map[string]string {
	found := map[string]string{}
	for _, item := range items {
		found[item.Name] = item.ResourceVersion
	}
	return found
}

// A watch that begins with the list works on a server whose cache has just been filled, and ends its list with a bookmark
// from which a client can go on.
func TestWatchThatBeginsWithTheListAfterACrash(t *testing.T) {
	e := framework.New(t)
	for _, name := range []string{"a", "b", "c"} {
		e.Create(halted(name))
	}
	crash(e)
	options := metav1.ListOptions{SendInitialEvents: ptr.To(true), AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan}
	watcher, err := e.Client().Watch(e.Context, options)
	require.NoError(t, err)
	defer watcher.Stop()
	names, bookmark := initialEvents(e.Context, t, watcher)
	assert.Equal(t, []string{"a", "b", "c"}, names)
	require.NotEmpty(t, bookmark)
	watcher.Stop()

	require.NoError(t, e.Client().Delete(e.Context, "b", metav1.DeleteOptions{}))
	resumed, err := e.Client().Watch(e.Context, metav1.ListOptions{ResourceVersion: bookmark, AllowWatchBookmarks: true})
	require.NoError(t, err)
	defer resumed.Stop()
	e.Eventually("the deletion is seen from the bookmark on", func() error {
		select {
		case event, open := <-resumed.ResultChan():
			require.True(t, open, "the watch ended")
			vs, ok := event.Object.(*v1beta1.VirtualServer)
			require.True(t, ok, "%v", event)
			assert.NotEqual(t, watch.Added, event.Type, "%s was in the list already", vs.Name)
			if event.Type == watch.Deleted && vs.Name == "b" {
				return nil
			}
			return errors.New("another event")
		default:
			return errors.New("no event")
		}
	})
	_, err = e.Client().Get(e.Context, "b", metav1.GetOptions{})
	assert.True(t, apierrors.IsNotFound(err), "%v", err)
}

// initialEvents reads the list that a watch begins with, and the resource version of the bookmark at its end.
func initialEvents(ctx context.Context, t *testing.T, watcher watch.Interface) (names []string, bookmark string) {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, framework.DefaultTimeout)
	defer cancel()
	for {
		select {
		case event, open := <-watcher.ResultChan():
			require.True(t, open, "the watch ended")
			vs, ok := event.Object.(*v1beta1.VirtualServer)
			require.True(t, ok, "%v", event)
			if event.Type == watch.Bookmark {
				if vs.Annotations[metav1.InitialEventsAnnotationKey] == "true" {
					slices.Sort(names)
					return names, vs.ResourceVersion
				}
				continue
			}
			if event.Type == watch.Added {
				names = append(names, vs.Name)
			}
		case <-limited.Done():
			require.Fail(t, "no bookmark", "so far: %v", names)
		}
	}
}
