package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/yaml"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// The guide's first example, applied as written, passes the admission of KubeVirt and CDI and reaches Running.
func TestTheGuidesExampleReachesRunning(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.MustKubectl("apply", "-f", "artifacts/examples/prerequisites.yaml")
	e.MustKubectl("apply", "-f", "artifacts/examples/vs-example.yaml")
	e.MustKubectl("wait", "--for=condition=Ready", "--timeout=120s", "virtualserver/vs-example")

	vs := e.WaitStatus("vs-example", v1beta1.StatusRunning)
	name := vs.Status.VM.Name
	assert.Regexp(t, `^managed-virtualserver-[0-9a-f]{5}$`, name)
	imported := findCondition(vs, v1beta1.ConditionDataImported)
	require.NotNil(t, imported)
	assert.Equal(t, metav1.ConditionTrue, imported.Status)
	assert.Equal(t, "Succeeded", imported.Reason)
	assert.Equal(t, "Root disk has been imported successfully.", imported.Message)

	machine := e.Machine(name)
	require.NotNil(t, machine)
	disks := machine.Spec.Template.Spec.Domain.Devices.Disks
	require.GreaterOrEqual(t, len(disks), 3, "the root disk, the guide's disk, cloud-init")
	assert.Equal(t, "disk-name", disks[1].Name)
	assert.Equal(t, "my-filesys", machine.Spec.Template.Spec.Domain.Devices.Filesystems[0].Name)
	assert.Equal(t, cdiv1.Succeeded, e.DataVolume(name).Status.Phase)

	service, err := e.Kube.CoreV1().Services(e.Namespace).Get(e.Context, name, metav1.GetOptions{})
	require.NoError(t, err)
	require.Len(t, service.Spec.Ports, 2)
	assert.EqualValues(t, 80, service.Spec.Ports[0].Port)
	assert.EqualValues(t, 5901, service.Spec.Ports[1].Port)
	secret, err := e.Kube.CoreV1().Secrets(e.Namespace).Get(e.Context, name, metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, vs.Spec.CloudInit, string(secret.Data["userdata"]))

	row := strings.Fields(strings.Split(e.MustKubectl("get", "virtualservers", "--no-headers"), "\n")[0])
	assert.Equal(t, []string{"vs-example", "Running", "True", "Always", name}, row[:5])
}

// Every other YAML of the guide is accepted as it is written, and its objects pass the admission of KubeVirt and CDI. Each has
// a namespace of its own: two of them have one claim as their disk.
func TestEveryExampleOfTheGuideIsAccepted(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("..", "..", "test", "testdata", "guide", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) { applyExample(t, file) })
	}
}

func applyExample(t *testing.T, file string) {
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	e := framework.New(t)
	e.MustKubectl("apply", "-f", "artifacts/examples/prerequisites.yaml")
	for _, document := range strings.Split(string(content), "\n---\n") {
		vs := &v1beta1.VirtualServer{}
		require.NoError(t, yaml.UnmarshalStrict([]byte(document), vs))
		if vs.Name == "" {
			continue
		}
		body, err := json.Marshal(vs)
		require.NoError(t, err)
		result := e.KubectlInput(string(body), "apply", "--validate=strict", "-f", "-")
		require.NoError(t, result.Err, result.Stderr)
		name := e.MachineName(vs.Name)
		e.Eventually("the VirtualMachine exists", func() error {
			if found := e.Machine(name); found == nil {
				return errMissing("VirtualMachine " + name)
			}
			return nil
		})
	}
}
