// Package references authorizes the user of a request for what a VirtualServer names: claims and snapshots of other
// namespaces, and Secrets, ConfigMaps and ServiceAccounts of its own. The controller that acts on the VirtualServer may
// read far more than its author, and must not do so for them.
package references

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/klog/v2"

	"tensorstack.dev/virtualserver/pkg/admission/request"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// PluginName is the name of the plugin.
const PluginName = "VirtualServerReferences"

// Register adds the plugin to those that a server can use.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return NewPlugin(), nil })
}

// Plugin refuses references that the user of the request has no right to. It runs after every mutation, and checks only
// what a request adds or changes, so that nobody needs rights for what somebody else was allowed to put there.
type Plugin struct {
	*admission.Handler
	authorizer authorizer.UnconditionalAuthorizer
}

var (
	_ admission.ValidationInterface            = &Plugin{}
	_ initializer.WantsUnconditionalAuthorizer = &Plugin{}
)

// NewPlugin returns a plugin that waits for its authorizer.
func NewPlugin() *Plugin {
	return &Plugin{Handler: admission.NewHandler(admission.Create, admission.Update)}
}

// SetUnconditionalAuthorizer sets who answers the questions about users.
func (p *Plugin) SetUnconditionalAuthorizer(authorizer authorizer.UnconditionalAuthorizer) {
	p.authorizer = authorizer
}

// ValidateInitialization fails without an authorizer.
func (p *Plugin) ValidateInitialization() error {
	if p.authorizer == nil {
		return errors.New(PluginName + " needs an authorizer")
	}
	return nil
}

// Validate answers 403 with the field and the missing right, and 503 if the rights cannot be found out now.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	updated, old, ok := request.VirtualServers(a)
	if !ok {
		return nil
	}
	var before *tensorstack.VirtualServerSpec
	if old != nil {
		before = &old.Spec
	}
	review := &review{ctx: ctx, authorizer: p.authorizer, user: a.GetUserInfo(), namespace: a.GetNamespace()}
	var denials []string
	note := func(path *field.Path, denial string, err error) error {
		if err != nil {
			klog.FromContext(ctx).Error(err, "Cannot check the rights of a user", "user", review.user.GetName(), "field", path)
			return unknownRights(path, review.user)
		}
		if denial != "" {
			denials = append(denials, denial)
		}
		return nil
	}

	path, source := field.NewPath("spec", "storage", "root", "source"), &updated.Spec.Storage.Root.Source
	if before == nil || !equality.Semantic.DeepEqual(source, &before.Storage.Root.Source) {
		denial, err := review.checkClone(source, updated.Name, path)
		if err := note(path, denial, err); err != nil {
			return err
		}
	}
	for _, reference := range newReferences(&updated.Spec, before) {
		denial, err := review.checkReference(reference)
		if err := note(reference.path, denial, err); err != nil {
			return err
		}
	}
	if len(denials) > 0 {
		return admission.NewForbidden(a, errors.New(strings.Join(denials, "; ")))
	}
	return nil
}

// retrySeconds is when to ask again after the rights of a user could not be found out.
const retrySeconds = 2

// unknownRights says that nobody knows now what the user may do. Nothing has been written, so to ask again is safe. What
// kube-apiserver answered is for the log: it may tell addresses.
func unknownRights(path *field.Path, user user.Info) error {
	err := apierrors.NewServiceUnavailable(fmt.Sprintf("%s: whether user %q may use it cannot be checked now, because "+
		"kube-apiserver does not answer; try again", path, user.GetName()))
	err.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: retrySeconds}
	return err
}
