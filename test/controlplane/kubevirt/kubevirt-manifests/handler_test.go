package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// handlerImage is what the lab's nodes have.
const handlerImage = "docker.io/local/virt-launcher:v1.7.0"

// daemonSet returns the only DaemonSet among the objects.
func daemonSet(t *testing.T, objects []unstructured.Unstructured) *appsv1.DaemonSet {
	t.Helper()
	i := slices.IndexFunc(objects, func(o unstructured.Unstructured) bool { return o.GetKind() == "DaemonSet" })
	require.GreaterOrEqual(t, i, 0, "no DaemonSet")
	set := &appsv1.DaemonSet{}
	require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructured(objects[i].Object, set))
	return set
}

// argument returns the value that follows flag.
func argument(args []string, flag string) string {
	i := slices.Index(args, flag)
	if i < 0 || i+1 >= len(args) {
		return ""
	}
	return args[i+1]
}

func TestNoHandlerUnlessAsked(t *testing.T) {
	for _, object := range generate(t, "--virt-api-url", "https://127.0.0.1:9443") {
		assert.NotContains(t, []string{"DaemonSet", "PriorityClass"}, object.GetKind())
	}
}

func TestHandlerDaemonSet(t *testing.T) {
	objects := generate(t, "--virt-api-url", "https://127.0.0.1:9443", "--handler-image", handlerImage,
		"--handler-console-port", "20001", "--handler-port", "20002", "--handler-kubeconfig-configmap", "door")
	set := daemonSet(t, objects)
	assert.Equal(t, "virt-handler", set.Name)
	assert.Equal(t, "kubevirt", set.Namespace)

	pod := set.Spec.Template.Spec
	assert.True(t, pod.HostNetwork)
	assert.True(t, pod.HostPID)
	assert.Equal(t, "kubevirt-handler", pod.ServiceAccountName)
	class := slices.IndexFunc(objects, func(o unstructured.Unstructured) bool { return o.GetKind() == "PriorityClass" })
	require.GreaterOrEqual(t, class, 0)
	assert.Equal(t, pod.PriorityClassName, objects[class].GetName())

	require.Len(t, pod.InitContainers, 1)
	assert.Equal(t, handlerImage, pod.InitContainers[0].Image)
	require.Len(t, pod.Containers, 1)
	container := pod.Containers[0]
	assert.Equal(t, handlerImage, container.Image)
	assert.Equal(t, "20001", argument(container.Args, "--console-server-port"))
	assert.Equal(t, "20002", argument(container.Args, "--port"))
	assert.Equal(t, "/etc/kubeconfig/kubeconfig", argument(container.Args, "--kubeconfig"))
	assert.Equal(t, 20002, container.LivenessProbe.HTTPGet.Port.IntValue())
	assert.Equal(t, 20002, container.ReadinessProbe.HTTPGet.Port.IntValue())
	assert.EqualValues(t, 20002, container.Ports[0].ContainerPort)

	volume := pod.Volumes[len(pod.Volumes)-1]
	require.NotNil(t, volume.ConfigMap)
	assert.Equal(t, "door", volume.ConfigMap.Name)
	mount := container.VolumeMounts[len(container.VolumeMounts)-1]
	assert.Equal(t, volume.Name, mount.Name)
	assert.Equal(t, "/etc/kubeconfig", mount.MountPath)
}

func TestHandlerAsAnyPodWithoutAConfigMap(t *testing.T) {
	set := daemonSet(t, generate(t, "--virt-api-url", "https://127.0.0.1:9443", "--handler-image", handlerImage))
	assert.NotContains(t, set.Spec.Template.Spec.Containers[0].Args, "--kubeconfig")
}

func TestNodeLabellerFollowsEmulation(t *testing.T) {
	tests := []struct {
		flag string
		want string
	}{
		{"--use-emulation=true", emulatedLabeller},
		{"--use-emulation=false", "node-labeller.sh"},
	}
	for _, test := range tests {
		t.Run(test.flag, func(t *testing.T) {
			set := daemonSet(t, generate(t, "--virt-api-url", "https://127.0.0.1:9443", "--handler-image", handlerImage, test.flag))
			assert.Equal(t, []string{test.want}, set.Spec.Template.Spec.InitContainers[0].Args)
		})
	}
}

func TestHandlerRefusesBadFlags(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.crt")
	require.NoError(t, os.WriteFile(ca, []byte("PEM"), 0o600))
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no tag", []string{"--handler-image", "docker.io/local/virt-launcher"}, "needs a tag"},
		{"a port is no tag", []string{"--handler-image", "registry:5000/virt-launcher"}, "needs a tag"},
		{"latest", []string{"--handler-image", "docker.io/local/virt-launcher:latest"}, "other than latest"},
		{"console port 0", []string{"--handler-image", handlerImage, "--handler-console-port", "0"}, "console port 0"},
		{"port too high", []string{"--handler-image", handlerImage, "--handler-port", "65536"}, "port 65536"},
		{"one port twice", []string{"--handler-image", handlerImage, "--handler-port", "8186"}, "8186 twice"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			args := append([]string{"--ca-bundle-file", ca, "--virt-api-url", "https://localhost:1"}, test.args...)
			assert.ErrorContains(t, run(args, io.Discard), test.want)
		})
	}
}

// TestSchemasTakeEveryChecksum looks at what is printed, whatever builds it.
func TestSchemasTakeEveryChecksum(t *testing.T) {
	found := map[string]int{}
	var walk func(name string, value any)
	walk = func(name string, value any) {
		switch value := value.(type) {
		case map[string]any:
			if wide(name) && value["type"] == "integer" {
				assert.Equal(t, "int64", value["format"], name)
				found[name]++
			}
			for key, child := range value {
				walk(key, child)
			}
		case []any:
			for _, child := range value {
				walk("", child)
			}
		}
	}
	for _, object := range generate(t, "--virt-api-url", "https://127.0.0.1:9443") {
		if object.GetKind() == "CustomResourceDefinition" {
			walk("", object.Object)
		}
	}
	assert.Equal(t, map[string]int{"checksum": 6, "VSOCKCID": 2}, found, "both versions of the VMI")
}
