package integration

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

const small = "artifacts/examples/vs-small.yaml"

func TestKubectlVerbs(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.MustKubectl("apply", "--server-side", "-f", small)
	e.MustKubectl("wait", "--for=condition=Ready", "--timeout=120s", "virtualserver/vs-small")
	e.MustKubectl("diff", "--server-side", "-f", small)
	e.MustKubectl("apply", "--server-side", "-f", small)
	assert.Contains(t, e.MustKubectl("apply", "--server-side", "--dry-run=server", "-f", small), "serverside-applied (server dry run)")

	e.MustKubectl("patch", "virtualserver", "vs-small", "--type=merge", "-p", `{"metadata":{"labels":{"team":"blue"}}}`)
	e.MustKubectl("patch", "virtualserver", "vs-small", "--type=json", "-p", `[{"op":"add","path":"/metadata/annotations","value":{"a":"b"}}]`)
	assert.Contains(t, e.MustKubectl("get", "virtualservers", "-l", "team=blue", "-o", "name"), "virtualserver.tensorstack.dev/vs-small")
	assert.Contains(t, e.MustKubectl("get", "virtualservers", "--field-selector", "status.printableStatus=Running", "-o", "name"), "vs-small")
	assert.Empty(t, e.MustKubectl("get", "virtualservers", "--field-selector", "status.printableStatus=Stopped", "-o", "name"))
	e.MustKubectl("label", "virtualserver", "vs-small", "team-")
	e.MustKubectl("delete", "virtualserver", "vs-small", "--wait", "--timeout=90s")
}

func TestKubectlGetShowsAFullRow(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine"))
	vs := e.WaitStatus("machine", v1beta1.StatusRunning)
	e.Wait("machine", "has an address", func(vs *v1beta1.VirtualServer) string {
		if len(vs.Status.IPAddresses) == 0 || vs.Status.Node == "" {
			return "no address"
		}
		return ""
	})
	e.WaitCondition("machine", v1beta1.ConditionReady, metav1.ConditionTrue)
	lines := strings.Split(e.MustKubectl("get", "virtualservers", "-o", "wide"), "\n")
	assert.Equal(t, []string{"NAME", "STATUS", "READY", "STRATEGY", "VM", "CPU", "MEMORY"}, strings.Fields(lines[0])[:7])
	for _, column := range []string{"GPU", "IP", "NODE", "AGE"} {
		assert.Contains(t, strings.Fields(lines[0]), column)
	}
	assert.Equal(t, []string{"machine", "Running", "True", "Always", vs.Status.VM.Name, "1", "1Gi"}, strings.Fields(lines[1])[:7])
}

func TestKubectlExplainHasATextOnEveryField(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	text := e.MustKubectl("explain", "virtualservers.spec.storage")
	for _, want := range []string{"root", "additionalDisks", "filesystems", "boots from", "virtiofs"} {
		assert.Contains(t, text, want)
	}
	tree := e.MustKubectl("explain", "virtualservers", "--recursive")
	for _, want := range []string{"runStrategy", "cloudInit", "pendingOperation", "http", "snapshot"} {
		assert.Contains(t, tree, want)
	}
}

func TestKubectlDescribeReadsWell(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine", func(vs *v1beta1.VirtualServer) {
		vs.Spec.CloudInit = "#cloud-config\nhostname: machine\n"
	}))
	e.WaitStatus("machine", v1beta1.StatusRunning)
	e.Eventually("describe shows the events of the machine's life", func() error {
		text := e.MustKubectl("describe", "virtualserver", "machine")
		for _, want := range []string{"Printable Status:", "Running", "Events:", "Started"} {
			if !strings.Contains(text, want) {
				return errMissing(want + " in:\n" + text)
			}
		}
		return nil
	})
}

func TestStrictDecodingNamesTheUnknownField(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	text := strings.Replace(string(e.ReadFile("artifacts", "examples", "vs-small.yaml")), "spec:", "spec:\n  runStratgy: Always", 1)
	result := e.KubectlInput(text, "apply", "--validate=strict", "-f", "-")
	require.Error(t, result.Err)
	assert.Contains(t, result.Stderr, "runStratgy")
}
