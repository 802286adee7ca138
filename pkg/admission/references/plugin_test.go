package references

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/utils/ptr"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

const namespace = "team-a"

// rights answers from a list of rights of the form "verb namespace resource/subresource name", name "*" for every one.
type rights struct {
	granted []string
	asked   []string
	users   []user.Info
	fail    error
}

func (r *rights) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	resource := a.GetResource()
	if a.GetAPIGroup() != "" {
		resource += "." + a.GetAPIGroup()
	}
	if a.GetSubresource() != "" {
		resource += "/" + a.GetSubresource()
	}
	question := fmt.Sprintf("%s %s %s", a.GetVerb(), a.GetNamespace(), resource)
	r.asked = append(r.asked, question)
	r.users = append(r.users, a.GetUser())
	if r.fail != nil {
		return authorizer.DecisionNoOpinion, "", r.fail
	}
	for _, granted := range r.granted {
		if granted == question+" *" || granted == question+" "+a.GetName() {
			return authorizer.DecisionAllow, "", nil
		}
	}
	return authorizer.DecisionNoOpinion, "", nil
}

func virtualServer(change func(*tensorstack.VirtualServerSpec)) *tensorstack.VirtualServer {
	vs := &tensorstack.VirtualServer{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "vs"}}
	if change != nil {
		change(&vs.Spec)
	}
	return vs
}

var jane = &user.DefaultInfo{Name: "jane", UID: "1", Groups: []string{"team-a"}, Extra: map[string][]string{"scopes": {"x"}}}

func attributes(updated, old *tensorstack.VirtualServer, subresource string) admission.Attributes {
	kind := tensorstack.SchemeGroupVersion.WithKind("VirtualServer")
	resource := tensorstack.SchemeGroupVersion.WithResource("virtualservers")
	if old == nil {
		return admission.NewAttributesRecord(updated, nil, kind, namespace, "vs", resource, subresource, admission.Create, nil, false, jane)
	}
	return admission.NewAttributesRecord(updated, old, kind, namespace, "vs", resource, subresource, admission.Update, nil, false, jane)
}

func validate(t *testing.T, rights *rights, a admission.Attributes) error {
	t.Helper()
	plugin := NewPlugin()
	plugin.SetUnconditionalAuthorizer(rights)
	require.NoError(t, plugin.ValidateInitialization())
	require.True(t, plugin.Handles(a.GetOperation()))
	return plugin.Validate(context.Background(), a, nil)
}

// referenceCase is one kind of reference: how it gets into a spec, which field a denial names, and which rights suffice.
type referenceCase struct {
	change func(*tensorstack.VirtualServerSpec)
	field  string
	rights []string
}

func source(source cdiv1.DataVolumeSource) func(*tensorstack.VirtualServerSpec) {
	return func(spec *tensorstack.VirtualServerSpec) { spec.Storage.Root.Source = source }
}

func disk(volume tensorstack.VolumeSource) func(*tensorstack.VirtualServerSpec) {
	return func(spec *tensorstack.VirtualServerSpec) {
		spec.Storage.AdditionalDisks = []tensorstack.AdditionalDisk{{Name: "d", VolumeSource: volume}}
	}
}

func filesystem(volume tensorstack.VolumeSource) func(*tensorstack.VirtualServerSpec) {
	return func(spec *tensorstack.VirtualServerSpec) {
		spec.Storage.Filesystems = []tensorstack.Filesystem{{Name: "f", VolumeSource: volume}}
	}
}

const (
	anyPod       = "create team-a pods *"
	getSecret    = "get team-a secrets x"
	getConfigMap = "get team-a configmaps x"
	getToken     = "create team-a serviceaccounts/token x"
)

func referenceCases() map[string]referenceCase {
	secretVolume := tensorstack.VolumeSource{Secret: &tensorstack.SecretSource{SecretName: "x"}}
	configMapVolume := tensorstack.VolumeSource{ConfigMap: &tensorstack.ConfigMapSource{Name: "x"}}
	accountVolume := tensorstack.VolumeSource{ServiceAccount: &tensorstack.ServiceAccountSource{ServiceAccountName: "x"}}
	const root, first, share = "spec.storage.root.source.", "spec.storage.additionalDisks[0].", "spec.storage.filesystems[0]."
	ofSecret, ofConfigMap, ofAccount := []string{anyPod, getSecret}, []string{anyPod, getConfigMap}, []string{anyPod, getToken}
	return map[string]referenceCase{
		"clone of a claim": {source(cdiv1.DataVolumeSource{PVC: &cdiv1.DataVolumeSourcePVC{Namespace: "golden", Name: "x"}}), root + "pvc",
			[]string{"create golden datavolumes.cdi.kubevirt.io/source x", "create golden pods x"}},
		"clone of a snapshot": {source(cdiv1.DataVolumeSource{Snapshot: &cdiv1.DataVolumeSourceSnapshot{Namespace: "golden", Name: "x"}}),
			root + "snapshot", []string{"create golden datavolumes.cdi.kubevirt.io/source x"}},
		"http Secret":      {source(cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{SecretRef: "x"}}), root + "http.secretRef", ofSecret},
		"http certificate": {source(cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{CertConfigMap: "x"}}), root + "http.certConfigMap", ofConfigMap},
		"http headers": {source(cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{SecretExtraHeaders: []string{"x"}}}),
			root + "http.secretExtraHeaders[0]", ofSecret},
		"s3 Secret":            {source(cdiv1.DataVolumeSource{S3: &cdiv1.DataVolumeSourceS3{SecretRef: "x"}}), root + "s3.secretRef", ofSecret},
		"s3 certificate":       {source(cdiv1.DataVolumeSource{S3: &cdiv1.DataVolumeSourceS3{CertConfigMap: "x"}}), root + "s3.certConfigMap", ofConfigMap},
		"gcs Secret":           {source(cdiv1.DataVolumeSource{GCS: &cdiv1.DataVolumeSourceGCS{SecretRef: "x"}}), root + "gcs.secretRef", ofSecret},
		"registry Secret":      {source(cdiv1.DataVolumeSource{Registry: &cdiv1.DataVolumeSourceRegistry{SecretRef: ptr.To("x")}}), root + "registry.secretRef", ofSecret},
		"registry certificate": {source(cdiv1.DataVolumeSource{Registry: &cdiv1.DataVolumeSourceRegistry{CertConfigMap: ptr.To("x")}}), root + "registry.certConfigMap", ofConfigMap},
		"imageio Secret":       {source(cdiv1.DataVolumeSource{Imageio: &cdiv1.DataVolumeSourceImageIO{SecretRef: "x"}}), root + "imageio.secretRef", ofSecret},
		"imageio certificate":  {source(cdiv1.DataVolumeSource{Imageio: &cdiv1.DataVolumeSourceImageIO{CertConfigMap: "x"}}), root + "imageio.certConfigMap", ofConfigMap},
		"vddk Secret":          {source(cdiv1.DataVolumeSource{VDDK: &cdiv1.DataVolumeSourceVDDK{SecretRef: "x"}}), root + "vddk.secretRef", ofSecret},
		"vddk arguments":       {source(cdiv1.DataVolumeSource{VDDK: &cdiv1.DataVolumeSourceVDDK{ExtraArgs: "x"}}), root + "vddk.extraArgs", ofConfigMap},
		"vddk image":           {source(cdiv1.DataVolumeSource{VDDK: &cdiv1.DataVolumeSourceVDDK{InitImageURL: "x"}}), root + "vddk.initImageURL", []string{anyPod}},
		"cloud-init Secret": {func(spec *tensorstack.VirtualServerSpec) {
			spec.CloudInitSecretRef = &corev1.LocalObjectReference{Name: "x"}
		}, "spec.cloudInitSecretRef", ofSecret},
		"Secret of public keys": {func(spec *tensorstack.VirtualServerSpec) {
			spec.SSHKeys = &tensorstack.SSHKeys{SecretRef: corev1.LocalObjectReference{Name: "x"}}
		}, "spec.sshKeys.secretRef", ofSecret},
		"pull Secret": {func(spec *tensorstack.VirtualServerSpec) {
			spec.Storage.AdditionalDisks = []tensorstack.AdditionalDisk{{ContainerDisk: &tensorstack.ContainerDiskSource{ImagePullSecret: "x"}}}
		}, first + "containerDisk.imagePullSecret", ofSecret},
		"Secret disk":               {disk(secretVolume), first + "secret", ofSecret},
		"ConfigMap disk":            {disk(configMapVolume), first + "configMap", ofConfigMap},
		"ServiceAccount disk":       {disk(accountVolume), first + "serviceAccount", ofAccount},
		"Secret filesystem":         {filesystem(secretVolume), share + "secret", ofSecret},
		"ConfigMap filesystem":      {filesystem(configMapVolume), share + "configMap", ofConfigMap},
		"ServiceAccount filesystem": {filesystem(accountVolume), share + "serviceAccount", ofAccount},
	}
}

func TestEveryReferenceIsAuthorized(t *testing.T) {
	for name, test := range referenceCases() {
		with := virtualServer(test.change)
		requests := map[string]admission.Attributes{
			"create": attributes(with, nil, ""),
			"update": attributes(with, virtualServer(nil), ""),
		}
		for verb, request := range requests {
			t.Run(name+"/"+verb, func(t *testing.T) {
				err := validate(t, &rights{granted: []string{
					// Rights to other things, and to the same things elsewhere, do not help.
					"get team-a secrets y", "get team-a configmaps y", "create team-a serviceaccounts/token y", "get team-a serviceaccounts x",
					"create team-b pods *", "get team-b secrets x", "list team-a secrets *", "get golden persistentvolumeclaims x",
					"create team-a datavolumes.cdi.kubevirt.io/source x",
				}}, request)
				require.True(t, apierrors.IsForbidden(err), "%v", err)
				assert.Contains(t, err.Error(), test.field+": user \"jane\" may not")
				assert.Contains(t, err.Error(), "this needs the right to create")

				for _, right := range test.rights {
					assert.NoError(t, validate(t, &rights{granted: []string{right}}, request), right)
				}
			})
		}
		t.Run(name+"/unchanged", func(t *testing.T) {
			nobody := &rights{}
			changed := with.DeepCopy()
			changed.Spec.RunStrategy = tensorstack.RunStrategyHalted
			assert.NoError(t, validate(t, nobody, attributes(changed, with, "")))
			assert.Empty(t, nobody.asked)
		})
		t.Run(name+"/status", func(t *testing.T) {
			nobody := &rights{}
			assert.NoError(t, validate(t, nobody, attributes(with, virtualServer(nil), "status")))
			assert.Empty(t, nobody.asked)
		})
	}
}

func TestClones(t *testing.T) {
	t.Run("of the own namespace need no right", func(t *testing.T) {
		nobody := &rights{}
		for _, own := range []cdiv1.DataVolumeSource{
			{PVC: &cdiv1.DataVolumeSourcePVC{Namespace: namespace, Name: "x"}},
			{Snapshot: &cdiv1.DataVolumeSourceSnapshot{Namespace: namespace, Name: "x"}},
		} {
			assert.NoError(t, validate(t, nobody, attributes(virtualServer(source(own)), nil, "")))
		}
		assert.Empty(t, nobody.asked)
	})
	snapshot := virtualServer(source(cdiv1.DataVolumeSource{Snapshot: &cdiv1.DataVolumeSourceSnapshot{Namespace: "golden", Name: "x"}}))
	t.Run("of a snapshot need pods and claims together", func(t *testing.T) {
		assert.True(t, apierrors.IsForbidden(validate(t, &rights{granted: []string{"create golden pods x"}}, attributes(snapshot, nil, ""))))
		assert.True(t, apierrors.IsForbidden(validate(t, &rights{granted: []string{"create golden pvcs x"}}, attributes(snapshot, nil, ""))))
		assert.NoError(t, validate(t, &rights{granted: []string{"create golden pods x", "create golden pvcs x"}}, attributes(snapshot, nil, "")))
	})
	t.Run("of another claim are checked again", func(t *testing.T) {
		before := virtualServer(source(cdiv1.DataVolumeSource{PVC: &cdiv1.DataVolumeSourcePVC{Namespace: "golden", Name: "x"}}))
		after := virtualServer(source(cdiv1.DataVolumeSource{PVC: &cdiv1.DataVolumeSourcePVC{Namespace: "golden", Name: "y"}}))
		allowed := &rights{granted: []string{"create golden datavolumes.cdi.kubevirt.io/source x"}}
		assert.True(t, apierrors.IsForbidden(validate(t, allowed, attributes(after, before, ""))))
	})
	t.Run("are asked for the whole identity of the user", func(t *testing.T) {
		rights := &rights{}
		assert.Error(t, validate(t, rights, attributes(snapshot, nil, "")))
		require.NotEmpty(t, rights.users)
		for _, asked := range rights.users {
			assert.Equal(t, jane, asked)
		}
	})
}

func TestKnownReferencesDoNotCoverOtherUses(t *testing.T) {
	pull := virtualServer(referenceCases()["pull Secret"].change)
	read := virtualServer(referenceCases()["Secret disk"].change)
	assert.True(t, apierrors.IsForbidden(validate(t, &rights{}, attributes(read, pull, ""))), "a pull Secret must not become readable")

	login := func(url string) *tensorstack.VirtualServer {
		return virtualServer(source(cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{URL: url, SecretRef: "x"}}))
	}
	err := validate(t, &rights{}, attributes(login("https://evil.example.com"), login("https://images.example.com"), ""))
	assert.True(t, apierrors.IsForbidden(err), "a known Secret must not go to another address")

	moved := virtualServer(referenceCases()["Secret filesystem"].change)
	assert.NoError(t, validate(t, &rights{}, attributes(moved, read, "")), "the guest could read it before too")
}

func TestAllDenialsAreTold(t *testing.T) {
	vs := virtualServer(func(spec *tensorstack.VirtualServerSpec) {
		referenceCases()["clone of a claim"].change(spec)
		referenceCases()["Secret disk"].change(spec)
		referenceCases()["ConfigMap filesystem"].change(spec)
	})
	rights := &rights{}
	err := validate(t, rights, attributes(vs, nil, ""))
	require.True(t, apierrors.IsForbidden(err))
	for _, part := range []string{
		`virtualservers.tensorstack.dev "vs" is forbidden`,
		`the right to create datavolumes.cdi.kubevirt.io/source or pods in namespace "golden"`,
		`the right to create pods or to get this Secret in namespace "team-a"`,
		`the right to create pods or to get this ConfigMap in namespace "team-a"`,
	} {
		assert.Contains(t, err.Error(), part)
	}
	pods := 0
	for _, question := range rights.asked {
		if question == "create team-a pods" {
			pods++
		}
	}
	assert.Equal(t, 1, pods, "the same question must be asked once")
}

func TestUnknownRightsAreNoRights(t *testing.T) {
	for name, test := range referenceCases() {
		for _, fault := range []error{errors.New("Post https://10.96.0.1:443/apis: connection refused"), context.DeadlineExceeded} {
			err := validate(t, &rights{fail: fault}, attributes(virtualServer(test.change), nil, ""))
			assert.True(t, apierrors.IsServiceUnavailable(err), "%s: %v", name, err)
			assert.NotContains(t, err.Error(), "10.96.0.1", name)
			_, retry := apierrors.SuggestsClientDelay(err)
			assert.True(t, retry, name)
		}
	}
}

func TestOtherRequestsPass(t *testing.T) {
	nobody := &rights{}
	kind, resource := corev1.SchemeGroupVersion.WithKind("Pod"), corev1.SchemeGroupVersion.WithResource("pods")
	assert.NoError(t, validate(t, nobody, admission.NewAttributesRecord(&corev1.Pod{}, nil, kind, namespace, "p", resource, "",
		admission.Create, nil, false, jane)))
	assert.NoError(t, validate(t, nobody, attributes(virtualServer(nil), nil, "")))
	assert.Error(t, NewPlugin().ValidateInitialization())
}
