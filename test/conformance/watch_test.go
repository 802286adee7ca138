package conformance

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
)

func watchChecks() []check {
	return []check{
		{name: "watch from a version", run: watchFromVersion},
		{name: "watch with a selector", run: watchWithSelector},
		{name: "watch list", run: watchList},
		{name: "watch from the future and from nonsense", run: func(_ *testing.T, s *Subject) []string {
			_, err := s.client.Watch(s.env.Context, metav1.ListOptions{ResourceVersion: "x"})
			return []string{outcome(err)}
		}},
	}
}

// events reads events, without bookmarks and without modifications, which a controller makes too, until one satisfies last.
func events(t *testing.T, s *Subject, options metav1.ListOptions, act func(), last func(watch.Event) bool) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(s.env.Context, 3*time.Minute)
	defer cancel()
	watcher, err := s.client.Watch(ctx, options)
	require.NoError(t, err)
	defer watcher.Stop()
	act()
	var saw []string
	for event := range watcher.ResultChan() {
		made, ok := event.Object.(*unstructured.Unstructured)
		if !ok || made.GetName() == "kube-root-ca.crt" {
			continue
		}
		text := string(event.Type) + " " + made.GetName()
		if (event.Type == watch.Added || event.Type == watch.Deleted) && (len(saw) == 0 || saw[len(saw)-1] != text) {
			saw = append(saw, text)
		}
		if last(event) {
			return saw
		}
	}
	require.Fail(t, "the watch ended early", "%v", saw)
	return nil
}

func deleted(name string) func(watch.Event) bool {
	return func(event watch.Event) bool {
		made, ok := event.Object.(*unstructured.Unstructured)
		return ok && event.Type == watch.Deleted && made.GetName() == name
	}
}

func watchFromVersion(t *testing.T, s *Subject) []string {
	version := s.create(t, "a")
	return events(t, s, metav1.ListOptions{ResourceVersion: version}, func() {
		_, err := s.client.Patch(s.env.Context, "a", types.MergePatchType, s.mergePatch("two"), metav1.PatchOptions{})
		require.NoError(t, err)
		require.NoError(t, s.client.Delete(s.env.Context, "a", metav1.DeleteOptions{}))
	}, deleted("a"))
}

func watchWithSelector(t *testing.T, s *Subject) []string {
	return events(t, s, metav1.ListOptions{LabelSelector: "color=red"}, func() {
		s.create(t, "blue", labelled("color", "blue"))
		s.create(t, "red", labelled("color", "red"))
		_, err := s.client.Patch(s.env.Context, "red", types.MergePatchType, []byte(`{"metadata":{"labels":{"color":"blue"}}}`), metav1.PatchOptions{})
		require.NoError(t, err)
	}, deleted("red"))
}

func watchList(t *testing.T, s *Subject) []string {
	s.create(t, "a", labelled("color", "red"))
	s.create(t, "b", labelled("color", "red"))
	options := metav1.ListOptions{
		LabelSelector: "color=red", SendInitialEvents: ptr.To(true), AllowWatchBookmarks: true,
		ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	}
	saw := events(t, s, options, func() {}, func(event watch.Event) bool {
		made, ok := event.Object.(*unstructured.Unstructured)
		return ok && event.Type == watch.Bookmark && made.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true"
	})
	return sorted(saw)
}

func discoveryChecks() []check {
	return []check{
		{name: "discovery", run: discover},
		{name: "explain", run: func(t *testing.T, s *Subject) []string {
			text := s.env.MustKubectl("explain", s.Resource.Resource)
			return []string{fmt.Sprint(strings.Contains(text, "KIND:       "+s.Kind), strings.Contains(text, "<empty>"))}
		}},
	}
}

func discover(t *testing.T, s *Subject) []string {
	client, err := discovery.NewDiscoveryClientForConfig(s.env.Config)
	require.NoError(t, err)
	resources, err := client.ServerResourcesForGroupVersion(s.Resource.GroupVersion().String())
	require.NoError(t, err)
	for _, resource := range resources.APIResources {
		if resource.Name == s.Resource.Resource {
			verbs := append([]string(nil), resource.Verbs...)
			return []string{fmt.Sprint(resource.Namespaced), strings.Join(sorted(verbs), ","), fmt.Sprint(resource.StorageVersionHash != "")}
		}
	}
	return nil
}

func (s *Subject) rest() rest.Interface { return s.env.Kube.Discovery().RESTClient() }

func (s *Subject) path() string {
	root := "/api/v1"
	if s.Resource.Group != "" {
		root = "/apis/" + s.Resource.GroupVersion().String()
	}
	return root + "/namespaces/" + s.env.Namespace + "/" + s.Resource.Resource
}

func sorted(list []string) []string {
	sort.Strings(list)
	return list
}
