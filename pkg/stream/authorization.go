package stream

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/klog/v2"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// Authorize checks that the user of the request may do something to a subresource of a VirtualServer, or to the
// VirtualServer itself if subresource is empty. name is empty for a right that is not bound to one object. The error is
// a 403 that names the right, or a 503 if nobody knows now.
func (g *Gateway) Authorize(ctx context.Context, verb, namespace, name, subresource string) error {
	qualified := tensorstack.Resource("virtualservers")
	if subresource != "" {
		qualified.Resource += "/" + subresource
	}
	user, ok := request.UserFrom(ctx)
	if !ok {
		return apierrors.NewForbidden(qualified, name, errors.New("the request has no user"))
	}
	decision, reason, err := g.authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User:            user,
		Verb:            verb,
		Namespace:       namespace,
		APIGroup:        v1beta1.GroupName,
		APIVersion:      v1beta1.SchemeGroupVersion.Version,
		Resource:        "virtualservers",
		Subresource:     subresource,
		Name:            name,
		ResourceRequest: true,
	})
	if decision == authorizer.DecisionAllow {
		return nil
	}
	if err != nil {
		// What kube-apiserver answered is for the log: it may tell addresses.
		klog.FromContext(ctx).Error(err, "Cannot check a right", "user", user.GetName(), "verb", verb, "resource", qualified, "namespace", namespace)
		return unavailable(fmt.Sprintf("whether user %q may %s %s in namespace %q cannot be checked now, because kube-apiserver does "+
			"not answer; try again", user.GetName(), verb, qualified.Resource, namespace))
	}
	text := fmt.Sprintf("user %q cannot %s resource %q in API group %q in the namespace %q",
		user.GetName(), verb, qualified.Resource, v1beta1.GroupName, namespace)
	if reason != "" {
		text += ": " + reason
	}
	return apierrors.NewForbidden(qualified, name, errors.New(text))
}

// authorizeStream checks get and create. A websocket is a GET, so get alone would let everyone who may read open a
// console. Kubernetes had to learn this for exec: https://github.com/kubernetes/kubernetes/issues/78741.
func (g *Gateway) authorizeStream(ctx context.Context, namespace, name string, kind Kind) error {
	for _, verb := range []string{"get", "create"} {
		if err := g.Authorize(ctx, verb, namespace, name, string(kind)); err != nil {
			return err
		}
	}
	return nil
}
