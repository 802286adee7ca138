package controlplane

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func kinds(objects []*unstructured.Unstructured) []string {
	var found []string
	for _, object := range objects {
		found = append(found, object.GetKind())
	}
	return found
}

func TestDecodeManifests(t *testing.T) {
	objects, err := decodeManifests([]byte(`
# a comment alone is no object
---
apiVersion: v1
kind: Namespace
metadata: {name: a}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}
- {apiVersion: v1, kind: Secret, metadata: {name: c}}
---
`))
	require.NoError(t, err)
	assert.Equal(t, []string{"Namespace", "ConfigMap", "Secret"}, kinds(objects))

	for name, stream := range map[string]string{
		"no kind":  "apiVersion: v1",
		"not YAML": "a: [",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decodeManifests([]byte(stream))
			assert.ErrorContains(t, err, "document 1")
		})
	}
}

func TestSortForApplyPutsNeedsFirst(t *testing.T) {
	objects, err := decodeManifests([]byte(`
{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: v1.a}}
---
{apiVersion: kubevirt.io/v1, kind: KubeVirt, metadata: {name: kubevirt}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: b}}
---
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: w}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: s}}
---
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: c}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: n}}
`))
	require.NoError(t, err)
	sortForApply(objects)
	assert.Equal(t, []string{"Namespace", "CustomResourceDefinition", "ServiceAccount", "ClusterRoleBinding",
		"KubeVirt", "ValidatingWebhookConfiguration", "APIService"}, kinds(objects))

	rest, registrations := splitRegistrations(objects)
	assert.Len(t, rest, 5)
	assert.Equal(t, []string{"ValidatingWebhookConfiguration", "APIService"}, kinds(registrations))
}

func TestRedirect(t *testing.T) {
	manifest := []byte(`
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.tensorstack.dev}
spec:
  insecureSkipTLSVerify: true
  service: {namespace: virtualserver-system, name: virtualserver-apiserver}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: hook}
webhooks:
- name: a.example.org
  clientConfig: {service: {namespace: virtualserver-system, name: virtualserver-apiserver, path: /x}}
- name: b.example.org
  clientConfig: {url: "https://127.0.0.1:1/x"}
`)
	objects, err := decodeManifests(manifest)
	require.NoError(t, err)
	target := endpoint{port: 20001, caPEM: []byte("pem")}
	require.NoError(t, redirect(objects, map[string]endpoint{"virtualserver-system/virtualserver-apiserver": target}))

	spec := objects[0].Object["spec"].(map[string]any)
	assert.Equal(t, int64(20001), spec["service"].(map[string]any)["port"])
	assert.Equal(t, "cGVt", spec["caBundle"])
	assert.NotContains(t, spec, "insecureSkipTLSVerify")
	webhooks := objects[1].Object["webhooks"].([]any)
	client := webhooks[0].(map[string]any)["clientConfig"].(map[string]any)
	assert.Equal(t, map[string]any{
		"namespace": "virtualserver-system", "name": "virtualserver-apiserver", "path": "/x", "port": int64(20001),
	}, client["service"])
	assert.Equal(t, "cGVt", client["caBundle"])
	assert.Equal(t, map[string]any{"url": "https://127.0.0.1:1/x"}, webhooks[1].(map[string]any)["clientConfig"])

	objects, err = decodeManifests(manifest)
	require.NoError(t, err)
	assert.ErrorContains(t, redirect(objects, nil), "nothing runs for the Service virtualserver-system/virtualserver-apiserver")
}

func TestReadManifestFolder(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	_, err := readManifestFolder(folder)
	require.ErrorContains(t, err, "no manifests")

	write("kustomization.yaml", "{apiVersion: kustomize.config.k8s.io/v1beta1, kind: Kustomization}")
	write("b.yaml", "{apiVersion: v1, kind: Service, metadata: {name: s}}")
	write("a.yaml", "{apiVersion: v1, kind: Namespace, metadata: {name: n}}")
	write("README.md", "not a manifest")
	require.NoError(t, os.Mkdir(filepath.Join(folder, "last"), 0o700))
	write("last/kustomization.yaml", "{apiVersion: kustomize.config.k8s.io/v1alpha1, kind: Component}")
	write("last/apiservice.yaml", "{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: a}}")
	objects, err := readManifestFolder(folder)
	require.NoError(t, err)
	assert.Equal(t, []string{"Namespace", "Service", "APIService"}, kinds(objects))
}

func TestOwnManifestsDecode(t *testing.T) {
	for name, stream := range map[string][]byte{"storage": storageManifest, "storage profiles": storageProfiles, "volume snapshots": volumeSnapshots, "node agent": nodeAgentManifest, "audit policy": auditPolicy} {
		t.Run(name, func(t *testing.T) {
			objects, err := decodeManifests(stream)
			require.NoError(t, err)
			assert.NotEmpty(t, objects)
		})
	}
	objects, err := decodeManifests(storageManifest)
	require.NoError(t, err)
	for _, object := range objects {
		assert.Equal(t, DiskProvisioner, object.Object["provisioner"], object.GetName())
	}
}
