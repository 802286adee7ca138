package app

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// happenings are the events that one run of "kubectl vs events" shows.
type happenings struct {
	namespace string
	// name is empty for all VirtualServers.
	name string
	// current are the UIDs of the VirtualServers that exist, by namespace and name. An earlier one of the name had another.
	current map[types.NamespacedName]types.UID
}

func (s *session) eventsCommand() *cobra.Command {
	var all, follow bool
	command := s.namedOrAll(&cobra.Command{
		Use:     "events [NAME]",
		Short:   "Show what happened to a machine, or to all",
		Example: "  kubectl vs events my-vs --watch\n  kubectl vs events",
	})
	command.Flags().BoolVarP(&all, "all-namespaces", "A", false, "look into all namespaces")
	command.Flags().BoolVarP(&follow, "watch", "w", false, "go on as things happen")
	command.RunE = func(command *cobra.Command, arguments []string) error {
		scope, name, err := s.scope(all, arguments)
		if err != nil {
			return err
		}
		wanted, err := s.happenings(command.Context(), scope, name)
		if err != nil {
			return err
		}
		kube, err := s.kube()
		if err != nil {
			return err
		}
		return s.showEvents(command.Context(), kube, wanted, follow)
	}
	return command
}

// scope is the namespace and the name that the arguments ask for. An empty namespace is all of them, an empty name everything there.
func (s *session) scope(all bool, arguments []string) (namespace, name string, err error) {
	switch {
	case all && len(arguments) > 0:
		return "", "", fmt.Errorf("a VirtualServer cannot be looked up by its name in all namespaces: leave out one of %s and --all-namespaces", arguments[0])
	case all:
		return "", "", nil
	case len(arguments) > 0:
		name = arguments[0]
	}
	namespace, err = s.namespace()
	return namespace, name, err
}

func (s *session) happenings(ctx context.Context, namespace, name string) (*happenings, error) {
	group, err := s.group()
	if err != nil {
		return nil, err
	}
	wanted := &happenings{namespace: namespace, name: name, current: map[types.NamespacedName]types.UID{}}
	note := func(vs *v1beta1.VirtualServer) {
		wanted.current[types.NamespacedName{Namespace: vs.Namespace, Name: vs.Name}] = vs.UID
	}
	if name != "" {
		vs, err := group.VirtualServers(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		note(vs)
		return wanted, nil
	}
	list, err := group.VirtualServers(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for i := range list.Items {
		note(&list.Items[i])
	}
	return wanted, nil
}

// has says whether an event is about a VirtualServer that exists, and not about an earlier one of its name.
func (h *happenings) has(event *corev1.Event) bool {
	about := event.InvolvedObject
	uid, exists := h.current[types.NamespacedName{Namespace: event.Namespace, Name: about.Name}]
	return exists && about.UID == uid
}

// showEvents prints what has happened, oldest first, and then what happens.
func (s *session) showEvents(ctx context.Context, kube kubernetes.Interface, wanted *happenings, follow bool) error {
	selector := fields.Set{"involvedObject.kind": "VirtualServer"}
	if wanted.name != "" {
		selector["involvedObject.name"] = wanted.name
	}
	client := kube.CoreV1().Events(wanted.namespace)
	list, err := client.List(ctx, metav1.ListOptions{FieldSelector: selector.String()})
	if err != nil {
		return err
	}
	seen := slices.DeleteFunc(list.Items, func(event corev1.Event) bool { return !wanted.has(&event) })
	if len(seen) == 0 && !follow {
		_, err := fmt.Fprintln(s.ErrOut, wanted.nothing())
		return err
	}
	if !follow {
		return wanted.write(s.Out, seen, time.Now())
	}
	wanted.sort(seen)
	inColumns(s.Out, wanted.heads())
	for i := range seen {
		inColumns(s.Out, wanted.cells(&seen[i], time.Now()))
	}
	return s.followEvents(ctx, wanted, list.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.FieldSelector = selector.String()
			return client.Watch(ctx, options)
		},
	})
}

// followEvents prints one line for everything that happens, until the context ends.
func (s *session) followEvents(ctx context.Context, wanted *happenings, since string, source cache.WatcherWithContext) error {
	watcher, err := watchtools.NewRetryWatcherWithContext(ctx, since, source)
	if err != nil {
		return err
	}
	defer watcher.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case change, open := <-watcher.ResultChan():
			if !open {
				return ctx.Err()
			}
			switch event := change.Object.(type) {
			case *corev1.Event:
				if change.Type == watch.Deleted || !wanted.has(event) {
					continue
				}
				inColumns(s.Out, wanted.cells(event, time.Now()))
			case *metav1.Status:
				return fmt.Errorf("the events cannot be followed any longer: %s", event.Message)
			}
		}
	}
}

func (h *happenings) nothing() string {
	switch {
	case h.name != "":
		return fmt.Sprintf("No events of %s in %s namespace.", h.name, h.namespace)
	case h.namespace != "":
		return fmt.Sprintf("No events of VirtualServers in %s namespace.", h.namespace)
	}
	return "No events of VirtualServers."
}

// columnWidth is that of a column of lines that are printed as they come: nobody knows how wide the next one is.
const columnWidth = 16

// inColumns prints one line of a table that has no end.
func inColumns(out io.Writer, cells []string) {
	padded := make([]string, len(cells))
	for i, cell := range cells {
		padded[i] = plain(cell)
		if i < len(cells)-1 {
			padded[i] = fmt.Sprintf("%-*s", columnWidth, padded[i])
		}
	}
	fmt.Fprintln(out, strings.Join(padded, "  "))
}

// sort puts the oldest first.
func (h *happenings) sort(events []corev1.Event) {
	slices.SortStableFunc(events, func(a, b corev1.Event) int { return lastSeen(&a).Compare(lastSeen(&b)) })
}

func (h *happenings) heads() []string {
	heads := []string{"LAST SEEN", "TYPE", "REASON", "MESSAGE"}
	if h.name == "" {
		heads = slices.Insert(heads, 3, "NAME")
	}
	if h.namespace == "" {
		heads = slices.Insert(heads, 0, "NAMESPACE")
	}
	return heads
}

// write prints a table.
func (h *happenings) write(out io.Writer, events []corev1.Event, now time.Time) error {
	h.sort(events)
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	line(table, h.heads()...)
	for i := range events {
		line(table, h.cells(&events[i], now)...)
	}
	return table.Flush()
}

func (h *happenings) cells(event *corev1.Event, now time.Time) []string {
	cells := []string{ago(now, lastSeen(event)), event.Type, event.Reason, strings.TrimSpace(event.Message)}
	if h.name == "" {
		cells = slices.Insert(cells, 3, event.InvolvedObject.Name)
	}
	if h.namespace == "" {
		cells = slices.Insert(cells, 0, event.Namespace)
	}
	return cells
}

func lastSeen(event *corev1.Event) time.Time {
	switch {
	case event.Series != nil:
		return event.Series.LastObservedTime.Time
	case !event.LastTimestamp.IsZero():
		return event.LastTimestamp.Time
	case !event.EventTime.IsZero():
		return event.EventTime.Time
	}
	return event.CreationTimestamp.Time
}
