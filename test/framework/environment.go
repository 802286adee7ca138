// Package framework gives a test a namespace of its own in a running control plane, and the words to say what it wants
// there: create this VirtualServer, wait until that holds, run kubectl, act as a user with few rights.
package framework

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"tensorstack.dev/virtualserver/pkg/generated/clientset/versioned"
	"tensorstack.dev/virtualserver/test/controlplane"
)

// DefaultTimeout is how long a test waits for something that takes about a second on an idle machine.
const DefaultTimeout = 90 * time.Second

// Environment is a namespace in a running control plane, for one test.
type Environment struct {
	// T is the test that owns the namespace.
	T *testing.T
	// Context ends with the test.
	Context context.Context
	// Plane is the control plane, which other tests use at the same time.
	Plane *controlplane.ControlPlane
	// Namespace belongs to this test alone. It is deleted when the test ends.
	Namespace string
	// Config is an administrator's.
	Config *rest.Config
	// VirtualServers is a client of the product.
	VirtualServers versioned.Interface
	// Kube is a client of Kubernetes.
	Kube kubernetes.Interface
	// Dynamic reaches every other kind.
	Dynamic dynamic.Interface
}

// New attaches to the control plane that the environment variable VIRTUALSERVER_CONTROLPLANE names, or to that of
// "make up", and creates a namespace for the test.
func New(t *testing.T) *Environment {
	t.Helper()
	plane, err := controlplane.Attach(stateDir(t))
	require.NoError(t, err, "start a control plane first: 'make up', or run the tests with hack/test-integration.sh")
	return In(t, plane)
}

// In creates a namespace for the test in a control plane that the caller started.
func In(t *testing.T, plane *controlplane.ControlPlane) *Environment {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	t.Cleanup(cancel)
	config := plane.AdminConfig()
	config.QPS = -1
	// Tests of warnings look at what kubectl prints.
	config.WarningHandler = rest.NoWarnings{}
	e := &Environment{T: t, Context: ctx, Plane: plane, Config: config}
	var err error
	e.VirtualServers, err = versioned.NewForConfig(config)
	require.NoError(t, err)
	e.Kube, err = kubernetes.NewForConfig(config)
	require.NoError(t, err)
	e.Dynamic, err = dynamic.NewForConfig(config)
	require.NoError(t, err)
	e.Namespace = e.CreateNamespace("test-")
	return e
}

// DirectConfig connects an administrator to the product itself. kube-apiserver's aggregator takes up to half a minute to
// notice that a product which was down has come back.
func (e *Environment) DirectConfig() *rest.Config {
	config := rest.CopyConfig(e.Config)
	config.Host = e.Plane.ProductURL()
	config.TLSClientConfig.CAFile, config.TLSClientConfig.CAData = "", e.Plane.ProductCA()
	config.TLSClientConfig.ServerName = ProductServerName
	return config
}

// ProductServerName is the name in the product's serving certificate.
const ProductServerName = "virtualserver-apiserver.virtualserver-system.svc"

// CreateNamespace creates a namespace that is deleted when the test ends, and waits for its default ServiceAccount.
func (e *Environment) CreateNamespace(prefix string) string {
	e.T.Helper()
	namespace, err := e.Kube.CoreV1().Namespaces().Create(e.Context,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: prefix}}, metav1.CreateOptions{})
	require.NoError(e.T, err)
	e.T.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := e.Kube.CoreV1().Namespaces().Delete(ctx, namespace.Name, metav1.DeleteOptions{}); err != nil {
			e.T.Logf("delete namespace %s: %v", namespace.Name, err)
		}
	})
	e.Eventually("the default ServiceAccount exists", func() error {
		_, err := e.Kube.CoreV1().ServiceAccounts(namespace.Name).Get(e.Context, "default", metav1.GetOptions{})
		return err
	})
	return namespace.Name
}

// Eventually waits until check returns nil, and fails the test with its last error after DefaultTimeout.
func (e *Environment) Eventually(what string, check func() error) {
	e.T.Helper()
	e.Within(DefaultTimeout, what, check)
}

// Within waits until check returns nil, and fails the test with its last error when the time is over.
func (e *Environment) Within(limit time.Duration, what string, check func() error) {
	e.T.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			require.FailNow(e.T, fmt.Sprintf("not within %v: %s", limit, what), "%v", err)
		case <-e.Context.Done():
			require.FailNow(e.T, "the test's time is over while waiting: "+what, "%v", err)
		case <-tick.C:
		}
	}
}

// Root is the folder of the repository.
func (e *Environment) Root() string {
	e.T.Helper()
	root, err := controlplane.RepositoryRoot()
	require.NoError(e.T, err)
	return root
}

// ReadFile reads a file of the repository.
func (e *Environment) ReadFile(path ...string) []byte {
	e.T.Helper()
	content, err := os.ReadFile(filepath.Join(append([]string{e.Root()}, path...)...))
	require.NoError(e.T, err)
	return content
}

func stateDir(t *testing.T) string {
	t.Helper()
	if dir := strings.TrimSpace(os.Getenv(controlplane.EnvironmentVariable)); dir != "" {
		return dir
	}
	root, err := controlplane.RepositoryRoot()
	require.NoError(t, err)
	return filepath.Join(root, "_output", "state")
}
