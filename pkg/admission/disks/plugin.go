// Package disks keeps two machines from writing to one disk. It looks at the other VirtualServers of the namespace: a claim
// can be used from nowhere else.
//
// Two requests at the same moment can still slip through together. Where the storage has locks, QEMU then refuses to start
// the second machine.
package disks

import (
	"context"
	"errors"
	"fmt"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/warning"

	"tensorstack.dev/virtualserver/pkg/admission/request"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// PluginName is the name of the plugin.
const PluginName = "VirtualServerDisks"

// maxTold is how many other machines one request hears of.
const maxTold = 3

// Register adds the plugin to those that a server can use.
func Register(plugins *admission.Plugins, servers *Servers) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return NewPlugin(servers), nil })
}

// Plugin refuses a disk that another machine writes to, and warns where it depends on what both machines do.
type Plugin struct {
	*admission.Handler
	servers    *Servers
	authorizer authorizer.UnconditionalAuthorizer
}

var (
	_ admission.ValidationInterface            = &Plugin{}
	_ initializer.WantsUnconditionalAuthorizer = &Plugin{}
)

// NewPlugin returns a plugin that waits for its authorizer.
func NewPlugin(servers *Servers) *Plugin {
	return &Plugin{Handler: admission.NewHandler(admission.Create, admission.Update), servers: servers}
}

// SetUnconditionalAuthorizer sets who says which other machines a user may hear of.
func (p *Plugin) SetUnconditionalAuthorizer(authorizer authorizer.UnconditionalAuthorizer) {
	p.authorizer = authorizer
}

// ValidateInitialization fails without an authorizer or VirtualServers.
func (p *Plugin) ValidateInitialization() error {
	if p.authorizer == nil || p.servers == nil {
		return errors.New(PluginName + " needs an authorizer and VirtualServers")
	}
	return nil
}

// Validate answers 422 with the disk, or 409 to a start.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if updated, old, ok := request.VirtualServers(a); ok {
		return p.validateSpec(ctx, a, updated, old)
	}
	if a.GetResource().GroupResource() == v1beta1.Resource("virtualservers") && a.GetSubresource() == "start" {
		return p.validateStart(ctx, a)
	}
	return nil
}

func (p *Plugin) validateSpec(ctx context.Context, a admission.Attributes, updated, old *tensorstack.VirtualServer) error {
	uses := usesOf(updated)
	problems := ownRoot(uses)
	if old != nil {
		problems = unknownProblems(problems, ownRoot(usesOf(old)))
	}
	if old != nil && (isActive(old) || !isActive(updated)) {
		// Who is not about to run with what they had need not hear of it again.
		uses = newUses(uses, usesOf(old))
	}
	if len(problems) == 0 {
		rivals, err := p.servers.rivalsOf(ctx, a.GetNamespace(), updated.Name, uses)
		if err != nil {
			return err
		}
		problems = p.tell(ctx, a.GetUserInfo(), sharedWith(uses, isActive(updated), rivals))
	}
	if len(problems) > 0 {
		return apierrors.NewInvalid(v1beta1.SchemeGroupVersion.WithKind("VirtualServer").GroupKind(), updated.Name, problems)
	}
	return nil
}

// tell warns of what is shared, and returns what must be refused. Of many it tells the first.
func (p *Plugin) tell(ctx context.Context, who user.Info, found []shared) field.ErrorList {
	var problems field.ErrorList
	warned, untold := 0, 0
	for _, pair := range found {
		switch refused := pair.refused(); {
		case refused && len(problems) < maxTold:
			problems = append(problems, field.Forbidden(pair.mine.Path, pair.refusal(p.nameFor(ctx, who, pair.other))))
		case !refused && warned < maxTold:
			warning.AddWarning(ctx, "", fmt.Sprintf("%s: %s", pair.mine.Path, pair.warning(p.nameFor(ctx, who, pair.other))))
			warned++
		case !refused:
			untold++
		}
	}
	if untold > 0 {
		warning.AddWarning(ctx, "", fmt.Sprintf("spec.storage: %d more machines use these claims", untold))
	}
	return problems
}

// validateStart refuses to start a machine whose disk another one writes to by now.
func (p *Plugin) validateStart(ctx context.Context, a admission.Attributes) error {
	vs, err := p.servers.get(ctx, a.GetNamespace(), a.GetName())
	if apierrors.IsNotFound(err) {
		// The operation itself says so.
		return nil
	}
	if err != nil {
		return err
	}
	uses := usesOf(vs)
	rivals, err := p.servers.rivalsOf(ctx, a.GetNamespace(), vs.Name, uses)
	if err != nil {
		return err
	}
	for _, found := range sharedWith(uses, true, rivals) {
		if found.refused() {
			return apierrors.NewConflict(v1beta1.Resource("virtualservers"), vs.Name,
				fmt.Errorf("%s: %s", found.mine.Path, found.refusal(p.nameFor(ctx, a.GetUserInfo(), found.other))))
		}
	}
	return nil
}

// ownRoot finds the root disk of a machine among its other disks.
func ownRoot(uses []use) field.ErrorList {
	var problems field.ErrorList
	for _, root := range uses {
		if !root.root {
			continue
		}
		for _, other := range uses {
			if !other.root && other.ClaimName == root.ClaimName && judge(other.ClaimUse, root.ClaimUse) != harmless {
				problems = append(problems, field.Forbidden(other.Path, fmt.Sprintf(
					"the PersistentVolumeClaim %q is the root disk of this very machine: a second way to it destroys what is on it", other.ClaimName)))
			}
		}
	}
	return problems
}

func unknownProblems(found, known field.ErrorList) field.ErrorList {
	var unknown field.ErrorList
	for _, problem := range found {
		fresh := true
		for _, other := range known {
			fresh = fresh && other.Error() != problem.Error()
		}
		if fresh {
			unknown = append(unknown, problem)
		}
	}
	return unknown
}

// newUses leaves out what a machine used before in the same way.
func newUses(uses, before []use) []use {
	var fresh []use
	for _, candidate := range uses {
		known := false
		for _, former := range before {
			known = known || former.ClaimName == candidate.ClaimName && former.Filesystem == candidate.Filesystem &&
				(former.Writes || !candidate.Writes) && former.root == candidate.root
		}
		if !known {
			fresh = append(fresh, candidate)
		}
	}
	return fresh
}

// nameFor is how a user is told of another machine: by its name only if they may read it.
func (p *Plugin) nameFor(ctx context.Context, who user.Info, other *tensorstack.VirtualServer) string {
	decision, _, err := p.authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User: who, Verb: "get", Namespace: other.Namespace, APIGroup: v1beta1.GroupName, APIVersion: v1beta1.SchemeGroupVersion.Version,
		Resource: "virtualservers", Name: other.Name, ResourceRequest: true,
	})
	if err != nil || decision != authorizer.DecisionAllow {
		return "another VirtualServer, which you may not see,"
	}
	return "VirtualServer " + other.Name
}
