package integration

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/kubernetes"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// burst is how many machines are made at once.
const burst = 20

// tally counts the requests of the product to kube-apiserver in the test's namespace by what they were and how they were
// answered. Events and watches are left out.
func tally(e *framework.Environment) map[string]int {
	e.T.Helper()
	counts := map[string]int{}
	audited(e, "audit", func(event *auditv1.Event) {
		what := event.ObjectRef.Resource
		if event.User.Username == productUser && event.ObjectRef.APIGroup != "tensorstack.dev" && what != "events" && event.Verb != "watch" {
			counts[fmt.Sprintf("%s %s %d", event.Verb, what, event.ResponseStatus.Code)]++
		}
	})
	return counts
}

// statusWrites returns how many writes of a status the product has carried out, and how many it has refused.
func statusWrites(e *framework.Environment) (written, refused int) {
	e.T.Helper()
	client, err := kubernetes.NewForConfig(e.DirectConfig())
	require.NoError(e.T, err)
	text, err := client.CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(e.Context)
	require.NoError(e.T, err)
	for _, line := range strings.Split(string(text), "\n") {
		if !strings.HasPrefix(line, "apiserver_request_total{") || !strings.Contains(line, `subresource="status"`) || !strings.Contains(line, `verb="PUT"`) {
			continue
		}
		count, err := strconv.Atoi(line[strings.LastIndexByte(line, ' ')+1:])
		require.NoError(e.T, err)
		if strings.Contains(line, `code="200"`) {
			written += count
		} else {
			refused += count
		}
	}
	return written, refused
}

// Machines that come and go in a burst cost no request that is refused, and their end no more than it must.
//
// It does not run beside others: the writes of the status are counted for the whole product.
func TestABurstOfMachinesCostsNoRefusals(t *testing.T) {
	e := framework.New(t)
	writtenBefore, refusedBefore := statusWrites(e)
	var work sync.WaitGroup
	name := func(number int) string { return fmt.Sprintf("machine-%d", number) }
	for number := range burst {
		work.Go(func() {
			_, err := e.Client().Create(e.Context, framework.Minimal(name(number), func(vs *v1beta1.VirtualServer) {
				vs.Spec.CloudInit, vs.Spec.Network.TCP = "#cloud-config\nhostname: machine\n", []int32{22}
			}), metav1.CreateOptions{})
			assert.NoError(t, err)
		})
	}
	work.Wait()
	for number := range burst {
		e.WaitSettled(name(number), v1beta1.StatusRunning)
	}
	quiet(e)
	made := tally(e)
	t.Logf("to make %d machines: %v", burst, made)
	assert.Equal(t, burst, made["create virtualmachines 201"])
	for _, refusal := range []string{
		"create virtualmachines 409", "create datavolumes 409", "create secrets 409", "create services 409",
	} {
		assert.Zero(t, made[refusal], refusal)
	}

	require.NoError(t, e.Client().DeleteCollection(e.Context, metav1.DeleteOptions{}, metav1.ListOptions{}))
	e.Eventually("all are gone", func() error {
		list, err := e.Client().List(e.Context, metav1.ListOptions{})
		if err == nil && len(list.Items) > 0 {
			return fmt.Errorf("%d are left", len(list.Items))
		}
		return err
	})
	written, refused := statusWrites(e)
	written, refused = written-writtenBefore, refused-refusedBefore
	t.Logf("%d writes of the status, %d of them refused", written+refused, refused)
	assert.GreaterOrEqual(t, written, burst)
	assert.LessOrEqual(t, refused, written/50, "only the API server writes as well, as it marks what is deleted")
	ended := tally(e)
	requests, missing := 0, 0
	for what, count := range ended {
		if count -= made[what]; count == 0 {
			delete(ended, what)
			continue
		}
		ended[what] = count
		var code int
		var verb, resource string
		_, err := fmt.Sscan(what, &verb, &resource, &code)
		require.NoError(t, err)
		requests += count
		if code == http.StatusNotFound {
			missing += count
		}
	}
	t.Logf("to delete %d machines: %d requests, %d for what was gone: %v", burst, requests, missing, ended)
	// The machine, its DataVolume, Secret and Service. The finalizer is in our own store.
	assert.LessOrEqual(t, requests, 5*burst)
	assert.LessOrEqual(t, missing, burst/2)
}
