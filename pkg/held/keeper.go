package held

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/etcd"
	"tensorstack.dev/virtualserver/pkg/home"
)

// maxRounds is how often a namespace is looked at again at once because its VirtualServers were written meanwhile.
const maxRounds = 10

// Keeper takes VirtualServers out of namespaces that they do not belong to. Any number of them may run on one store.
type Keeper struct {
	// Store is where the VirtualServers are.
	Store *Store
	// Guard knows whether the store is of this cluster. The Keeper needs one of its own.
	Guard *etcd.Guard
	// Kubernetes is kube-apiserver. Namespaces are read from there and from no cache.
	Kubernetes kubernetes.Interface
	// Retention is how long VirtualServers are held before they are deleted for good.
	Retention time.Duration
	// Clock is the time.
	Clock clock.PassiveClock
	// Metrics count what is held.
	Metrics *Metrics
}

// resident is what is remembered of a VirtualServer between the look at it and the look at its namespace.
type resident struct {
	key       string
	uid       types.UID
	namespace string
	server    home.Server
}

// leftError says that single VirtualServers could not be dealt with, while all others were.
type leftError struct{ error }

// Unwrap returns what was wrong.
func (e leftError) Unwrap() error { return e.error }

// Sweep looks at all VirtualServers in the store and holds those whose namespace is gone. The error is a
// *etcd.MismatchError if the store is of another cluster: nothing has been changed then.
func (k *Keeper) Sweep(ctx context.Context) error { return k.sweep(ctx, "") }

// sweep looks at the VirtualServers of one namespace, or at all of them if it is empty.
func (k *Keeper) sweep(ctx context.Context, namespace string) error {
	for range maxRounds {
		settled, err := k.round(ctx, namespace)
		if settled || err != nil {
			return err
		}
	}
	return errors.New("VirtualServers change too fast to see whose they are")
}

// round looks once. It returns false if something changed under its hands.
func (k *Keeper) round(ctx context.Context, namespace string) (settled bool, err error) {
	residents, err := k.residents(ctx, namespace)
	if err != nil || len(residents) == 0 {
		return err == nil, err
	}
	// The order matters, see home.Decide: first the VirtualServers, then the namespaces.
	namespaces, err := k.namespaces(ctx, namespace)
	if err != nil {
		return false, err
	}
	belongs, err := k.Guard.Belongs(ctx)
	var foreign *etcd.MismatchError
	if err != nil && !errors.As(err, &foreign) {
		return false, err
	}
	settled = true
	var failures []error
	for _, r := range residents {
		present := namespaces[r.namespace]
		verdict, reason := home.Decide(foreign == nil, r.server, present)
		done, err := k.carryOut(ctx, belongs, r, verdict, reason, present.UID)
		if err != nil {
			failures = append(failures, fmt.Errorf("VirtualServer %s: %w", r.key, err))
			continue
		}
		settled = settled && done
	}
	if foreign != nil {
		return true, foreign
	}
	if len(failures) > 0 {
		return false, leftError{errors.Join(failures...)}
	}
	return settled, nil
}

func (k *Keeper) residents(ctx context.Context, namespace string) ([]resident, error) {
	var residents []resident
	err := each(ctx, k.Store, k.Store.below(namespace), func(found stored[*tensorstack.VirtualServer]) {
		residents = append(residents, resident{
			key: found.key, uid: found.object.UID, namespace: found.object.Namespace, server: serverOf(found.object),
		})
	})
	return residents, err
}

func serverOf(vs *tensorstack.VirtualServer) home.Server {
	return home.Server{NamespaceUID: vs.Status.NamespaceUID, Created: vs.CreationTimestamp.Time}
}

// namespaces reads one namespace, or all if the name is empty. A list without a resourceVersion is as live as a get.
func (k *Keeper) namespaces(ctx context.Context, name string) (map[string]home.Namespace, error) {
	found := map[string]home.Namespace{}
	client := k.Kubernetes.CoreV1().Namespaces()
	if name != "" {
		one, err := client.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return found, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read namespace %s: %w", name, err)
		}
		found[name] = home.Namespace{UID: one.UID, Created: one.CreationTimestamp.Time}
		return found, nil
	}
	options := metav1.ListOptions{Limit: pageSize}
	for {
		page, err := client.List(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("list namespaces: %w", err)
		}
		for i := range page.Items {
			one := &page.Items[i]
			found[one.Name] = home.Namespace{UID: one.UID, Created: one.CreationTimestamp.Time}
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return found, nil
		}
	}
}

// carryOut does what was decided about a VirtualServer. It returns false if that is another one by now.
func (k *Keeper) carryOut(ctx context.Context, belongs clientv3.Cmp, r resident, verdict home.Verdict, reason home.Reason,
	namespace types.UID) (bool, error) {
	if verdict != home.Stamp && verdict != home.Hold {
		return true, nil
	}
	current, err := one[*tensorstack.VirtualServer](ctx, k.Store, r.key)
	if err != nil {
		return false, err
	}
	if current == nil || current.object.UID != r.uid || current.object.Status.NamespaceUID != r.server.NamespaceUID {
		return false, nil
	}
	logger := klog.FromContext(ctx).WithValues("virtualServer", klog.KObj(current.object), "uid", r.uid)
	if verdict == home.Stamp {
		done, err := k.Store.stamp(ctx, belongs, current, namespace)
		if done {
			logger.V(2).Info("The namespace that a VirtualServer belongs to was written down", "namespaceUID", namespace)
		}
		return done, err
	}
	done, err := k.Store.hold(ctx, belongs, current, &tensorstack.HeldVirtualServer{
		ObjectMeta: metav1.ObjectMeta{UID: uuid.NewUUID(), CreationTimestamp: metav1.NewTime(k.Clock.Now())},
		Reason:     tensorstack.HeldReason(reason),
	})
	if done {
		k.Metrics.moved(reason)
		logger.Info("A VirtualServer was taken out of a namespace that it does not belong to, and is held",
			"reason", reason, "belongsTo", r.server.NamespaceUID, "namespaceUID", namespace, "for", k.Retention)
	}
	return done, err
}

// ExpiresAt returns when a VirtualServer that is held since then is deleted for good.
func (k *Keeper) ExpiresAt(since metav1.Time) metav1.Time {
	return metav1.NewTime(since.Add(k.Retention))
}

// upkeep deletes what was held for long enough, encrypts anew what is encrypted with an older key, and counts the rest.
func (k *Keeper) upkeep(ctx context.Context) error {
	var all []stored[*tensorstack.HeldVirtualServer]
	if err := each(ctx, k.Store, k.Store.held, func(found stored[*tensorstack.HeldVirtualServer]) {
		all = append(all, found)
	}); err != nil {
		return err
	}
	var failures []error
	left, first := 0, time.Time{}
	for i := range all {
		held := &all[i]
		expires := k.ExpiresAt(held.object.CreationTimestamp).Time
		if !k.Clock.Now().Before(expires) {
			done, err := k.Store.remove(ctx, held)
			failures = append(failures, err)
			if done {
				klog.FromContext(ctx).Info("A VirtualServer was held for long enough and is deleted",
					"virtualServer", klog.KObj(&held.object.VirtualServer), "uid", held.object.Name, "since", held.object.CreationTimestamp)
				continue
			}
		} else if held.outdated {
			failures = append(failures, k.Store.renew(ctx, held))
		}
		left++
		if first.IsZero() || expires.Before(first) {
			first = expires
		}
	}
	k.Metrics.set(left, first)
	return errors.Join(failures...)
}
