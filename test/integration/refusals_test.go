package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/generated/clientset/versioned"
	"tensorstack.dev/virtualserver/test/framework"
)

// manifest is a VirtualServer in YAML, with a line of the spec replaced.
func manifest(e *framework.Environment, memory, size, cpu string) string {
	return fmt.Sprintf(`apiVersion: tensorstack.dev/v1beta1
kind: VirtualServer
metadata: {name: machine, namespace: %s}
spec:
  resources: {cpu: %s, memory: %s}
  storage: {root: {pvc: {size: %s}, source: {blank: {}}}}
`, e.Namespace, cpu, memory, size)
}

// However a manifest is sent, a mistake of type is told with its field and what would be right.
func TestAMistakeOfTypeIsTold(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	const cpu = "{cores: 1}"
	for name, test := range map[string]struct{ manifest, want string }{
		"memory in another unit":  {manifest(e, "16GB", "1Gi", cpu), `spec.resources.memory: Invalid value: "16GB" is not a quantity: write 16Gi`},
		"an empty size":           {manifest(e, "1Gi", `""`, cpu), `spec.storage.root.pvc.size: Invalid value: is empty: write a number with a unit`},
		"a size with a comma":     {manifest(e, "1Gi", `"1,5Gi"`, cpu), `write 1.5Gi`},
		"a list of cores":         {manifest(e, "1Gi", "1Gi", "{cores: [2]}"), `spec.resources.cpu.cores: Invalid value: must be a whole number`},
		"a number for the object": {manifest(e, "1Gi", "1Gi", "2"), `spec.resources.cpu: Invalid value: must have fields of its own`},
		"no cores":                {manifest(e, "1Gi", "1Gi", "{model: Conroe}"), `spec.resources.cpu.cores: Required value: set the number of CPU cores`},
	} {
		for _, command := range [][]string{{"create"}, {"apply"}, {"apply", "--server-side"}} {
			result := e.KubectlInput(test.manifest, append(command, "-f", "-")...)
			require.Error(t, result.Err, "%s: %v", name, command)
			assert.Contains(t, strings.ReplaceAll(result.Stderr, `\"`, `"`), test.want, "%s: %v", name, command)
			assert.NotContains(t, result.Stderr, "regular expression", "%s: %v", name, command)
		}
	}
	e.Create(framework.Minimal("machine", framework.WithStrategy(v1beta1.RunStrategyHalted)))
	for kind, patch := range map[string]string{
		"merge": `{"spec":{"resources":{"memory":"4 gigs"}}}`,
		"json":  `[{"op":"replace","path":"/spec/resources/memory","value":"4 gigs"}]`,
	} {
		result := e.Kubectl("patch", "virtualserver", "machine", "--type", kind, "-p", patch)
		require.Error(t, result.Err, kind)
		assert.Contains(t, result.Stderr, "spec.resources.memory", kind)
		assert.Contains(t, result.Stderr, "write 4Gi", kind)
	}
	code, err := e.Operate("machine", "start", `{"paused":"yes"}`)
	assert.Equal(t, http.StatusUnprocessableEntity, code)
	assert.ErrorContains(t, err, "must be true or false")
}

// The rules of stream options hold below our own paths and below KubeVirt's.
func TestOptionsOfStreamsAreChecked(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	own := framework.Path(s.Namespace) + "/my-vs/"
	kubeVirt := framework.KubeVirtPrefix + kubeVirtPath(s.Namespace, "virtualmachineinstances", "my-vs", "")
	for path, text := range map[string]string{
		own + "vnc?takeOver=true&preserveSession=true":      "keep one of the two",
		kubeVirt + "vnc?takeOver=true&preserveSession=true": "keep one of the two",
		own + "vnc?wait=-5":         "from 0 to 300",
		own + "usbredir?wait=1000":  "from 0 to 300",
		own + "portforward/70000":   "a port from 1 to 65535",
		own + "portforward/22/sctp": "a port from 1 to 65535",
	} {
		response, body := send(s.Environment, s.owner, http.MethodGet, path, true, nil)
		assert.Equal(t, http.StatusUnprocessableEntity, response.StatusCode, "%s: %s", path, body)
		assert.Contains(t, body, text, path)
	}
}

// A browser's terminal sends text messages.
func TestAConsoleTakesTextMessages(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	console := s.OpenConsole(s.owner, framework.Path(s.Namespace)+"/my-vs/console")
	console.Login()
	require.NoError(t, console.Connection.WriteMessage(websocket.TextMessage, []byte("hostname\r")))
	console.Expect("\nmy-vs\r")
}

func withDisk(claim string) func(*v1beta1.VirtualServer) {
	return func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.AdditionalDisks = append(vs.Spec.Storage.AdditionalDisks, v1beta1.AdditionalDisk{Name: "data", VolumeSource: v1beta1.VolumeSource{
			PersistentVolumeClaim: &v1beta1.PersistentVolumeClaimSource{ClaimName: claim}}})
	}
}

// Two machines do not write to one disk, and a user hears of machines only that they may read.
func TestADiskHasOneMachine(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	_, err := e.Kube.CoreV1().PersistentVolumeClaims(e.Namespace).Create(e.Context, &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "data"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	e.Create(framework.Minimal("first", withDisk("data")))
	root := e.WaitStatus("first", v1beta1.StatusRunning).Status.VM.Name

	refused := func(vs *v1beta1.VirtualServer, want string) {
		t.Helper()
		_, err := e.Client().Create(e.Context, vs, metav1.CreateOptions{})
		require.True(t, apierrors.IsInvalid(err), "%v", err)
		assert.ErrorContains(t, err, want)
	}
	refused(framework.Minimal("second", withDisk("data")), "is a disk of VirtualServer first too")
	refused(framework.Minimal("second", withDisk(root)), "is the root disk of VirtualServer first too")
	creator := e.UserWith("creator", rbacv1.PolicyRule{
		APIGroups: []string{"tensorstack.dev"}, Resources: []string{"virtualservers"}, Verbs: []string{"create"}})
	clientset, err := versioned.NewForConfig(creator.Config)
	require.NoError(t, err)
	_, err = clientset.TensorstackV1beta1().VirtualServers(e.Namespace).Create(e.Context, framework.Minimal("second", withDisk("data")), metav1.CreateOptions{})
	require.True(t, apierrors.IsInvalid(err), "%v", err)
	assert.ErrorContains(t, err, "another VirtualServer, which you may not see")
	assert.NotContains(t, err.Error(), "VirtualServer first")

	e.Create(framework.Minimal("second", withDisk("data"), framework.WithStrategy(v1beta1.RunStrategyHalted)))
	e.WaitSettled("second", v1beta1.StatusStopped)
	code, err := e.Operate("second", "start", "")
	assert.Equal(t, http.StatusConflict, code, "the first machine runs")
	assert.ErrorContains(t, err, "stop that machine first")
	e.MustOperate("first", "stop")
	e.WaitSettled("first", v1beta1.StatusStopped)
	e.MustOperate("second", "start")
	e.WaitStatus("second", v1beta1.StatusRunning)
	code, _ = e.Operate("first", "start", "")
	assert.Equal(t, http.StatusConflict, code, "now the second one runs")
}

// A source of the same namespace need not name it, however the manifest is sent, and the same manifest again changes nothing.
func TestTheNamespaceOfASourceIsItsOwn(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	clone := strings.Replace(manifest(e, "1Gi", "1Gi", "{cores: 1}"), "blank: {}", "pvc: {name: golden}", 1)
	for range 2 {
		e.KubectlInput(clone, "apply", "-f", "-")
		vs := e.Get("machine")
		assert.Equal(t, e.Namespace, vs.Spec.Storage.Root.Source.PVC.Namespace)
		assert.EqualValues(t, 1, vs.Generation)
	}
	result := e.KubectlInput(clone, "apply", "--server-side", "--force-conflicts", "-f", "-")
	require.NoError(t, result.Err, result.Stderr)
	assert.EqualValues(t, 1, e.Get("machine").Generation)
	result = e.KubectlInput(strings.Replace(clone, "name: machine", "name: another", 1), "apply", "--server-side", "-f", "-")
	require.NoError(t, result.Err, result.Stderr)
	assert.Equal(t, e.Namespace, e.Get("another").Spec.Storage.Root.Source.PVC.Namespace)
}

// An edit of the size while the image is imported makes the disk anew, and nothing calls that a failure.
func TestASizeEditedDuringTheImport(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Faults(map[string]string{"import": "stall"})
	e.Create(framework.Minimal("machine", func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.Root.Source = cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{URL: "https://images.example.com/disk.img"}}
	}))
	e.WaitStatus("machine", v1beta1.StatusProvisioning)
	machine := e.MachineName("machine")
	e.Eventually("the import runs", func() error {
		if volume := e.DataVolume(machine); volume == nil || volume.Status.Phase != cdiv1.ImportInProgress {
			return errMissing("an import")
		}
		return nil
	})
	before := e.DataVolume(machine).UID
	patchServer(e, `{"spec":{"storage":{"root":{"pvc":{"size":"3Gi"}}}}}`)
	e.Eventually("the disk is made anew", func() error {
		if volume := e.DataVolume(machine); volume == nil || volume.UID == before || volume.DeletionTimestamp != nil {
			return errMissing("another DataVolume")
		}
		return nil
	})
	e.Faults(map[string]string{})
	e.WaitSettled("machine", v1beta1.StatusRunning)
	e.Eventually("it was told", func() error {
		if told := e.MustKubectl("get", "events", "--field-selector", "involvedObject.name=machine", "-o", "jsonpath={.items[*].reason}"); !strings.Contains(told, "ImportAgain") {
			return errMissing("ImportAgain in " + told)
		}
		return nil
	})
	told := e.MustKubectl("get", "events", "--field-selector", "involvedObject.name=machine,involvedObject.kind=VirtualServer", "-o", "jsonpath={.items[*].reason}")
	assert.NotContains(t, told, "ReconcileFailed")
}
