package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// generate runs the command and reads its output back.
func generate(t *testing.T, args ...string) []unstructured.Unstructured {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.crt")
	require.NoError(t, os.WriteFile(ca, []byte("PEM"), 0o600))
	var out bytes.Buffer
	require.NoError(t, run(append([]string{"--ca-bundle-file", ca}, args...), &out))

	var objects []unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(&out, 4096)
	for {
		object := unstructured.Unstructured{}
		err := decoder.Decode(&object)
		if err == io.EOF {
			return objects
		}
		require.NoError(t, err)
		objects = append(objects, object)
	}
}

func TestStreamHasWhatTheOperatorInstalls(t *testing.T) {
	objects := generate(t, "--virt-api-url", "https://127.0.0.1:9443")

	count := map[string]int{}
	for _, object := range objects {
		count[object.GetKind()]++
		assert.NotEmpty(t, object.GetAPIVersion(), object.GetName())
		assert.NotContains(t, object.Object, "status", object.GetName())
		assert.NotContains(t, object.Object["metadata"], "creationTimestamp", object.GetName())
	}
	assert.Equal(t, 17, count["CustomResourceDefinition"])
	assert.Equal(t, 2, count["APIService"], "v1 and v1alpha3 of the subresources")
	for _, kind := range []string{"Namespace", "KubeVirt", "ConfigMap", "Service", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"} {
		assert.Equal(t, 1, count[kind], kind)
	}
	assert.Equal(t, 3, count["ServiceAccount"], "virt-api, virt-controller, virt-handler")
	for _, kind := range []string{"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"} {
		assert.Positive(t, count[kind], kind)
	}
	assert.Equal(t, "Namespace", objects[0].GetKind(), "the namespace must be created first")
}

func TestWebhooksCallTheProcessOnThisMachine(t *testing.T) {
	seen := 0
	for _, object := range generate(t, "--virt-api-url", "https://127.0.0.1:9443") {
		if !strings.HasSuffix(object.GetKind(), "WebhookConfiguration") {
			continue
		}
		webhooks, _, err := unstructured.NestedSlice(object.Object, "webhooks")
		require.NoError(t, err)
		for _, webhook := range webhooks {
			client, _, err := unstructured.NestedMap(webhook.(map[string]any), "clientConfig")
			require.NoError(t, err)
			assert.NotContains(t, client, "service")
			assert.Regexp(t, `^https://127\.0\.0\.1:9443/.+`, client["url"])
			assert.NotEmpty(t, client["caBundle"])
			seen++
		}
	}
	assert.Positive(t, seen)
}

func TestAPIServicesUseThePort(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want int64
	}{
		{"of the URL", []string{"--virt-api-url", "https://127.0.0.1:9443"}, 9443},
		{"of its own flag", []string{"--virt-api-url", "https://127.0.0.1:9443", "--virt-api-port", "9444"}, 9444},
		{"of https", []string{"--virt-api-url", "https://localhost"}, 443},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, object := range generate(t, test.args...) {
				if object.GetKind() != "APIService" {
					continue
				}
				port, _, err := unstructured.NestedInt64(object.Object, "spec", "service", "port")
				require.NoError(t, err)
				assert.Equal(t, test.want, port)
			}
		})
	}
}

func TestRunRefusesBadFlags(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.crt")
	require.NoError(t, os.WriteFile(ca, []byte("PEM"), 0o600))
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no bundle", []string{"--virt-api-url", "https://localhost:1"}, "--ca-bundle-file"},
		{"missing bundle", []string{"--virt-api-url", "https://localhost:1", "--ca-bundle-file", ca + ".none"}, "CA bundle"},
		{"no URL", []string{"--ca-bundle-file", ca}, "--virt-api-url"},
		{"plain HTTP", []string{"--ca-bundle-file", ca, "--virt-api-url", "http://localhost:1"}, "https://HOST:PORT"},
		{"a path", []string{"--ca-bundle-file", ca, "--virt-api-url", "https://localhost:1/x"}, "https://HOST:PORT"},
		{"a port too high", []string{"--ca-bundle-file", ca, "--virt-api-url", "https://localhost:1", "--virt-api-port", "70000"}, "65535"},
		{"an argument", []string{"--ca-bundle-file", ca, "--virt-api-url", "https://localhost:1", "x"}, "unexpected argument"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			assert.ErrorContains(t, run(test.args, io.Discard), test.want)
		})
	}
}
