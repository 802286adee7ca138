package virtualserver

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"tensorstack.dev/virtualserver/pkg/limits"
	"tensorstack.dev/virtualserver/pkg/status"
)

const (
	// maxLookUps bounds how many objects one pass asks for.
	maxLookUps = 20
	// soonAgain and laterAgain are when to look again for what no watch tells: soon at first, so that people read of it within
	// ten seconds, and then at leisure.
	soonAgain, laterAgain = 5 * time.Second, 30 * time.Second
	// soonFor is how long soon lasts.
	soonFor = time.Minute
)

// obstacles are what stands in the way of a machine and stands in none of the objects that the controller watches.
type obstacles struct {
	lookedUp bool
	absences []status.Absence
	events   []status.Obstacle
	// hotplugFails says that a volume which was added to the running guest cannot reach it.
	hotplugFails bool
	shortfalls   []string
	// again is when to look again, or zero.
	again time.Time
}

// lookAround finds out what stands in the way of an import or a start that does not go on. It changes nothing and never fails:
// what cannot be read is not told.
func (p *pass) lookAround(ctx context.Context, now time.Time) {
	if p.vs.DeletionTimestamp != nil {
		return
	}
	if status.NeedsLookUp(p.instance) {
		p.lookUpReferences(ctx, now)
	}
	if status.NeedsEvents(p.volume) {
		p.lookAtImport(ctx, now)
	}
	if status.NeedsHotplugEvents(p.instance) {
		p.found.hotplugFails = status.HotplugFails(p.eventsOf(ctx, p.instance.Name), p.instance, now)
		since := now
		if p.found.hotplugFails {
			since = p.instance.CreationTimestamp.Time
		}
		p.lookSoon(now, since)
	}
}

func (p *pass) lookUpReferences(ctx context.Context, now time.Time) {
	references := status.References(&p.vs.Spec)
	if len(references) > maxLookUps {
		references = references[:maxLookUps]
	}
	p.found.lookedUp = true
	for _, reference := range references {
		absence, err := p.lookUp(ctx, reference)
		if err != nil {
			klog.FromContext(ctx).V(2).Info("Cannot look for what the machine needs", "kind", reference.Kind, "err", err)
			p.found.lookedUp = false
			continue
		}
		if absence != nil {
			p.found.absences = append(p.found.absences, *absence)
		}
	}
	if len(p.found.absences) > 0 {
		p.lookSoon(now, p.instance.CreationTimestamp.Time)
	}
}

// lookUp returns how a reference leads nowhere, or nil.
func (p *pass) lookUp(ctx context.Context, reference status.Reference) (*status.Absence, error) {
	core, namespace := p.clients.Kubernetes.CoreV1(), p.vs.Namespace
	absence := &status.Absence{Reference: reference}
	var err error
	there := true
	switch reference.Kind {
	case status.KindClaim:
		var claim *corev1.PersistentVolumeClaim
		if claim, err = core.PersistentVolumeClaims(namespace).Get(ctx, reference.Name, metav1.GetOptions{}); err == nil {
			there = claim.Status.Phase == corev1.ClaimBound
			absence.Unbound = !there
		}
	case status.KindSecret:
		var secret *corev1.Secret
		if secret, err = core.Secrets(namespace).Get(ctx, reference.Name, metav1.GetOptions{}); err == nil {
			there = reference.HasKey(secret.Data)
			absence.NoKey = !there
		}
	case status.KindConfigMap:
		_, err = core.ConfigMaps(namespace).Get(ctx, reference.Name, metav1.GetOptions{})
	case status.KindServiceAccount:
		_, err = core.ServiceAccounts(namespace).Get(ctx, reference.Name, metav1.GetOptions{})
	}
	switch {
	case apierrors.IsNotFound(err):
		return absence, nil
	case err != nil:
		return nil, err
	case there:
		return nil, nil
	default:
		return absence, nil
	}
}

func (p *pass) lookAtImport(ctx context.Context, now time.Time) {
	objects := []metav1.Object{p.volume}
	events := p.eventsOf(ctx, p.name())
	if p.claim != nil {
		objects = append(objects, p.claim)
		// CDI fills a claim of its own first, and that is the one for which no volume is made.
		helper := &metav1.ObjectMeta{Name: primePrefix + string(p.claim.UID)}
		objects = append(objects, helper)
		events = append(events, p.eventsOf(ctx, helper.Name)...)
	}
	if pod := p.caches.importerPod(p.vs.Namespace, p.name(), p.claim); pod != nil && pod.Status.Phase == corev1.PodPending {
		objects = append(objects, pod)
		events = append(events, p.eventsOf(ctx, pod.Name)...)
	}
	p.found.events = status.ObstaclesOf(events, now, objects...)
	p.found.shortfalls = p.shortfalls(ctx)
	p.lookSoon(now, p.volume.CreationTimestamp.Time)
}

// shortfalls compares what is left of the import with the quotas and LimitRanges of the namespace.
func (p *pass) shortfalls(ctx context.Context) []string {
	core, logger := p.clients.Kubernetes.CoreV1(), klog.FromContext(ctx)
	var quotas []*corev1.ResourceQuota
	if list, err := core.ResourceQuotas(p.vs.Namespace).List(ctx, metav1.ListOptions{}); err == nil {
		for i := range list.Items {
			quotas = append(quotas, &list.Items[i])
		}
	} else {
		logger.V(2).Info("Cannot read quotas", "err", err)
	}
	var ranges []*corev1.LimitRange
	if list, err := core.LimitRanges(p.vs.Namespace).List(ctx, metav1.ListOptions{}); err == nil {
		for i := range list.Items {
			ranges = append(ranges, &list.Items[i])
		}
	} else {
		logger.V(2).Info("Cannot read LimitRanges", "err", err)
	}
	root := &p.vs.Spec.Storage.Root
	scratch := root.Source.PVC == nil && root.Source.Snapshot == nil && root.Source.Blank == nil
	importer, err := p.clients.KubeVirt.ImporterResources(ctx)
	if err != nil {
		logger.V(2).Info("Cannot read the configuration of CDI", "err", err)
		importer = limits.Importer()
	}
	if p.claim == nil {
		return limits.Shortfalls(limits.Import(root.PVC.Size, scratch, importer), quotas, ranges)
	}
	return limits.Shortfalls(limits.Remaining(root.PVC.Size, scratch, importer), quotas, ranges)
}

// lookSoon asks for another look at what no watch tells.
func (p *pass) lookSoon(now, since time.Time) {
	delay := laterAgain
	if now.Sub(since) < soonFor {
		delay = soonAgain
	}
	if next := now.Add(delay); p.found.again.IsZero() || next.Before(p.found.again) {
		p.found.again = next
	}
}

// note puts what was found into what the status is derived from.
func (o *obstacles) note(observed *status.Observed) {
	observed.LookedUp, observed.Absences = o.lookedUp, o.absences
	observed.Obstacles, observed.Shortfalls, observed.HotplugFails = o.events, o.shortfalls, o.hotplugFails
}
