package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// steadyFor is how long nothing may be written.
const steadyFor = 4 * time.Second

// watchedResources are everything behind a VirtualServer, and the VirtualServers themselves.
func watchedResources() []schema.GroupVersionResource {
	resources := []schema.GroupVersionResource{v1beta1.SchemeGroupVersion.WithResource("virtualservers")}
	for _, object := range foreignObjects() {
		resources = append(resources, object.resource)
	}
	return append(resources, schema.GroupVersionResource{Group: "kubevirt.io", Version: "v1", Resource: "virtualmachineinstances"})
}

// A settled set of machines, one for every way in which a machine can be at rest. Somebody else touches each of them, so
// that the controller looks again: it has nothing to write, and neither do KubeVirt and CDI.
func TestSteadyStateWritesNothing(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	rest := atRest(e)
	for name := range rest {
		vs := e.Get(name)
		e.MustKubectl("label", "virtualserver", name, "poke=1")
		e.PatchMachine(vs.Status.VM.Name, `{"metadata":{"labels":{"poke":"1"}}}`)
	}
	quiet(e)

	written := changes(e, steadyFor)
	assert.Empty(t, written, "nobody writes anything")
	for name, status := range rest {
		assert.Equal(t, status, e.Get(name).Status.PrintableStatus, name)
	}
}

// atRest makes machines and brings each to the state in which it stays.
func atRest(e *framework.Environment) map[string]v1beta1.PrintableStatus {
	e.T.Helper()
	e.Create(framework.Minimal("runs", func(vs *v1beta1.VirtualServer) {
		vs.Spec.CloudInit = "#cloud-config\nhostname: machine\n"
		vs.Spec.Network.TCP = []int32{22}
	}))
	e.Create(framework.Minimal("edited"))
	e.Create(framework.Minimal("halted"))
	e.Create(framework.Minimal("manual", framework.WithStrategy(v1beta1.RunStrategyManual)))
	e.Create(framework.Minimal("paused"))
	e.Create(framework.Minimal("large", func(vs *v1beta1.VirtualServer) { vs.Spec.Resources.Memory = resource.MustParse("10Ti") }))
	e.WaitSettled("runs", v1beta1.StatusRunning)
	e.WaitSettled("edited", v1beta1.StatusRunning)
	e.MustKubectl("patch", "virtualserver", "edited", "--type=merge", "-p", `{"spec":{"resources":{"cpu":{"cores":2}}}}`)
	e.WaitCondition("edited", v1beta1.ConditionRestartRequired, metav1.ConditionTrue)
	e.WaitSettled("halted", v1beta1.StatusRunning)
	e.MustOperate("halted", "stop")
	e.WaitSettled("paused", v1beta1.StatusRunning)
	_, err := e.Operate("paused", "pause", "")
	require.NoError(e.T, err)
	rest := map[string]v1beta1.PrintableStatus{
		"runs": v1beta1.StatusRunning, "edited": v1beta1.StatusRunning, "halted": v1beta1.StatusStopped,
		"manual": v1beta1.StatusStopped, "paused": v1beta1.StatusPaused, "large": v1beta1.StatusFailedUnschedulable,
	}
	for name, status := range rest {
		e.WaitSettled(name, status)
	}
	return rest
}

// quiet waits until everybody has seen the last changes, and nothing is written for a while.
func quiet(e *framework.Environment) {
	e.T.Helper()
	e.Eventually("the machines come to rest", func() error {
		if written := changes(e, steadyFor); len(written) > 0 {
			return fmt.Errorf("still written: %v", written)
		}
		return nil
	})
}

// changes watches everything in the namespace for so long, and returns what was written.
func changes(e *framework.Environment, during time.Duration) []string {
	e.T.Helper()
	var (
		mu      sync.Mutex
		written []string
		watches sync.WaitGroup
	)
	ctx, cancel := context.WithCancel(e.Context)
	defer cancel()
	for _, resource := range watchedResources() {
		client := e.Dynamic.Resource(resource).Namespace(e.Namespace)
		list, err := client.List(e.Context, metav1.ListOptions{})
		require.NoError(e.T, err)
		watcher, err := client.Watch(e.Context, metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
		require.NoError(e.T, err)
		watches.Go(func() {
			defer watcher.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case event, open := <-watcher.ResultChan():
					if !open {
						event.Type = watch.Error
					}
					mu.Lock()
					written = append(written, fmt.Sprintf("%s %s %s", event.Type, resource.Resource, nameOf(event)))
					mu.Unlock()
					if !open {
						return
					}
				}
			}
		})
	}
	// It counts from when everything is watched.
	timer := time.AfterFunc(during, cancel)
	defer timer.Stop()
	watches.Wait()
	return written
}

func nameOf(event watch.Event) string {
	if object, ok := event.Object.(metav1.Object); ok {
		return object.GetName()
	}
	return "?"
}

// The audit log of kube-apiserver says who writes. A change of the machine by hand costs the product no write at all, and
// an edit of the VirtualServer just one, of the VirtualMachine: never a fight with KubeVirt.
func TestWritesOfTheProductAreCounted(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine"))
	machine := e.WaitSettled("machine", v1beta1.StatusRunning).Status.VM.Name
	quiet(e)
	before := writesByProduct(e)
	assert.Positive(t, before, "the audit log has what made the machine")

	e.PatchMachine(machine, `{"metadata":{"labels":{"poke":"1"}},"spec":{"template":{"metadata":{"labels":{"poke":"1"}}}}}`)
	quiet(e)
	assert.Equal(t, before, writesByProduct(e), "fields of others are theirs")

	_, err := e.Client().Patch(e.Context, "machine", types.MergePatchType,
		[]byte(`{"spec":{"network":{"macAddress":"02:00:00:4c:1f:08"}}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	e.WaitCondition("machine", v1beta1.ConditionRestartRequired, metav1.ConditionTrue)
	quiet(e)
	assert.Equal(t, before+1, writesByProduct(e))
}

// writesByProduct counts the requests of the product in the test's namespace that changed something.
func writesByProduct(e *framework.Environment) int {
	e.T.Helper()
	count := 0
	audited(e, "audit", func(event *auditv1.Event) {
		if event.User.Username != productUser || event.ResponseStatus.Code >= http.StatusMultipleChoices {
			// A refused write, such as one of an object that has changed meanwhile, writes nothing.
			return
		}
		switch event.Verb {
		case "create", "update", "patch", "delete", "deletecollection":
			count++
		}
	})
	return count
}

// audited reads what an audit log has of the test's namespace.
func audited(e *framework.Environment, name string, visit func(*auditv1.Event)) {
	e.T.Helper()
	logs, err := filepath.Glob(filepath.Join(e.Plane.StateDir(), "logs", name+"*.log"))
	require.NoError(e.T, err)
	require.NotEmpty(e.T, logs)
	for _, path := range logs {
		log, err := os.Open(path)
		require.NoError(e.T, err)
		lines := bufio.NewScanner(log)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			event := &auditv1.Event{}
			if json.Unmarshal(lines.Bytes(), event) != nil {
				// The last line may be half written.
				continue
			}
			if event.ObjectRef != nil && event.ObjectRef.Namespace == e.Namespace && event.ResponseStatus != nil {
				visit(event)
			}
		}
		require.NoError(e.T, lines.Err())
		require.NoError(e.T, log.Close())
	}
}
