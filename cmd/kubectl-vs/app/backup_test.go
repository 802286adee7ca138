package app

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/generated/clientset/versioned/fake"
)

func inTeam(name string) v1beta1.VirtualServer {
	return *machine(func(vs *v1beta1.VirtualServer) {
		vs.Name, vs.UID, vs.ResourceVersion = name, "uid-"+"of-"+"before", "7"
		vs.Finalizers = []string{"tensorstack.dev/machine"}
		vs.Labels = map[string]string{"app": "shop"}
		vs.Spec.CloudInit = "#cloud-config\n---\nuser: ann\n"
	})
}

// What is backed up comes back, without what belongs to the servers.
func TestBackupAndRestore(t *testing.T) {
	deleted := inTeam("deleted")
	now := at(0)
	deleted.DeletionTimestamp = &now
	var file bytes.Buffer
	number, err := writeBackup(&file, []v1beta1.VirtualServer{inTeam("web"), deleted, inTeam("db")})
	require.NoError(t, err)
	assert.Equal(t, 2, number)
	for _, word := range []string{"uid-of-before", "finalizers", "resourceVersion", "status", "creationTimestamp"} {
		assert.NotContains(t, file.String(), word)
	}

	servers, err := readBackup(&file)
	require.NoError(t, err)
	require.Len(t, servers, 2)
	assert.Equal(t, "db", servers[0].Name)
	assert.Equal(t, map[string]string{"app": "shop"}, servers[0].Labels)
	assert.Equal(t, inTeam("db").Spec.CloudInit, servers[0].Spec.CloudInit)

	there := inTeam("web")
	there.Spec.CloudInit = "newer"
	client := fake.NewSimpleClientset(&there)
	var out bytes.Buffer
	require.NoError(t, restoring{out: &out, group: client.TensorstackV1beta1(), halted: true}.all(t.Context(), servers))
	assert.Equal(t, "virtualserver.tensorstack.dev/db restored in namespace team\n"+
		"virtualserver.tensorstack.dev/web exists and is left as it is in namespace team\n", out.String())
	db, err := client.TensorstackV1beta1().VirtualServers("team").Get(t.Context(), "db", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, v1beta1.RunStrategyHalted, db.Spec.RunStrategy)
	assert.Empty(t, db.Finalizers)
	web, err := client.TensorstackV1beta1().VirtualServers("team").Get(t.Context(), "web", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, "newer", web.Spec.CloudInit)
}

func TestRestoreOfOneNamespace(t *testing.T) {
	other := inTeam("mail")
	other.Namespace = "other"
	client := fake.NewSimpleClientset()
	var out bytes.Buffer
	restore := restoring{out: &out, group: client.TensorstackV1beta1(), namespace: "other"}
	require.NoError(t, restore.all(t.Context(), []v1beta1.VirtualServer{inTeam("web"), other}))
	assert.Equal(t, "virtualserver.tensorstack.dev/mail restored in namespace other\n", out.String())
}

// A file that is broken anywhere makes nothing.
func TestBrokenBackups(t *testing.T) {
	good := "apiVersion: tensorstack.dev/v1beta1\nkind: VirtualServer\nmetadata: {name: a, namespace: b}\nspec: {}\n"
	for name, file := range map[string]string{
		"another kind":   "apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: b}\n",
		"no namespace":   "apiVersion: tensorstack.dev/v1beta1\nkind: VirtualServer\nmetadata: {name: a}\n",
		"another verson": "apiVersion: tensorstack.dev/v1\nkind: VirtualServer\nmetadata: {name: a, namespace: b}\n",
		"cut":            good + "---\nspec: {",
		"no YAML":        "\tx",
	} {
		_, err := readBackup(strings.NewReader(good + "---\n" + file))
		assert.Error(t, err, name)
	}
	servers, err := readBackup(strings.NewReader("---\n---\n" + good + "---\n"))
	require.NoError(t, err)
	assert.Len(t, servers, 1)
}
