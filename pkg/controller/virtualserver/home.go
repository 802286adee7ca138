package virtualserver

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"tensorstack.dev/virtualserver/pkg/home"
)

// errNotAtHome ends a pass over a VirtualServer that does not belong to the namespace which has the name now. Nothing in
// that namespace is touched, and the VirtualServer is not written: the API server takes it out of there.
var errNotAtHome = errors.New("the VirtualServer belongs to another namespace of the same name")

// notAtHomeDelay is how long a pass after errNotAtHome waits. Most often the VirtualServer is gone before.
const notAtHomeDelay = 5 * time.Second

// enterHome checks at the beginning of a pass, from the cache if that is enough, that the VirtualServer is in the namespace
// that it belongs to.
func (p *pass) enterHome(ctx context.Context) error {
	seen := p.caches.namespace(p.vs.Namespace)
	if seen != nil && home.AtHome(p.vs.Status.NamespaceUID, seen.UID) {
		return nil
	}
	return p.confirmHome(ctx)
}

// confirmHome asks kube-apiserver the same, once in a pass. It comes before everything that would work in a later namespace
// as well: to create an object, and to ask KubeVirt for something by name. The cache may be behind by as much as it takes to
// delete a namespace and make another. Other writes carry the UID of the object that they are for.
func (p *pass) confirmHome(ctx context.Context) error {
	if p.confirmed {
		return nil
	}
	namespace, err := p.clients.Kubernetes.CoreV1().Namespaces().Get(ctx, p.vs.Namespace, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("read namespace %s: %w", p.vs.Namespace, err)
	}
	if err != nil || !home.AtHome(p.vs.Status.NamespaceUID, namespace.UID) {
		klog.FromContext(ctx).Info("Nothing is done for a VirtualServer that belongs to another namespace of the name",
			"belongsTo", p.vs.Status.NamespaceUID)
		return errNotAtHome
	}
	p.confirmed = true
	return nil
}
