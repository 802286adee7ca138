package held

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/etcd"
	"tensorstack.dev/virtualserver/pkg/registry/tensorstack/virtualserver"
)

// retryAfterSeconds is when a client should try again after kube-apiserver or etcd did not answer.
const retryAfterSeconds = 2

// Restore gives a held VirtualServer back: it returns, under its name and with its UID, to the namespace that has the name
// now, and belongs to that from then on. Whether that namespace is the right one is for the administrator to say who asks
// for it. Errors are for people.
func (k *Keeper) Restore(ctx context.Context, uid string) (*tensorstack.VirtualServer, error) {
	for range maxRounds {
		held, err := one[*tensorstack.HeldVirtualServer](ctx, k.Store, k.Store.heldKey(types.UID(uid)))
		if err != nil {
			return nil, unavailable(ctx, uid, err, "etcd does not answer")
		}
		if held == nil {
			return nil, apierrors.NewNotFound(tensorstack.Resource("heldvirtualservers"), uid)
		}
		server, err := k.returning(ctx, uid, &held.object.VirtualServer)
		if err != nil {
			return nil, err
		}
		belongs, err := k.Guard.Belongs(ctx)
		var foreign *etcd.MismatchError
		if errors.As(err, &foreign) {
			return nil, conflict(uid, foreign.Error())
		}
		if err != nil {
			return nil, unavailable(ctx, uid, err, "it cannot be seen whether the store is of this cluster")
		}
		done, err := k.Store.giveBack(ctx, belongs, held, server)
		switch {
		case errors.Is(err, errTaken):
			return nil, conflict(uid, fmt.Sprintf("namespace %s has a VirtualServer %s already; delete that one first, or this "+
				"one with \"kubectl delete heldvirtualserver %s\"", server.Namespace, server.Name, uid))
		case err != nil:
			return nil, unavailable(ctx, uid, err, "etcd does not answer")
		case done:
			klog.FromContext(ctx).Info("A held VirtualServer was given back", "virtualServer", klog.KObj(server), "uid", uid)
			return server, nil
		}
	}
	return nil, conflict(uid, "it changes too fast; try again")
}

// returning is the VirtualServer as it returns. An operation that was pending when its namespace went is not carried out:
// whoever asked for it has long given up.
func (k *Keeper) returning(ctx context.Context, uid string, held *tensorstack.VirtualServer) (*tensorstack.VirtualServer, error) {
	namespace, err := k.Kubernetes.CoreV1().Namespaces().Get(ctx, held.Namespace, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, conflict(uid, fmt.Sprintf("there is no namespace %s; create or restore it first", held.Namespace))
	case err != nil:
		return nil, unavailable(ctx, uid, err, "namespace "+held.Namespace+" cannot be read")
	case namespace.DeletionTimestamp != nil || namespace.Status.Phase == corev1.NamespaceTerminating:
		return nil, conflict(uid, fmt.Sprintf("namespace %s is being deleted", held.Namespace))
	}
	server := held.DeepCopy()
	server.ResourceVersion = ""
	server.Status.NamespaceUID = namespace.UID
	virtualserver.Supersede(&server.Status, k.Clock.Now(), "The namespace was deleted, and the VirtualServer was held.")
	return server, nil
}

func conflict(uid, message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusConflict, Reason: metav1.StatusReasonConflict,
		Message: fmt.Sprintf("held VirtualServer %q is not given back: %s", uid, message),
		Details: &metav1.StatusDetails{Group: tensorstack.GroupName, Kind: "heldvirtualservers", Name: uid},
	}}
}

func unavailable(ctx context.Context, uid string, err error, what string) error {
	klog.FromContext(ctx).Error(err, "Cannot give a held VirtualServer back", "uid", uid)
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusServiceUnavailable, Reason: metav1.StatusReasonServiceUnavailable,
		Message: fmt.Sprintf("held VirtualServer %q is not given back: %s; try again", uid, what),
		Details: &metav1.StatusDetails{
			Group: tensorstack.GroupName, Kind: "heldvirtualservers", Name: uid, RetryAfterSeconds: retryAfterSeconds,
		},
	}}
}
