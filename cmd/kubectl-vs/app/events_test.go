package app

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func identified(namespace, name string, uid types.UID) func(*v1beta1.VirtualServer) {
	return func(vs *v1beta1.VirtualServer) { vs.Namespace, vs.Name, vs.UID = namespace, name, uid }
}

func happened(namespace, name string, uid types.UID, reason string, second int) corev1.Event {
	return corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: namespace, Name: name + reason},
		InvolvedObject: corev1.ObjectReference{Kind: "VirtualServer", Namespace: namespace, Name: name, UID: uid},
		Type:           corev1.EventTypeNormal, Reason: reason, Message: "it " + reason, LastTimestamp: at(second),
	}
}

// Only what happened to the machines that exist is shown, and to whom where there are several.
func TestEventsAreThoseOfThisIncarnation(t *testing.T) {
	here := newCluster(t, machine(identified("team", "a", "a-2")), machine(identified("team", "b", "b-1")), machine(identified("other", "a", "o-1")))
	here.events = []corev1.Event{
		happened("team", "a", "a-1", "StartedBefore", 1), happened("team", "a", "a-2", "Later", 9), happened("team", "a", "a-2", "Created", 5),
		happened("team", "b", "b-1", "Stopped", 7), happened("team", "gone", "g-1", "Deleted", 3), happened("other", "a", "o-1", "Elsewhere", 6),
		happened("team", "a", "", "Nobodys", 8),
	}
	for name, test := range map[string]struct {
		arguments []string
		want      string
	}{
		"one":                  {[]string{"events", "a"}, "LAST SEEN TYPE REASON MESSAGE|Normal Created it Created|Normal Later it Later"},
		"one elsewhere":        {[]string{"events", "a", "-n", "other"}, "LAST SEEN TYPE REASON MESSAGE|Normal Elsewhere it Elsewhere"},
		"all of the namespace": {[]string{"events"}, "LAST SEEN TYPE REASON NAME MESSAGE|Normal Created a it Created|Normal Stopped b it Stopped|Normal Later a it Later"},
		"all": {[]string{"events", "-A"}, "NAMESPACE LAST SEEN TYPE REASON NAME MESSAGE|team Normal Created a it Created|other Normal Elsewhere a it Elsewhere|" +
			"team Normal Stopped b it Stopped|team Normal Later a it Later"},
		"none": {[]string{"events", "-n", "empty"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := here.runs(t, nil, test.arguments...)
			require.Zero(t, got.code, got.err)
			var lines []string
			for i, text := range strings.Split(strings.TrimSpace(got.out), "\n") {
				fields := strings.Fields(text)
				if i > 0 { // The age depends on the day of the test.
					at := 0
					if fields[0] == "team" || fields[0] == "other" {
						at = 1
					}
					fields = append(fields[:at:at], fields[at+1:]...)
				}
				lines = append(lines, strings.Join(fields, " "))
			}
			assert.Equal(t, test.want, strings.Join(lines, "|"))
		})
	}
	got := here.runs(t, nil, "events", "-n", "empty")
	assert.Equal(t, outcome{err: "No events of VirtualServers in empty namespace.\n"}, got)
	got = here.runs(t, nil, "events", "-A", "a")
	assert.Contains(t, got.err, "cannot be looked up by its name in all namespaces")
}

// What happens to another machine of the name, before or after, is no news of this one.
func TestEventsAreFollowed(t *testing.T) {
	kube := fake.NewClientset()
	source := watch.NewFake()
	kube.PrependWatchReactor("events", clienttesting.DefaultWatchReactor(source, nil))
	kube.PrependReactor("list", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
		first := happened("team", "a", "a-2", "Created", 1)
		return true, &corev1.EventList{ListMeta: metav1.ListMeta{ResourceVersion: "7"}, Items: []corev1.Event{first}}, nil
	})
	s := newSession(discard())
	out := &lockedBuffer{}
	s.Out = out
	wanted := &happenings{namespace: "team", name: "a", current: map[types.NamespacedName]types.UID{{Namespace: "team", Name: "a"}: "a-2"}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.showEvents(ctx, kube, wanted, true) }()
	for i, event := range []corev1.Event{
		happened("team", "a", "a-1", "Old", 2), happened("team", "a", "a-2", "Started", 3), happened("team", "a", "a-3", "New", 4), happened("team", "a", "a-2", "Stopped", 5),
	} {
		event.ResourceVersion = string(rune('8' + i))
		source.Add(&event)
	}
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "Stopped") }, 10*time.Second, 10*time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
	assert.NotContains(t, out.String(), "Old")
	assert.NotContains(t, out.String(), "New")
	assert.Regexp(t, `(?s)Created.*Started.*Stopped`, out.String())
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for i, reason := range []string{"REASON", "Created", "Started", "Stopped"} {
		assert.Equal(t, strings.Index(lines[0], "REASON"), strings.Index(lines[i], reason), "what comes later stands in the same columns")
	}
}

func TestStatusOfAll(t *testing.T) {
	here := newCluster(t, machine(identified("team", "a", "a-1")), machine(identified("other", "b", "b-1"), is(v1beta1.StatusStopped, "")))
	for name, test := range map[string]struct {
		arguments []string
		out, err  string
	}{
		"the namespace":    {[]string{"status"}, "NAME   STATUS\na      Running\n", ""},
		"another one":      {[]string{"status", "-n", "other"}, "NAME   STATUS\nb      Stopped\n", ""},
		"an empty one":     {[]string{"status", "-n", "empty"}, "", "No resources found in empty namespace.\n"},
		"another format":   {[]string{"status", "-o", "name"}, "virtualserver.tensorstack.dev/a\n", ""},
		"one by its name":  {[]string{"status", "a", "-o", "name"}, "virtualserver.tensorstack.dev/a\n", ""},
		"a JSON path":      {[]string{"status", "-A", "-o", "jsonpath={.kind} {.items[*].kind}"}, "VirtualServerList VirtualServer VirtualServer", ""},
		"an empty cluster": {[]string{"status", "-A", "--context", "far"}, "", "No resources found\n"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, outcome{out: test.out, err: test.err}, here.runs(t, newCluster(t), test.arguments...))
		})
	}
	all := here.runs(t, nil, "status", "--all-namespaces").out
	assert.Regexp(t, `(?s)^NAMESPACE +NAME +STATUS\n.*other +b +Stopped\n`, all)
	assert.Regexp(t, `(?m)^team +a +Running$`, all)
}
