package disks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/utils/ptr"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/validation"
	"tensorstack.dev/virtualserver/pkg/registry/tensorstack/virtualserver"
)

type edit func(*tensorstack.VirtualServer)

// server is a machine that runs.
func server(name string, edits ...edit) *tensorstack.VirtualServer {
	vs := &tensorstack.VirtualServer{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}}
	vs.Spec.RunStrategy, vs.Status.RunStrategy = tensorstack.RunStrategyAlways, tensorstack.RunStrategyAlways
	vs.Status.PrintableStatus = tensorstack.StatusRunning
	vs.Status.VM.Name, vs.Status.VM.InstanceUID = "managed-virtualserver-"+name, "run-1"
	for _, edit := range edits {
		edit(vs)
	}
	return vs
}

// fresh is a machine that is being created.
func fresh(vs *tensorstack.VirtualServer) {
	vs.Status = tensorstack.VirtualServerStatus{RunStrategy: vs.Status.RunStrategy}
}

func strategy(strategy tensorstack.RunStrategy) edit {
	return func(vs *tensorstack.VirtualServer) { vs.Status.RunStrategy = strategy }
}

func stopped(vs *tensorstack.VirtualServer) {
	vs.Status.RunStrategy, vs.Status.PrintableStatus, vs.Status.VM.InstanceUID = tensorstack.RunStrategyHalted, tensorstack.StatusStopped, ""
}

func claim(name string, readOnly bool) tensorstack.VolumeSource {
	return tensorstack.VolumeSource{PersistentVolumeClaim: &tensorstack.PersistentVolumeClaimSource{ClaimName: name, ReadOnly: readOnly}}
}

func disk(name string) edit {
	return func(vs *tensorstack.VirtualServer) {
		vs.Spec.Storage.AdditionalDisks = append(vs.Spec.Storage.AdditionalDisks, tensorstack.AdditionalDisk{VolumeSource: claim(name, false)})
	}
}

func read(name string) edit {
	return func(vs *tensorstack.VirtualServer) {
		vs.Spec.Storage.AdditionalDisks = append(vs.Spec.Storage.AdditionalDisks, tensorstack.AdditionalDisk{VolumeSource: claim(name, true)})
	}
}

func overlay(name string) edit {
	return func(vs *tensorstack.VirtualServer) {
		vs.Spec.Storage.AdditionalDisks = append(vs.Spec.Storage.AdditionalDisks, tensorstack.AdditionalDisk{VolumeSource: tensorstack.VolumeSource{
			Ephemeral: &tensorstack.EphemeralSource{PersistentVolumeClaim: &tensorstack.PersistentVolumeClaimSource{ClaimName: name}}}})
	}
}

func filesystem(name string, readOnly bool) edit {
	return func(vs *tensorstack.VirtualServer) {
		vs.Spec.Storage.Filesystems = append(vs.Spec.Storage.Filesystems, tensorstack.Filesystem{VolumeSource: claim(name, readOnly)})
	}
}

// everybody may read what does not begin with "secret".
type everybody struct{}

func (everybody) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetVerb() != "get" || a.GetResource() != "virtualservers" || a.GetNamespace() != "ns" || strings.HasPrefix(a.GetName(), "secret") {
		return authorizer.DecisionNoOpinion, "", nil
	}
	return authorizer.DecisionAllow, "", nil
}

type recorder struct{ texts []string }

func (r *recorder) AddWarning(_, text string) { r.texts = append(r.texts, text) }

// memory is a store that finds as the real one does.
type memory struct {
	servers []*tensorstack.VirtualServer
	err     error
}

func (m memory) GetVirtualServer(ctx context.Context, name string) (*tensorstack.VirtualServer, error) {
	for _, server := range m.servers {
		if server.Name == name && server.Namespace == request.NamespaceValue(ctx) {
			return server, m.err
		}
	}
	return nil, apierrors.NewNotFound(tensorstack.Resource("virtualservers"), name)
}

func (m memory) ListUsing(_ context.Context, namespace string, keys []string) ([]*tensorstack.VirtualServer, error) {
	var found []*tensorstack.VirtualServer
	for _, server := range m.servers {
		attributes, set, err := virtualserver.GetAttrs(server)
		if err != nil {
			return nil, err
		}
		matcher := virtualserver.MatchClaims(keys)
		if server.Namespace == namespace && matcher.MatchesObjectAttributes(attributes, set) {
			found = append(found, server)
		}
	}
	return found, m.err
}

func plugin(servers ...*tensorstack.VirtualServer) *Plugin {
	holder := &Servers{}
	holder.Set(memory{servers: servers})
	p := NewPlugin(holder)
	p.SetUnconditionalAuthorizer(everybody{})
	return p
}

// ask sends a request through the plugin: a creation without old, an update with it, and a start without updated.
func ask(p *Plugin, updated, old *tensorstack.VirtualServer, subresource string) (warnings []string, err error) {
	told := &recorder{}
	ctx := warning.WithWarningRecorder(context.Background(), told)
	kind, resources := tensorstack.SchemeGroupVersion.WithKind("VirtualServer"), tensorstack.SchemeGroupVersion.WithResource("virtualservers")
	who := &user.DefaultInfo{Name: "alice"}
	attributes := admission.NewAttributesRecord(updated, nil, kind, "ns", "mine", resources, subresource, admission.Create, nil, false, who)
	switch {
	case subresource != "":
		attributes = admission.NewAttributesRecord(&tensorstack.StartOptions{}, nil, kind, "ns", "mine", resources, subresource, admission.Create, nil, false, who)
	case old != nil:
		attributes = admission.NewAttributesRecord(updated, old, kind, "ns", "mine", resources, "", admission.Update, nil, false, who)
	}
	err = p.Validate(ctx, attributes, nil)
	return told.texts, err
}

// rootIn boots a machine from a claim that exists.
func rootIn(claim string) edit {
	return func(vs *tensorstack.VirtualServer) {
		vs.Spec.Storage.Root.PersistentVolumeClaim = &tensorstack.RootDiskVolume{ClaimName: claim}
	}
}

func overlaid(vs *tensorstack.VirtualServer) { vs.Spec.Storage.Root.Ephemeral = true }

// A root disk that was not made for a machine is a disk like any other.
func TestARootDiskInAClaim(t *testing.T) {
	for name, test := range map[string]struct {
		mine, other     []edit
		refused, warned string
	}{
		"nothing in common":         {mine: []edit{rootIn("a")}, other: []edit{rootIn("b")}},
		"one root disk":             {[]edit{rootIn("a")}, []edit{rootIn("a")}, `spec.storage.root: Forbidden: the PersistentVolumeClaim "a" is the root disk of VirtualServer other too`, ""},
		"another's disk":            {[]edit{rootIn("a")}, []edit{disk("a")}, `spec.storage.root: Forbidden: the PersistentVolumeClaim "a" is a disk of VirtualServer other too`, ""},
		"a disk, another's root":    {[]edit{disk("a")}, []edit{rootIn("a")}, "is the root disk of VirtualServer other too", ""},
		"the root disk made for it": {[]edit{rootIn("managed-virtualserver-other")}, nil, "spec.storage.root: Forbidden", ""},
		"of one that is stopped":    {[]edit{rootIn("a")}, []edit{rootIn("a"), stopped}, "", "never let both machines run at once"},
		"two overlays":              {mine: []edit{rootIn("a"), overlaid}, other: []edit{rootIn("a"), overlaid}},
		"an overlay under a writer": {[]edit{rootIn("a"), overlaid}, []edit{rootIn("a")}, "", "which writes to it"},
		"a name of no disk":         {mine: []edit{disk("managed-virtualserver-other")}, other: []edit{rootIn("a")}},
	} {
		t.Run(name, func(t *testing.T) {
			warnings, err := ask(plugin(server("other", test.other...)), server("mine", append(test.mine, fresh)...), nil, "")
			if test.refused == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.refused)
			}
			assert.Contains(t, strings.Join(warnings, "\n"), test.warned)
			if test.warned == "" {
				assert.Empty(t, warnings)
			}
		})
	}
}

func TestTwoMachines(t *testing.T) {
	const root = "managed-virtualserver-other"
	for name, test := range map[string]struct {
		mine, other []edit
		refused     string
		warned      string
	}{
		"nothing in common":        {[]edit{disk("a")}, []edit{disk("b")}, "", ""},
		"one disk":                 {[]edit{disk("a")}, []edit{disk("a")}, `additionalDisks[0]: Forbidden: the PersistentVolumeClaim "a" is a disk of VirtualServer other too`, ""},
		"the second of three":      {[]edit{disk("x"), disk("a"), disk("y")}, []edit{disk("b"), disk("a")}, "additionalDisks[1]", ""},
		"the other one is stopped": {[]edit{disk("a")}, []edit{disk("a"), stopped}, "", "never let both machines run at once"},
		"mine is made stopped":     {[]edit{disk("a"), strategy(tensorstack.RunStrategyHalted)}, []edit{disk("a")}, "", "never let both"},
		"mine is started by hand":  {[]edit{disk("a"), strategy(tensorstack.RunStrategyManual)}, []edit{disk("a")}, "", "never let both"},
		"mine starts by itself":    {[]edit{disk("a"), strategy(tensorstack.RunStrategyRerunOnFailure)}, []edit{disk("a")}, "additionalDisks[0]", ""},
		"the other one is about to start": {[]edit{disk("a")}, []edit{disk("a"), stopped, func(vs *tensorstack.VirtualServer) {
			vs.Status.PendingOperation = &tensorstack.Operation{Type: tensorstack.OperationStart}
		}}, "additionalDisks[0]", ""},
		"the other one is shutting down":  {[]edit{disk("a")}, []edit{disk("a"), strategy(tensorstack.RunStrategyHalted)}, "additionalDisks[0]", ""},
		"the other one is being deleted":  {[]edit{disk("a")}, []edit{disk("a"), stopped, func(vs *tensorstack.VirtualServer) { vs.DeletionTimestamp = ptr.To(metav1.Now()) }}, "", "never let both"},
		"the other one has ended":         {[]edit{disk("a")}, []edit{disk("a"), strategy(tensorstack.RunStrategyRerunOnFailure), func(vs *tensorstack.VirtualServer) { vs.Status.PrintableStatus = tensorstack.StatusStopped }}, "", "never let both"},
		"mine only reads":                 {[]edit{read("a")}, []edit{disk("a")}, "", "which writes to it"},
		"the other one only reads":        {[]edit{disk("a")}, []edit{read("a")}, "", "which only reads it"},
		"both only read":                  {[]edit{read("a")}, []edit{read("a")}, "", ""},
		"an overlay under a writer":       {[]edit{overlay("a")}, []edit{disk("a")}, "", "which writes to it"},
		"two overlays":                    {[]edit{overlay("a")}, []edit{overlay("a")}, "", ""},
		"one filesystem":                  {[]edit{filesystem("a", false)}, []edit{filesystem("a", false)}, "", ""},
		"a disk and a filesystem":         {[]edit{disk("a")}, []edit{filesystem("a", false)}, "", "the guest with the filesystem can overwrite"},
		"a filesystem and a disk":         {[]edit{filesystem("a", false)}, []edit{disk("a")}, "", "spec.storage.filesystems[0]: "},
		"a filesystem that reads a disk":  {[]edit{filesystem("a", true)}, []edit{disk("a")}, "", ""},
		"another's root disk":             {[]edit{disk(root)}, nil, "is the root disk of VirtualServer other too", ""},
		"a stopped one's root disk":       {[]edit{disk(root)}, []edit{stopped}, "", "is the root disk of VirtualServer other too: never let both"},
		"another's root disk, read":       {[]edit{read(root)}, nil, "", "which writes to it"},
		"another's root disk, mounted":    {[]edit{filesystem(root, false)}, nil, "", "is the root disk of"},
		"under another's ephemeral root":  {[]edit{disk(root)}, []edit{func(vs *tensorstack.VirtualServer) { vs.Spec.Storage.Root.Ephemeral = true }}, "", "which only reads it"},
		"beside another's ephemeral root": {[]edit{overlay(root)}, []edit{func(vs *tensorstack.VirtualServer) { vs.Spec.Storage.Root.Ephemeral = true }}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := plugin(server("other", test.other...), server("third", disk("unrelated")))
			warnings, err := ask(p, server("mine", append(test.mine, fresh)...), nil, "")
			if test.refused == "" {
				require.NoError(t, err)
			} else {
				require.True(t, apierrors.IsInvalid(err), "%v", err)
				assert.Contains(t, err.Error(), test.refused)
				assert.Contains(t, err.Error(), "destroy what is on it")
			}
			if test.warned == "" {
				require.Empty(t, warnings)
			} else {
				require.Len(t, warnings, 1)
				assert.Contains(t, warnings[0], test.warned)
				assert.Contains(t, warnings[0], "VirtualServer other")
			}
		})
	}
}

func TestOfAMachineThatAUserMayNotSeeNoNameIsTold(t *testing.T) {
	warnings, err := ask(plugin(server("secret-one", disk("a"))), server("mine", disk("a"), fresh), nil, "")
	require.True(t, apierrors.IsInvalid(err))
	assert.Empty(t, warnings)
	assert.NotContains(t, err.Error(), "secret-one")
	assert.Contains(t, err.Error(), "another VirtualServer, which you may not see")
	warnings, err = ask(plugin(server("secret-one", disk("a"), stopped)), server("mine", disk("a"), fresh), nil, "")
	require.NoError(t, err)
	require.Len(t, warnings, 1)
	assert.NotContains(t, warnings[0], "secret-one")
}

func TestOfManyMachinesTheFirstAreTold(t *testing.T) {
	var running, halted []*tensorstack.VirtualServer
	for i := range 50 {
		running = append(running, server(fmt.Sprintf("other-%d", i), disk("a")))
		halted = append(halted, server(fmt.Sprintf("other-%d", i), disk("a"), stopped))
	}
	warnings, err := ask(plugin(running...), server("mine", disk("a"), fresh), nil, "")
	assert.Empty(t, warnings)
	assert.Equal(t, maxTold, strings.Count(err.Error(), "VirtualServer other-"))
	warnings, err = ask(plugin(halted...), server("mine", disk("a"), fresh), nil, "")
	require.NoError(t, err)
	require.Len(t, warnings, maxTold+1)
	assert.Equal(t, "spec.storage: 47 more machines use these claims", warnings[maxTold])
}

// The keys by which rivals are found miss none that the verdict is about.
func TestTheKeysFindEveryRival(t *testing.T) {
	var uses []validation.ClaimUse
	for _, filesystem := range []bool{false, true} {
		for _, writes := range []bool{false, true} {
			uses = append(uses, validation.ClaimUse{ClaimName: "a", Filesystem: filesystem, Writes: writes})
		}
	}
	for _, mine := range uses {
		for _, theirs := range uses {
			assert.Equal(t, judge(mine, theirs) != harmless, slices.Contains(mine.Rivals(), theirs.Key()), "%v %v", mine, theirs)
		}
	}
}

func TestUpdates(t *testing.T) {
	for name, test := range map[string]struct {
		old, updated []edit
		refused      string
		warned       bool
	}{
		"what it had":              {[]edit{disk("a")}, []edit{disk("a"), disk("b")}, "", false},
		"a disk of another":        {nil, []edit{disk("a")}, "additionalDisks[0]", false},
		"read becomes write":       {[]edit{read("a")}, []edit{disk("a")}, "additionalDisks[0]", false},
		"write becomes read":       {[]edit{disk("a")}, []edit{read("a")}, "", false},
		"a disk moves":             {[]edit{disk("a")}, []edit{disk("c"), disk("a")}, "", false},
		"a filesystem becomes one": {[]edit{filesystem("a", false)}, []edit{disk("a")}, "additionalDisks[0]", false},
		"its strategy starts it":   {[]edit{disk("a"), stopped}, []edit{disk("a"), stopped, strategy(tensorstack.RunStrategyAlways)}, "additionalDisks[0]", false},
		"stopped, a disk more":     {[]edit{stopped}, []edit{disk("a"), stopped}, "", true},
		"its own root disk":        {nil, []edit{disk("managed-virtualserver-mine")}, "root disk of this very machine", false},
		"its own root disk, read":  {[]edit{stopped}, []edit{read("managed-virtualserver-mine"), stopped}, "root disk of this very machine", false},
		"its own root as before":   {[]edit{disk("managed-virtualserver-mine")}, []edit{disk("managed-virtualserver-mine"), disk("b")}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			old, updated := server("mine", test.old...), server("mine", test.updated...)
			warnings, err := ask(plugin(server("other", disk("a")), old), updated, old, "")
			assert.Equal(t, test.warned, len(warnings) == 1, "%v", warnings)
			if test.refused == "" {
				assert.NoError(t, err)
				return
			}
			require.True(t, apierrors.IsInvalid(err), "%v", err)
			assert.Contains(t, err.Error(), test.refused)
		})
	}
}

// A machine that was stopped when the disk was given to another must not start beside it.
func TestStart(t *testing.T) {
	for name, test := range map[string]struct {
		mine, other []edit
		refused     bool
	}{
		"a disk of a machine that runs":   {[]edit{disk("a"), stopped}, []edit{disk("a")}, true},
		"of one that is stopped":          {[]edit{disk("a"), stopped}, []edit{disk("a"), stopped}, false},
		"of one that reads":               {[]edit{disk("a"), stopped}, []edit{read("a")}, false},
		"my root disk, which another has": {[]edit{stopped}, []edit{disk("managed-virtualserver-mine")}, true},
		"and which is stopped":            {[]edit{stopped}, []edit{disk("managed-virtualserver-mine"), stopped}, false},
		"a shared filesystem":             {[]edit{filesystem("a", false), stopped}, []edit{filesystem("a", false)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := plugin(server("mine", test.mine...), server("other", test.other...))
			warnings, err := ask(p, nil, nil, "start")
			assert.Empty(t, warnings)
			assert.Equal(t, test.refused, apierrors.IsConflict(err), "%v", err)
			if !test.refused {
				assert.NoError(t, err)
			}
			_, err = ask(p, nil, nil, "stop")
			assert.NoError(t, err)
		})
	}
}

func TestTheListIsAskedOnlyWhenItMatters(t *testing.T) {
	broken := errors.New("no store")
	holder := &Servers{}
	p := NewPlugin(holder)
	require.Error(t, p.ValidateInitialization())
	p.SetUnconditionalAuthorizer(everybody{})
	require.NoError(t, p.ValidateInitialization())
	_, err := ask(p, server("mine", disk("a"), fresh), nil, "")
	assert.True(t, apierrors.IsServiceUnavailable(err), "%v", err)
	_, err = ask(p, nil, nil, "start")
	assert.True(t, apierrors.IsServiceUnavailable(err), "%v", err)
	holder.Set(memory{err: broken})
	_, err = ask(p, nil, nil, "start")
	assert.NoError(t, err, "of a machine that is not there the operation tells")
	_, err = ask(p, server("mine", filesystem("a", true), fresh), nil, "")
	assert.NoError(t, err, "nothing that could do harm")
	labelled := server("mine", disk("a"))
	_, err = ask(p, labelled, labelled.DeepCopy(), "")
	assert.NoError(t, err, "no new claims")
	_, err = ask(p, server("mine", disk("a"), fresh), nil, "")
	assert.ErrorIs(t, err, broken)
}
