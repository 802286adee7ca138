package crash

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"tensorstack.dev/virtualserver/test/controlplane"
	"tensorstack.dev/virtualserver/test/framework"
)

// Where the product keeps its Lease and what it knows of its store.
const (
	productNamespace  = "virtualserver-system"
	productLease      = "virtualserver-controller"
	identityConfigMap = "virtualserver-store-identity"
)

// product is the product as an administrator handles it.
type product struct {
	*framework.Environment
}

// stop ends the product in an orderly way.
func (p product) stop() {
	p.T.Helper()
	require.NoError(p.T, p.Plane.StopComponent(p.Context, controlplane.Product))
}

// kill ends it as a crash would.
func (p product) kill() {
	p.T.Helper()
	require.NoError(p.T, p.Plane.Kill(p.Context, controlplane.Product))
}

// start starts it, with further flags for once.
func (p product) start(flags ...string) {
	p.T.Helper()
	require.NoError(p.T, p.Plane.StartComponent(p.Context, controlplane.Product, flags...))
	// It reads the CA of client certificates in the background.
	p.Eventually("the product knows its users", func() error {
		_, err := p.Client().List(p.Context, metav1.ListOptions{})
		return err
	})
	p.nudge()
}

// nudge makes kube-apiserver look at once whether the product is back. By itself it looks after half a minute, and until
// then nobody who goes through it, such as the garbage collector, sees the VirtualServers that are left.
func (p product) nudge() {
	p.T.Helper()
	services := p.Dynamic.Resource(schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"})
	p.Eventually("the APIService is available", func() error {
		patch := fmt.Sprintf(`{"metadata":{"annotations":{"test.tensorstack.dev/nudge":%q}}}`, time.Now().Format(time.RFC3339Nano))
		service, err := services.Patch(p.Context, "v1beta1.tensorstack.dev", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		if err != nil {
			return err
		}
		conditions, _, err := unstructured.NestedSlice(service.Object, "status", "conditions")
		for _, item := range conditions {
			if condition, ok := item.(map[string]any); ok && condition["type"] == "Available" && condition["status"] == "True" {
				return err
			}
		}
		return fmt.Errorf("its conditions are %v", conditions)
	})
}

// recover gives the product its store back to work with, after a test that failed half-way.
func (p product) recover() {
	if !p.T.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := p.Plane.StopComponent(ctx, controlplane.Product); err != nil {
		p.T.Log(err)
	}
	if err := p.Plane.StartComponent(ctx, controlplane.Product, "--adopt-store"); err != nil {
		p.T.Log(err)
	}
}

// startRefusing starts it and waits until it has said why it runs no controllers.
func (p product) startRefusing(reason string) {
	p.T.Helper()
	before := len(p.log())
	p.start()
	p.Eventually("the product refuses the store", func() error {
		if log := p.log()[before:]; !strings.Contains(log, reason) {
			return fmt.Errorf("%q is not in %s", reason, p.Plane.LogFile(controlplane.Product))
		}
		return nil
	})
}

func (p product) log() string {
	p.T.Helper()
	text, err := os.ReadFile(p.Plane.LogFile(controlplane.Product))
	require.NoError(p.T, err)
	return string(text)
}

// knownRevision is the revision of the store that the cluster has noted.
func (p product) knownRevision() string {
	p.T.Helper()
	known, err := p.Kube.CoreV1().ConfigMaps(productNamespace).Get(p.Context, identityConfigMap, metav1.GetOptions{})
	require.NoError(p.T, err)
	return known.Data["revision"]
}

// emptyStore takes the data of the product away. It must not run.
func (p product) emptyStore() {
	p.T.Helper()
	entries, err := os.ReadDir(p.Plane.ProductDataDir())
	require.NoError(p.T, err)
	require.NotEmpty(p.T, entries, "the product keeps its store where the test looks for it")
	require.NoError(p.T, os.RemoveAll(p.Plane.ProductDataDir()))
}

// backUp copies the data of the product, which must not run, and returns the copy.
func (p product) backUp() string {
	p.T.Helper()
	backup := p.T.TempDir()
	require.NoError(p.T, os.CopyFS(backup, os.DirFS(p.Plane.ProductDataDir())))
	return backup
}

// restore puts a copy in the place of the data.
func (p product) restore(backup string) {
	p.T.Helper()
	p.emptyStore()
	require.NoError(p.T, os.CopyFS(p.Plane.ProductDataDir(), os.DirFS(backup)))
}
