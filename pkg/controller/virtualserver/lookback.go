package virtualserver

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/klog/v2"

	"tensorstack.dev/virtualserver/pkg/status"
)

// lookBack makes sure that an instance which seems to have shut down by itself has not been evicted. The cache of pods may be
// late, and no controller may have looked: a drain takes the node of a machine and that of this process together.
func (p *pass) lookBack(ctx context.Context, now time.Time) {
	observed := p.observe(now)
	missed := status.MissedEnd(observed)
	if missed == "" {
		return
	}
	if pod := observed.LauncherPod; pod != nil && !observed.LauncherPodGone && observed.Instance != nil {
		live, err := p.clients.Kubernetes.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		if err == nil && live.UID == pod.UID {
			p.launcher = live
			return
		}
	}
	node := p.vs.Status.Node
	failure := status.EndOf(missed, node, p.caches.node(node), p.eventsOf(ctx, p.name()), metav1.NewTime(now))
	if failure != nil {
		p.failures.remember(p.key(), failure)
	}
}

// eventsOf returns the events of all objects of that name. None is returned if they cannot be read: they only tell more.
func (p *pass) eventsOf(ctx context.Context, name string) []corev1.Event {
	selector := fields.OneTermEqualSelector("involvedObject.name", name).String()
	list, err := p.clients.Kubernetes.CoreV1().Events(p.vs.Namespace).List(ctx, metav1.ListOptions{FieldSelector: selector})
	if err != nil {
		klog.FromContext(ctx).V(2).Info("Cannot read events", "err", err)
		return nil
	}
	return list.Items
}
