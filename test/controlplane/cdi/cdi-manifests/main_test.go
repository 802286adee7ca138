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

// output runs the command for a server on port 9443.
func output(t *testing.T, more ...string) []byte {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.crt")
	require.NoError(t, os.WriteFile(ca, []byte("PEM"), 0o600))
	var out bytes.Buffer
	require.NoError(t, run(append([]string{"--ca-bundle-file", ca, "--cdi-api-url", "https://127.0.0.1:9443"}, more...), &out))
	return out.Bytes()
}

func decode(t *testing.T, stream []byte) []unstructured.Unstructured {
	t.Helper()
	var objects []unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(stream), 4096)
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
	objects := decode(t, output(t))

	count := map[string]int{}
	accounts := []string{}
	for _, object := range objects {
		count[object.GetKind()]++
		assert.NotEmpty(t, object.GetAPIVersion(), object.GetName())
		assert.NotContains(t, object.Object, "status", object.GetName())
		if object.GetKind() == "ServiceAccount" {
			accounts = append(accounts, object.GetName())
			assert.Equal(t, "cdi", object.GetNamespace())
		}
	}
	assert.Equal(t, 12, count["CustomResourceDefinition"])
	assert.Equal(t, 1, count["MutatingWebhookConfiguration"])
	assert.Equal(t, 5, count["ValidatingWebhookConfiguration"])
	for _, kind := range []string{"Namespace", "CDI", "Service", "APIService"} {
		assert.Equal(t, 1, count[kind], kind)
	}
	for _, kind := range []string{"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"} {
		assert.Positive(t, count[kind], kind)
	}
	assert.Subset(t, accounts, []string{"cdi-apiserver", "cdi-sa"})
	assert.Zero(t, count["Deployment"], "the processes replace the pods")
	assert.Equal(t, "Namespace", objects[0].GetKind(), "the namespace must be created first")
}

func TestStreamIsTheSameEachTime(t *testing.T) {
	assert.Equal(t, string(output(t)), string(output(t)))
}

func TestRegistrationsCallTheProcessOnThisMachine(t *testing.T) {
	urls := []string{}
	for _, object := range decode(t, output(t)) {
		switch {
		case object.GetKind() == "APIService":
			port, _, err := unstructured.NestedInt64(object.Object, "spec", "service", "port")
			require.NoError(t, err)
			assert.EqualValues(t, 9443, port)
		case strings.HasSuffix(object.GetKind(), "WebhookConfiguration"):
			webhooks, _, err := unstructured.NestedSlice(object.Object, "webhooks")
			require.NoError(t, err)
			for _, webhook := range webhooks {
				client, _, err := unstructured.NestedMap(webhook.(map[string]any), "clientConfig")
				require.NoError(t, err)
				assert.NotContains(t, client, "service")
				assert.NotEmpty(t, client["caBundle"])
				urls = append(urls, client["url"].(string))
			}
		}
	}
	assert.Contains(t, urls, "https://127.0.0.1:9443/datavolume-mutate")
	assert.Contains(t, urls, "https://127.0.0.1:9443/datavolume-validate")
}

func TestRunRefusesBadFlags(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.crt")
	require.NoError(t, os.WriteFile(ca, []byte("PEM"), 0o600))
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no bundle", []string{"--cdi-api-url", "https://localhost:1"}, "--ca-bundle-file"},
		{"missing bundle", []string{"--cdi-api-url", "https://localhost:1", "--ca-bundle-file", ca + ".none"}, "CA bundle"},
		{"no URL", []string{"--ca-bundle-file", ca}, "--cdi-api-url"},
		{"plain HTTP", []string{"--ca-bundle-file", ca, "--cdi-api-url", "http://localhost:1"}, "https://HOST:PORT"},
		{"a port too high", []string{"--ca-bundle-file", ca, "--cdi-api-url", "https://localhost:1", "--cdi-api-port", "70000"}, "65535"},
		{"an argument", []string{"--ca-bundle-file", ca, "--cdi-api-url", "https://localhost:1", "x"}, "unexpected argument"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			assert.ErrorContains(t, run(test.args, io.Discard), test.want)
		})
	}
}

func TestUploadProxyRunsAsAPodWhereThereIsAnImageOfIt(t *testing.T) {
	var found []string
	for _, object := range decode(t, output(t, "--upload-proxy-image", "example.com/proxy:v1")) {
		if object.GetName() != "cdi-uploadproxy" {
			continue
		}
		found = append(found, object.GetKind())
		if object.GetKind() == "Deployment" {
			containers, _, err := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
			require.NoError(t, err)
			assert.Equal(t, "example.com/proxy:v1", containers[0].(map[string]any)["image"])
		}
	}
	assert.ElementsMatch(t, []string{"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "Service", "Deployment"}, found)
}
