package integration

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/generated/clientset/versioned"
	clientv1beta1 "tensorstack.dev/virtualserver/pkg/generated/clientset/versioned/typed/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// ownSecret and ownConfigMap may be read by every user of the table.
const ownSecret, ownConfigMap = "own-secret", "own-config"

// authorRules let a user write VirtualServers and read what is their own, and nothing else.
func authorRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{APIGroups: []string{"tensorstack.dev"}, Resources: []string{"virtualservers"}, Verbs: []string{"create", "update", "patch", "get"}},
		{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{ownSecret}, Verbs: []string{"get"}},
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{ownConfigMap}, Verbs: []string{"get"}},
	}
}

func as(e *framework.Environment, config *rest.Config) clientv1beta1.VirtualServerInterface {
	e.T.Helper()
	client, err := versioned.NewForConfig(config)
	require.NoError(e.T, err)
	return client.TensorstackV1beta1().VirtualServers(e.Namespace)
}

// attempts are the ways to write a VirtualServer. Each is a dry run: admission takes place and nothing comes of it.
func attempts(e *framework.Environment, client clientv1beta1.VirtualServerInterface, write func(*v1beta1.VirtualServer)) map[string]error {
	e.T.Helper()
	once := []string{metav1.DryRunAll}
	outcomes := map[string]error{}
	_, outcomes["create"] = client.Create(e.Context, halted("new", write), metav1.CreateOptions{DryRun: once})

	outcomes["update"] = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		existing := e.Get("existing")
		write(existing)
		_, err := client.Update(e.Context, existing, metav1.UpdateOptions{DryRun: once})
		return err
	})

	applied := halted("applied", write)
	applied.TypeMeta = metav1.TypeMeta{APIVersion: v1beta1.SchemeGroupVersion.String(), Kind: "VirtualServer"}
	body, err := json.Marshal(map[string]any{"apiVersion": applied.APIVersion, "kind": applied.Kind, "metadata": map[string]any{"name": "applied"}, "spec": applied.Spec})
	require.NoError(e.T, err)
	_, outcomes["apply"] = client.Patch(e.Context, "applied", types.ApplyPatchType, body, metav1.PatchOptions{FieldManager: "test", DryRun: once})
	return outcomes
}

// The controller may read and copy nearly everything. The author of a VirtualServer may not have it do so for them.
func TestReferencesNeedTheAuthorsOwnRights(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	golden := e.CreateNamespace("golden-")
	// The source of a disk that was imported cannot change, so this one never is.
	e.Create(halted("existing", func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.Root.PVC.StorageClassName = ptr.To("none-of-this-name")
	}))

	table := references(golden)
	poor := e.UserWith("poor", authorRules()...)
	// Every right that looks like the right one and is not: other names, other verbs, other namespaces.
	near := e.UserWith("near", append(authorRules(),
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets", "configmaps", "serviceaccounts"}, Verbs: []string{"list", "watch", "update"}},
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"serviceaccounts", "persistentvolumeclaims"}, Verbs: []string{"get", "create"}},
		rbacv1.PolicyRule{APIGroups: []string{"cdi.kubevirt.io"}, Resources: []string{"datavolumes", "datavolumes/source"}, Verbs: []string{"*"}},
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list", "delete"}})...)
	e.Grant(near, golden,
		rbacv1.PolicyRule{APIGroups: []string{"cdi.kubevirt.io"}, Resources: []string{"datavolumes"}, Verbs: []string{"*"}},
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"persistentvolumeclaims", "secrets", "configmaps"}, Verbs: []string{"get", "list"}})
	exact := e.UserWith("exact", append(authorRules(), toSecret(), toConfigMap(), toAccount())...)
	e.Grant(exact, golden, toClone())
	pods := e.UserWith("pods", append(authorRules(), rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"create"}})...)

	for _, reference := range table {
		t.Run(reference.field, func(t *testing.T) {
			refused := func(user *framework.User) {
				for attempt, err := range attempts(e, as(e, user.Config), reference.write) {
					assert.True(t, apierrors.IsForbidden(err), "%s by %s: %v", attempt, user.Name, err)
					assert.ErrorContains(t, err, reference.field+": user", attempt)
				}
			}
			allowed := func(user *framework.User) {
				for attempt, err := range attempts(e, as(e, user.Config), reference.write) {
					assert.NoError(t, err, "%s by %s", attempt, user.Name)
				}
			}
			refused(poor)
			refused(near)
			if len(reference.right.Verbs) > 0 {
				allowed(exact)
			} else {
				refused(exact)
			}
			if reference.golden {
				refused(pods)
			} else {
				allowed(pods)
			}
		})
	}
}

// Who may edit everything in a namespace has no right in another one by that. Groups count as users do.
func TestCloneFromAnotherNamespace(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	golden := e.CreateNamespace("golden-")
	claims := e.Kube.CoreV1().PersistentVolumeClaims(golden)
	_, err := claims.Create(e.Context, &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: referred},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: ptr.To("cephfs-hdd"),
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	clone := framework.Minimal("clone", clones(golden)[0].write)

	editor := e.UserInRole("editor", "edit")
	_, err = as(e, editor.Config).Create(e.Context, clone, metav1.CreateOptions{})
	require.True(t, apierrors.IsForbidden(err), "%v", err)
	assert.ErrorContains(t, err, `this needs the right to create datavolumes.cdi.kubevirt.io/source or pods in namespace "`+golden+`"`)
	// Nothing was made that CDI would act on, with its own rights or the controller's.
	left, err := e.Remaining()
	require.NoError(t, err)
	assert.Empty(t, left)

	member, err := e.Plane.UserConfig("jane", "cloners")
	require.NoError(t, err)
	bind := func(namespace, name string, role rbacv1.RoleRef) {
		_, err := e.Kube.RbacV1().RoleBindings(namespace).Create(e.Context, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: role,
			Subjects: []rbacv1.Subject{{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: "cloners"}},
		}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	_, err = e.Kube.RbacV1().Roles(golden).Create(e.Context, &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "cloners"}, Rules: []rbacv1.PolicyRule{toClone()}}, metav1.CreateOptions{})
	require.NoError(t, err)
	bind(golden, "cloners", rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "cloners"})
	bind(e.Namespace, "cloners", rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"})
	for namespace, attributes := range map[string]authorizationv1.ResourceAttributes{
		golden:      {Group: "cdi.kubevirt.io", Resource: "datavolumes", Subresource: "source", Name: referred, Verb: "create"},
		e.Namespace: {Group: "tensorstack.dev", Resource: "virtualservers", Verb: "create"},
	} {
		attributes.Namespace = namespace
		e.Eventually("the rights of the group are known", func() error {
			answer, err := e.Kube.AuthorizationV1().SubjectAccessReviews().Create(e.Context, &authorizationv1.SubjectAccessReview{
				Spec: authorizationv1.SubjectAccessReviewSpec{User: "jane", Groups: []string{"cloners"}, ResourceAttributes: &attributes},
			}, metav1.CreateOptions{})
			if err == nil && !answer.Status.Allowed {
				return errMissing("the right to " + attributes.Verb + " " + attributes.Resource)
			}
			return err
		})
	}
	_, err = as(e, member).Create(e.Context, clone, metav1.CreateOptions{})
	require.NoError(t, err, "a member of the group may copy")
	name := e.WaitStatus("clone", v1beta1.StatusRunning).Status.VM.Name
	volume := e.DataVolume(name)
	assert.Equal(t, golden, volume.Spec.Source.PVC.Namespace)
	assert.Equal(t, cdiv1.Succeeded, volume.Status.Phase)
}

// A machine reads what it was given with the rights of somebody who had them. Others may change the rest of it, but not
// send what it reads elsewhere.
func TestAnotherUserMayEditButNotRedirect(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	http := func(url string) func(*v1beta1.VirtualServer) {
		return onRoot(cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{URL: url, SecretRef: referred}})
	}
	e.Create(halted("machine", http("https://images.example.com/disk.img"), func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.Root.PVC.StorageClassName = ptr.To("none-of-this-name")
	}))
	client := as(e, e.UserWith("poor", authorRules()...).Config)
	patch := func(body string) error {
		_, err := client.Patch(e.Context, "machine", types.MergePatchType, []byte(body), metav1.PatchOptions{})
		return err
	}
	assert.NoError(t, patch(`{"spec":{"resources":{"cpu":{"cores":2}}}}`))
	err := patch(`{"spec":{"storage":{"root":{"source":{"http":{"url":"https://elsewhere.example.com/disk.img"}}}}}}`)
	assert.True(t, apierrors.IsForbidden(err), "%v", err)
	assert.ErrorContains(t, err, "http.secretRef")
}

// An importer can reach what a user cannot: its own node, and the metadata service of the cloud.
func TestImportsFromInsideAreRefused(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(halted("existing", func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.Root.PVC.StorageClassName = ptr.To("none-of-this-name")
	}))
	for _, host := range []string{
		"127.0.0.1", "localhost:8080", "[::1]", "169.254.169.254", "[fe80::1]", "metadata.google.internal", "[fd00:ec2::254]",
		"100.100.100.200", "kubernetes.default.svc", "cdi-api.cdi.svc.cluster.local",
	} {
		sources := map[string]cdiv1.DataVolumeSource{
			"http":     {HTTP: &cdiv1.DataVolumeSourceHTTP{URL: "http://" + host + "/disk.img"}},
			"s3":       {S3: &cdiv1.DataVolumeSourceS3{URL: "http://" + host + "/bucket/disk.img"}},
			"registry": {Registry: &cdiv1.DataVolumeSourceRegistry{URL: ptr.To("docker://" + host + "/disk")}},
		}
		for kind, source := range sources {
			for attempt, err := range attempts(e, e.Client(), onRoot(source)) {
				assert.True(t, apierrors.IsForbidden(err), "%s, %s from %s: %v", attempt, kind, host, err)
				assert.ErrorContains(t, err, "spec.storage.root.source."+kind+".url: nothing may be imported from")
			}
		}
	}
	// No address is written like these, though C libraries read one.
	for _, host := range []string{"0x7f000001", "127.1", "2130706433", "0177.0.0.1"} {
		for attempt, err := range attempts(e, e.Client(), onRoot(cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{URL: "http://" + host + "/disk.img"}})) {
			assert.True(t, apierrors.IsInvalid(err), "%s of %s: %v", attempt, host, err)
		}
	}
	for _, scheme := range []string{"file:///etc/shadow", "ftp://images.example.com/disk.img", "gopher://images.example.com/"} {
		for attempt, err := range attempts(e, e.Client(), onRoot(cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{URL: scheme}})) {
			assert.True(t, apierrors.IsInvalid(err), "%s of %s: %v", attempt, scheme, err)
		}
	}
}
