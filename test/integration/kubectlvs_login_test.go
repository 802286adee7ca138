package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

const somebodysKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUXwX8UeE1uJpMCq3sZyQEFv9MBVg6ZAmPvmVZkbQeY ann@laptop"

// What a new machine's user needs to log in is made with it, reaches KubeVirt, and is read by nobody else.
func TestKubectlVSCreateLetsItsUserLogIn(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	file := filepath.Join(t.TempDir(), "key.pub")
	require.NoError(t, os.WriteFile(file, []byte(somebodysKey+"\n"), 0o600))
	create := []string{"vs", "-n", e.Namespace, "create", "web", image, "--disk=1Gi", "--memory=1Gi", "--user=ann", "--password-stdin", "--ssh-key", file}

	planned := e.Run("correct horse\n", "kubectl", append(create, "--dry-run=server", "-o", "yaml")...)
	require.NoError(t, planned.Err, planned.Stderr)
	assert.Empty(t, e.MustKubectl("get", "secrets", "-o", "name"), "a dry run makes nothing")

	created := e.Run("correct horse\n", "kubectl", create...)
	require.NoError(t, created.Err, created.Stderr)
	assert.Equal(t, "virtualserver.tensorstack.dev/web created\n", created.Stdout)
	assert.Contains(t, created.Stderr, "Log in: kubectl vs ssh web -n "+e.Namespace)
	vs := e.WaitStatus("web", v1beta1.StatusRunning)
	assert.Equal(t, "ann", vs.Annotations[v1beta1.AnnotationLoginUser])

	machine := e.MustKubectl("get", "vm", vs.Status.VM.Name, "-o", "yaml")
	assert.Contains(t, machine, "web-ssh-keys", "KubeVirt is given the keys")
	shown := machine + e.MustKubectl("get", "virtualserver", "web", "-o", "yaml") + e.MustKubectl("describe", "virtualserver", "web") + e.MustKubectl("get", "events", "-o", "yaml")
	for _, secret := range []string{"correct horse", "$6$", strings.Fields(somebodysKey)[1]} {
		assert.NotContains(t, shown+created.Stdout+created.Stderr, secret)
	}

	again := e.Run("x\n", "kubectl", create...)
	require.Error(t, again.Err)
	assert.Contains(t, again.Stderr, `virtualservers.tensorstack.dev "web" already exists`)

	// They belong to nobody in the sense of garbage collection, since the store may be lost. The next machine of the name has its own.
	assert.Empty(t, e.MustKubectl("get", "secrets", "-l", "tensorstack.dev/made-for=web", "-o", "jsonpath={.items[*].metadata.ownerReferences}"))
	e.MustKubectl("delete", "virtualserver", "web")
	before := e.MustKubectl("get", "secret", "web-cloud-init", "-o", "jsonpath={.data.userdata}")
	next := e.Run("other\n", "kubectl", create...)
	require.NoError(t, next.Err, next.Stderr)
	assert.NotEqual(t, before, e.MustKubectl("get", "secret", "web-cloud-init", "-o", "jsonpath={.data.userdata}"))
}

// A user without rights in the product's namespace sees the cluster's catalogue, and makes a machine by a name of it.
func TestKubectlVSImagesOfTheCluster(t *testing.T) {
	e := framework.New(t)
	published := e.Run("", "kubectl", "apply", "-f", "artifacts/images/images.yaml")
	require.NoError(t, published.Err, published.Stderr)
	t.Cleanup(func() { e.Run("", "kubectl", "delete", "-f", "artifacts/images/images.yaml") })
	user := e.UserWith("newcomer",
		rbacv1.PolicyRule{APIGroups: []string{"tensorstack.dev"}, Resources: []string{"virtualservers"}, Verbs: []string{"create", "get"}})
	environ := e.As(user.Kubeconfig)
	listed := e.RunIn(environ, "", "kubectl", "vs", "images")
	require.NoError(t, listed.Err, listed.Stderr)
	assert.Regexp(t, `(?m)^debian:13 +Debian +debian +https://`, listed.Stdout)

	made := e.RunIn(environ, "", "kubectl", "vs", "-n", e.Namespace, "create", "web", "--image", "debian:13", "--run-strategy", "Halted", "--ssh-key", "none")
	require.NoError(t, made.Err, made.Stderr)
	assert.Contains(t, e.Get("web").Spec.Storage.Root.Source.HTTP.URL, "debian-13")
	wrong := e.RunIn(environ, "", "kubectl", "vs", "-n", e.Namespace, "create", "other", "--image", "debain:13")
	require.Error(t, wrong.Err)
	assert.Contains(t, wrong.Stderr, "did you mean debian?")
	// Keys are in a Secret, and this user may make none. Nothing is half-made.
	file := filepath.Join(t.TempDir(), "key.pub")
	require.NoError(t, os.WriteFile(file, []byte(somebodysKey+"\n"), 0o600))
	refused := e.RunIn(environ, "", "kubectl", "vs", "-n", e.Namespace, "create", "other", "--ssh-key", file)
	require.Error(t, refused.Err)
	assert.Contains(t, refused.Stderr, "secrets")
	assert.Error(t, e.Kubectl("get", "virtualserver", "other").Err)
}

// The versions of everything a machine depends on, as the servers tell them.
func TestKubectlVSVersion(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	shown := e.Run("", "kubectl", "vs", "version")
	require.NoError(t, shown.Err, shown.Stderr)
	assert.Regexp(t, `(?m)^Client: +v\d`, shown.Stdout)
	assert.Regexp(t, `(?m)^Server: +v\d`, shown.Stdout)
	assert.Regexp(t, `(?m)^Kubernetes: +v1\.\d+`, shown.Stdout)
	assert.NotContains(t, shown.Stdout, "not installed")
}
