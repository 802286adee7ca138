package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"
)

// planted is what nobody may find in a bundle.
const planted = "hunter2-planted"

func TestSecretsInTextsAreLeftOut(t *testing.T) {
	for _, text := range []string{
		"GET https://ann:" + planted + "@images.example.com/a.qcow2",
		"import of http://images.example.com/a?X-Amz-Signature=" + planted + " failed",
		"Authorization: Bearer " + planted,
		`{"password":"` + planted + `","user":"ann"}`,
		"--token=" + planted + " --v=2",
		"chpasswd: " + planted,
		"api-key = '" + planted + "'",
		"the header was Basic " + planted + "Cg==",
		"-----BEGIN RSA PRIVATE KEY-----\n" + planted + "\n-----END RSA PRIVATE KEY-----",
		"-----BEGIN PRIVATE KEY-----\n" + planted,
	} {
		assert.NotContains(t, Text(text), planted, text)
	}
	for _, harmless := range []string{
		"VirtualServer team/my-vs: create VirtualMachine managed-virtualserver-9dda9", "http://images.example.com/a.qcow2",
		"secrets \"app\" not found", "the token has expired",
	} {
		assert.Equal(t, harmless, Text(harmless))
	}
}

func TestSecretsInObjectsAreLeftOut(t *testing.T) {
	object := map[string]any{
		"kind": "VirtualServer",
		"metadata": map[string]any{
			"name": "my-vs", "managedFields": []any{planted},
			"annotations": map[string]any{
				lastApplied: planted, "example.com/note": planted, "tensorstack.dev/virtualserver-name": "my-vs",
			},
		},
		"spec": map[string]any{
			"cloudInit": planted,
			"storage": map[string]any{"root": map[string]any{"source": map[string]any{"http": map[string]any{
				"url": "https://ann:" + planted + "@example.com/a", "extraHeaders": []any{"X: " + planted}, "secretRef": "names-are-kept"}}}},
			"volumes": []any{map[string]any{"cloudInitNoCloud": map[string]any{"userData": planted, "networkDataBase64": planted,
				"secretRef": map[string]any{"name": "names-are-kept"}}}},
			"containers": []any{map[string]any{"args": []any{"--password=" + planted}, "env": []any{map[string]any{"name": "A", "value": planted}}}},
		},
		"stringData": map[string]any{"a": planted}, "data": map[string]any{"b": planted},
		"status": map[string]any{"message": "https://x/?sig=" + planted, "replicas": int64(2), "ready": true},
	}
	cleaned := Object(object)
	content, err := unstructuredJSON(cleaned)
	require.NoError(t, err)
	assert.NotContains(t, content, planted)
	for _, kept := range []string{"names-are-kept", `"virtualserver-name"`, `"replicas":2`, `"ready":true`} {
		assert.Contains(t, strings.ReplaceAll(content, "tensorstack.dev/", ""), kept)
	}
	assert.Equal(t, planted, object["spec"].(map[string]any)["cloudInit"], "the object itself is not changed")
}

func unstructuredJSON(object map[string]any) (string, error) {
	content, err := (&unstructured.Unstructured{Object: object}).MarshalJSON()
	return string(content), err
}

// A bundle of a cluster in which secrets are everywhere has none of them. What it may not read it says.
func TestBundleHasNoSecrets(t *testing.T) {
	server := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "tensorstack.dev/v1beta1", "kind": "VirtualServer",
		"metadata": map[string]any{"namespace": "team", "name": "my-vs"},
		"spec":     map[string]any{"cloudInit": planted}, "status": map[string]any{"printableStatus": "Running"},
	}}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "virtualserver-system", Name: "virtualserver-apiserver-0"},
		Status:     corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "apiserver", RestartCount: 1}}},
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "virtualserver-system", Name: "tls"}, StringData: map[string]string{"a": planted}}
	lists := map[schema.GroupVersionResource]string{}
	for _, kind := range kinds(Options{}) {
		lists[kind.resource] = "List"
	}
	objects := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists, server)
	objects.PrependReactor("list", "nodes", func(kubetesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("nodes is forbidden: token=" + planted)
	})
	core := fake.NewClientset(pod, secret)

	var out bytes.Buffer
	require.NoError(t, Write(t.Context(), &out, Options{SystemNamespace: "virtualserver-system", Now: time.Unix(0, 0)}, objects, core))
	files := unpack(t, &out)
	for name, content := range files {
		assert.NotContains(t, content, planted, name)
	}
	assert.Contains(t, files["support-bundle/virtualservers.tensorstack.dev.yaml"], "printableStatus: Running")
	assert.Contains(t, files["support-bundle/missing.txt"], "nodes: nodes is forbidden")
	assert.Contains(t, files, "support-bundle/logs/virtualserver-apiserver-0/apiserver.log")
	assert.Contains(t, files, "support-bundle/logs/virtualserver-apiserver-0/apiserver.previous.log")
	for _, action := range append(core.Actions(), objects.Actions()...) {
		assert.NotEqual(t, "secrets", action.GetResource().Resource, "Secrets are not even read")
	}
}

func unpack(t *testing.T, archive io.Reader) map[string]string {
	t.Helper()
	compressed, err := gzip.NewReader(archive)
	require.NoError(t, err)
	files := map[string]string{}
	for reader := tar.NewReader(compressed); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		content, err := io.ReadAll(reader)
		require.NoError(t, err)
		files[header.Name] = string(content)
	}
}

func TestSecretsInLogsAreLeftOut(t *testing.T) {
	log := "one\nthe key is -----BEGIN PRIVATE KEY-----\n" + planted + "\n" + planted + "\n-----END PRIVATE KEY-----\npassword: " + planted + "\nlast"
	cleaned, err := cleanLog(strings.NewReader(log))
	require.NoError(t, err)
	assert.NotContains(t, string(cleaned), planted)
	assert.True(t, strings.HasPrefix(string(cleaned), "one\n"))
	assert.True(t, strings.HasSuffix(string(cleaned), "\nlast"))
}
