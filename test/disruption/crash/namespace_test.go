package crash

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/generated/clientset/versioned"
	"tensorstack.dev/virtualserver/test/framework"
)

const apiService = "v1beta1.tensorstack.dev"

// testNextTenant deletes a namespace while the product and its APIService are away, and lets somebody else make a namespace
// of that name. Nothing of the old machines comes to be there, until an administrator gives them back.
func testNextTenant(t *testing.T, e *framework.Environment) {
	p := product{e}
	t.Cleanup(p.recover)
	e.Create(framework.Minimal("web", withEverything))
	e.Create(framework.Minimal("idle", framework.WithStrategy(v1beta1.RunStrategyHalted)))
	old := e.WaitSettled("web", v1beta1.StatusRunning)
	e.WaitSettled("idle", v1beta1.StatusStopped)
	require.Equal(t, string(old.Status.NamespaceUID), p.namespaceUID())

	p.kill()
	service := p.removeAPIService()
	p.deleteNamespace()
	p.makeNamespace()
	p.putAPIService(service)
	p.start()
	list, err := e.Client().List(e.Context, metav1.ListOptions{})
	require.NoError(t, err)
	assert.Empty(t, list.Items, "the old machines are not in the new namespace")
	assert.Equal(t, []string{"idle", "web"}, p.heldNames())
	p.controllersWork()
	assert.Empty(t, identities(e), "nothing is made in the new namespace")

	// Who makes the namespace is nobody to look at them, whatever rights there they have.
	tenant := e.UserInRole("tenant", "admin")
	client, err := versioned.NewForConfig(e.ProductConfig(tenant.Config))
	require.NoError(t, err)
	_, err = client.TensorstackV1beta1().HeldVirtualServers().List(e.Context, metav1.ListOptions{})
	require.True(t, apierrors.IsForbidden(err), "%v", err)
	result := e.RunIn(e.As(tenant.Kubeconfig), "", "kubectl", "vs", "held", "restore", "web")
	require.Error(t, result.Err)
	assert.Contains(t, result.Stderr, "forbidden")

	// The name is theirs to use.
	e.Create(framework.Minimal("web", framework.WithStrategy(v1beta1.RunStrategyHalted)))
	assert.Equal(t, p.namespaceUID(), string(e.WaitSettled("web", v1beta1.StatusStopped).Status.NamespaceUID))
	listed := p.mustVS("held")
	assert.Contains(t, listed, "NamespaceReplaced")
	assert.Contains(t, listed, string(old.UID))
	assert.Contains(t, e.MustKubectl("get", "heldvirtualservers"), string(old.UID))
	assert.Contains(t, p.metrics(), "virtualserver_held_objects 2")
	taken := p.vs("held", "restore", "web")
	require.Error(t, taken.Err)
	assert.Contains(t, taken.Stderr, "has a VirtualServer web already")
	require.NoError(t, e.Client().Delete(e.Context, "web", metav1.DeleteOptions{}))
	p.gone("web")

	assert.Contains(t, p.mustVS("held", "restore", "--all"), "web restored")
	vs := e.WaitSettled("web", v1beta1.StatusRunning)
	assert.Equal(t, old.UID, vs.UID, "it is the same one")
	assert.Equal(t, old.Status.VM.Name, vs.Status.VM.Name)
	assert.Equal(t, old.Spec.CloudInit, vs.Spec.CloudInit)
	assert.Equal(t, p.namespaceUID(), string(vs.Status.NamespaceUID))
	e.WaitSettled("idle", v1beta1.StatusStopped)
	assert.Empty(t, p.heldNames())
	p.stop()
	p.start()
	assert.Equal(t, vs.UID, e.Get("web").UID, "it stays")
}

// testNamespaceGoesUnderARunningServer takes only the APIService away. The server sees the namespace go.
func testNamespaceGoesUnderARunningServer(t *testing.T, e *framework.Environment) {
	p := product{e}
	t.Cleanup(p.recover)
	e.Create(framework.Minimal("web", withEverything))
	e.WaitSettled("web", v1beta1.StatusRunning)
	service := p.removeAPIService()
	p.deleteNamespace()
	e.Eventually("the VirtualServer is held", func() error {
		if held := p.heldNames(); len(held) != 1 {
			return fmt.Errorf("held are %v", held)
		}
		return nil
	})
	p.makeNamespace()
	p.putAPIService(service)
	p.nudge()
	_, err := e.Client().Get(e.Context, "web", metav1.GetOptions{})
	require.True(t, apierrors.IsNotFound(err), "%v", err)
	p.controllersWork()
	assert.Empty(t, identities(e))
	assert.Contains(t, p.mustVS("held", "delete", "web"), "web deleted")
	assert.Empty(t, p.heldNames())

	// With the APIService in place a namespace takes its machines along, and nothing is held.
	e.Create(framework.Minimal("again", withEverything))
	e.WaitSettled("again", v1beta1.StatusRunning)
	p.deleteNamespace()
	assert.Empty(t, p.heldNames())
	p.makeNamespace()
	list, err := e.Client().List(e.Context, metav1.ListOptions{})
	require.NoError(t, err)
	assert.Empty(t, list.Items)
}

// vs runs the plugin in the test's namespace.
func (p product) vs(arguments ...string) framework.Result {
	p.T.Helper()
	return p.Run("", "kubectl", append(append([]string{"vs"}, arguments...), "--namespace", p.Namespace)...)
}

func (p product) mustVS(arguments ...string) string {
	p.T.Helper()
	result := p.vs(arguments...)
	require.NoError(p.T, result.Err, "%v\n%s%s", arguments, result.Stdout, result.Stderr)
	return result.Stdout
}

func (p product) namespaceUID() string {
	p.T.Helper()
	namespace, err := p.Kube.CoreV1().Namespaces().Get(p.Context, p.Namespace, metav1.GetOptions{})
	require.NoError(p.T, err)
	return string(namespace.UID)
}

// deleteNamespace deletes the test's namespace and waits until it is gone.
func (p product) deleteNamespace() {
	p.T.Helper()
	require.NoError(p.T, p.Kube.CoreV1().Namespaces().Delete(p.Context, p.Namespace, metav1.DeleteOptions{}))
	p.Within(2*framework.DefaultTimeout, "the namespace is gone", func() error {
		namespace, err := p.Kube.CoreV1().Namespaces().Get(p.Context, p.Namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is still there: %v, %v", namespace.Status, err)
	})
}

func (p product) makeNamespace() {
	p.T.Helper()
	_, err := p.Kube.CoreV1().Namespaces().Create(p.Context,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.Namespace}}, metav1.CreateOptions{})
	require.NoError(p.T, err)
	p.Eventually("the default ServiceAccount exists", func() error {
		_, err := p.Kube.CoreV1().ServiceAccounts(p.Namespace).Get(p.Context, "default", metav1.GetOptions{})
		return err
	})
}

func apiServices() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
}

// removeAPIService frees the cluster from a server that is away, as docs/administration.md has it. It is put back when the
// test ends.
func (p product) removeAPIService() *unstructured.Unstructured {
	p.T.Helper()
	service, err := p.Dynamic.Resource(apiServices()).Get(p.Context, apiService, metav1.GetOptions{})
	require.NoError(p.T, err)
	p.T.Cleanup(func() {
		if p.T.Failed() {
			_, err := p.Dynamic.Resource(apiServices()).Create(context.Background(), fresh(service), metav1.CreateOptions{})
			p.T.Log("put the APIService back: ", err)
		}
	})
	require.NoError(p.T, p.Dynamic.Resource(apiServices()).Delete(p.Context, apiService, metav1.DeleteOptions{}))
	return service
}

func (p product) putAPIService(service *unstructured.Unstructured) {
	p.T.Helper()
	_, err := p.Dynamic.Resource(apiServices()).Create(p.Context, fresh(service), metav1.CreateOptions{})
	require.NoError(p.T, err)
}

// fresh is an object as somebody would create it.
func fresh(object *unstructured.Unstructured) *unstructured.Unstructured {
	created := object.DeepCopy()
	for _, field := range []string{"resourceVersion", "uid", "creationTimestamp", "managedFields"} {
		unstructured.RemoveNestedField(created.Object, "metadata", field)
	}
	unstructured.RemoveNestedField(created.Object, "status")
	return created
}

// heldNames are the names of the held VirtualServers of the test's namespace, in order.
func (p product) heldNames() []string {
	p.T.Helper()
	list, err := p.VirtualServers.TensorstackV1beta1().HeldVirtualServers().List(p.Context, metav1.ListOptions{})
	require.NoError(p.T, err)
	found := map[string]bool{}
	for _, held := range list.Items {
		if held.VirtualServer.Namespace == p.Namespace {
			found[held.VirtualServer.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// controllersWork waits until the controllers have made a machine elsewhere: whatever they wanted to make in the test's
// namespace they would have made by then.
func (p product) controllersWork() {
	p.T.Helper()
	elsewhere := *p.Environment
	elsewhere.Namespace = p.CreateNamespace("probe-")
	elsewhere.Create(framework.Minimal("probe"))
	elsewhere.WaitSettled("probe", v1beta1.StatusRunning)
}

// gone waits until a VirtualServer is deleted.
func (p product) gone(name string) {
	p.T.Helper()
	p.Eventually("VirtualServer "+name+" is gone", func() error {
		_, err := p.Client().Get(p.Context, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is still there: %v", err)
	})
}

// metrics is what the product tells Prometheus.
func (p product) metrics() string {
	p.T.Helper()
	direct := p.DirectConfig()
	client, err := rest.HTTPClientFor(direct)
	require.NoError(p.T, err)
	response, err := client.Get(direct.Host + "/metrics")
	require.NoError(p.T, err)
	defer response.Body.Close()
	require.Equal(p.T, http.StatusOK, response.StatusCode)
	body, err := io.ReadAll(response.Body)
	require.NoError(p.T, err)
	return string(body)
}
