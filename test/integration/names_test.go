package integration

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/naming"
	"tensorstack.dev/virtualserver/test/framework"
)

// foreignObject is an object of somebody else.
type foreignObject struct {
	resource   schema.GroupVersionResource
	apiVersion string
	kind       string
	content    map[string]any
}

// foreignObjects are one of every kind that a VirtualServer makes. The key is the name of a VirtualServer as well.
func foreignObjects() map[string]foreignObject {
	core := func(resource string) schema.GroupVersionResource {
		return schema.GroupVersionResource{Version: "v1", Resource: resource}
	}
	claim := map[string]any{
		"accessModes": []any{"ReadWriteOnce"},
		"resources":   map[string]any{"requests": map[string]any{"storage": "1Gi"}},
	}
	return map[string]foreignObject{
		"secret": {core("secrets"), "v1", "Secret", map[string]any{"stringData": map[string]any{"userdata": "theirs"}}},
		"service": {core("services"), "v1", "Service", map[string]any{
			"spec": map[string]any{"ports": []any{map[string]any{"port": int64(80)}}}}},
		"claim": {core("persistentvolumeclaims"), "v1", "PersistentVolumeClaim", map[string]any{"spec": claim}},
		"volume": {schema.GroupVersionResource{Group: "cdi.kubevirt.io", Version: "v1beta1", Resource: "datavolumes"},
			"cdi.kubevirt.io/v1beta1", "DataVolume",
			map[string]any{"spec": map[string]any{"source": map[string]any{"blank": map[string]any{}}, "pvc": claim}}},
		"machine": {schema.GroupVersionResource{Group: "kubevirt.io", Version: "v1", Resource: "virtualmachines"},
			"kubevirt.io/v1", "VirtualMachine", map[string]any{"spec": map[string]any{
				"runStrategy": "Halted",
				"template": map[string]any{"spec": map[string]any{"domain": map[string]any{
					"devices": map[string]any{}, "memory": map[string]any{"guest": "64Mi"}}}}}}},
	}
}

// Names have five hexadecimal digits, so collisions happen. Here they are made: the product is kept from creating anything
// until somebody else has taken the name that it has recorded.
func TestTakenNamesAreLeftAloneAndHashedAgain(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	letGo := holdProductBack(e)
	foreign := foreignObjects()
	taken := map[string]*unstructured.Unstructured{}
	for name, object := range foreign {
		created := e.Create(framework.Minimal(name, func(vs *v1beta1.VirtualServer) {
			vs.Spec.CloudInit = "#cloud-config\nhostname: machine\n"
			vs.Spec.Network.TCP = []int32{22}
		}))
		machine := e.MachineName(name)
		require.Equal(t, naming.VMName(name, created.UID, 0), machine)
		taken[name] = object.create(e, machine)
	}
	letGo()
	for name, object := range foreign {
		vs := e.Wait(name, "runs under another name", func(vs *v1beta1.VirtualServer) string {
			switch {
			case vs.Status.VM.CollisionCount == 0:
				// The controller waits longer and longer after each refusal. A change makes it look at once.
				_, err := e.Client().Patch(e.Context, name, types.MergePatchType,
					[]byte(`{"metadata":{"annotations":{"poke":"`+vs.ResourceVersion+`"}}}`), metav1.PatchOptions{})
				require.NoError(t, err)
				return "still the taken name"
			case vs.Status.PrintableStatus != v1beta1.StatusRunning:
				return "not running"
			}
			return ""
		})
		assert.Equal(t, naming.VMName(name, vs.UID, vs.Status.VM.CollisionCount), vs.Status.VM.Name)
		assert.NotNil(t, e.Machine(vs.Status.VM.Name))
		object.untouched(e, taken[name])
	}
	e.Eventually("nothing of ours is left under the taken names", func() error {
		for name := range foreign {
			if err := nothingOfOurs(e, taken[name].GetName()); err != nil {
				return err
			}
		}
		return nil
	})
	e.MustKubectl("delete", "virtualservers", "--all", "--timeout=90s")
	for name, object := range foreign {
		object.untouched(e, taken[name])
	}
}

func (f foreignObject) create(e *framework.Environment, name string) *unstructured.Unstructured {
	e.T.Helper()
	object := &unstructured.Unstructured{Object: f.content}
	object.SetAPIVersion(f.apiVersion)
	object.SetKind(f.kind)
	object.SetName(name)
	object.SetLabels(map[string]string{"owner": "somebody-else"})
	created, err := e.Dynamic.Resource(f.resource).Namespace(e.Namespace).Create(e.Context, object, metav1.CreateOptions{})
	require.NoError(e.T, err)
	return created
}

// untouched says that the object is there as it was, but for what its own controllers write.
func (f foreignObject) untouched(e *framework.Environment, before *unstructured.Unstructured) {
	e.T.Helper()
	now, err := e.Dynamic.Resource(f.resource).Namespace(e.Namespace).Get(e.Context, before.GetName(), metav1.GetOptions{})
	require.NoError(e.T, err)
	assert.Equal(e.T, before.GetUID(), now.GetUID())
	assert.Nil(e.T, now.GetDeletionTimestamp())
	assert.Equal(e.T, "somebody-else", now.GetLabels()["owner"])
	for key := range now.GetLabels() {
		assert.NotContains(e.T, key, "tensorstack.dev")
	}
	assert.Equal(e.T, before.Object["data"], now.Object["data"])
	for _, field := range now.GetManagedFields() {
		assert.NotContains(e.T, field.Manager, "virtualserver", "%s %s is written by us", f.kind, before.GetName())
	}
}

// nothingOfOurs looks for objects of ours under a name.
func nothingOfOurs(e *framework.Environment, name string) error {
	for _, object := range foreignObjects() {
		found, err := e.Dynamic.Resource(object.resource).Namespace(e.Namespace).Get(e.Context, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		if found.GetLabels()["tensorstack.dev/virtualserver-uid"] != "" {
			return fmt.Errorf("%s %s is ours", object.kind, name)
		}
	}
	return nil
}

// productUser is the identity of the product in the cluster.
const productUser = "system:serviceaccount:virtualserver-system:virtualserver-apiserver"

// holdProductBack keeps the product from creating anything in the test's namespace, until the function that it returns is
// called.
func holdProductBack(e *framework.Environment) (letGo func()) {
	e.T.Helper()
	policy := fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: %[1]s
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      - {apiGroups: ["*"], apiVersions: ["*"], operations: [CREATE], resources: [secrets, services, datavolumes, virtualmachines]}
  validations:
    - {expression: 'request.userInfo.username != "%[2]s"', message: the test holds the product back, reason: Forbidden}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: %[1]s
spec:
  policyName: %[1]s
  validationActions: [Deny]
  matchResources:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}
`, e.Namespace, productUser)
	require.NoError(e.T, e.Plane.Apply(e.Context, []byte(policy)))
	remove := func() {
		for _, kind := range []string{"validatingadmissionpolicybinding", "validatingadmissionpolicy"} {
			if result := e.Kubectl("delete", kind, e.Namespace, "--ignore-not-found"); result.Err != nil {
				e.T.Logf("delete %s: %s", kind, result.Stderr)
			}
		}
	}
	e.T.Cleanup(remove)
	config := rest.CopyConfig(e.Config)
	config.Impersonate.UserName = productUser
	asProduct, err := dynamic.NewForConfig(config)
	require.NoError(e.T, err)
	attempt := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "attempt"}}}
	e.Eventually("the product is held back", func() error {
		_, err := asProduct.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).Namespace(e.Namespace).
			Create(e.Context, attempt.DeepCopy(), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if apierrors.IsForbidden(err) {
			return nil
		}
		return fmt.Errorf("a Secret would be created: %v", err)
	})
	return remove
}
