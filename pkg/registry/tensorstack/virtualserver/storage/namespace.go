package storage

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/klog/v2"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// NamespaceReader reads namespaces.
type NamespaceReader interface {
	// NamespaceUID returns the UID of the namespace as it is now, not from a cache: that may still hold an earlier namespace of
	// the name. A namespace that does not exist is an API error NotFound; any other error means that it cannot be known now.
	NamespaceUID(ctx context.Context, name string) (types.UID, error)
}

// belongTo writes into each new VirtualServer which namespace it belongs to, whatever the user sent there. Every way to
// create one goes through it: POST, server-side apply, and dry runs of both.
func belongTo(namespaces NamespaceReader) genericregistry.BeginCreateFunc {
	return func(ctx context.Context, obj runtime.Object, _ *metav1.CreateOptions) (genericregistry.FinishFunc, error) {
		vs := obj.(*tensorstack.VirtualServer)
		vs.Status.NamespaceUID = ""
		uid, err := namespaces.NamespaceUID(ctx, genericapirequest.NamespaceValue(ctx))
		if err == nil && uid == "" {
			err = errors.New("it has no UID")
		}
		if err != nil {
			return nil, namespaceError(ctx, vs.Name, err)
		}
		vs.Status.NamespaceUID = uid
		return func(context.Context, bool) {}, nil
	}
}

func namespaceError(ctx context.Context, name string, err error) error {
	if apierrors.IsNotFound(err) {
		return err
	}
	namespace := genericapirequest.NamespaceValue(ctx)
	klog.FromContext(ctx).Error(err, "Cannot read the namespace of a new VirtualServer", "namespace", namespace)
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure,
		Code:   http.StatusServiceUnavailable,
		Reason: metav1.StatusReasonServiceUnavailable,
		Message: fmt.Sprintf("VirtualServer %q was not created, because namespace %q cannot be read from kube-apiserver now; try again",
			name, namespace),
		Details: &metav1.StatusDetails{
			Group: tensorstack.GroupName, Kind: "virtualservers", Name: name, RetryAfterSeconds: retryAfterSeconds,
		},
	}}
}
