// Package admission shows that whatever this product accepts, the admission of KubeVirt and CDI accepts too. It asks their
// own code, which lives in modules of its own below this folder.
package admission

import (
	"bytes"
	"encoding/json"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/intstr"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/fuzzer"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/install"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/validation"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// randomObjects is how many random objects are tried. About a fifth of them is valid.
const randomObjects = 20000

// judge is a program that reads objects and prints the refused ones.
type judge struct {
	input   bytes.Buffer
	encoder *json.Encoder
}

func newJudge() *judge {
	j := &judge{}
	j.encoder = json.NewEncoder(&j.input)
	return j
}

// ask builds and runs the program in a folder below this one and returns the first lines that it prints. It is built as
// hack/build-controlplane.sh builds, so that most of the work has been done before.
func (j *judge) ask(t *testing.T, folder string) string {
	t.Helper()
	// A fixed place, so that go build finds its work done.
	program, err := filepath.Abs(filepath.Join("../../_output/bin", "admission-"+folder))
	require.NoError(t, err)
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	build.Dir = folder
	build.Env = append(os.Environ(), "CGO_ENABLED="+cgoOf(folder), "GOWORK=off", "GOFLAGS=")
	output, err := build.CombinedOutput()
	require.NoError(t, err, string(output))
	run := exec.CommandContext(t.Context(), program)
	run.Stdin = &j.input
	var errors bytes.Buffer
	run.Stderr = &errors
	output, err = run.Output()
	require.NoError(t, err, errors.String())
	refused := strings.SplitAfter(string(output), "\n")
	const shown = 20
	return strings.Join(refused[:min(len(refused), shown)], "")
}

// cgoOf is what hack/build-controlplane.sh builds KubeVirt with, which depends on the kind of node: with the other setting nearly every
// package would be compiled again.
func cgoOf(folder string) string {
	mode, err := os.ReadFile("../../_output/node-mode")
	if err == nil && folder == "kubevirt" && strings.TrimSpace(string(mode)) == "real" {
		return "1"
	}
	return "0"
}

func TestWhatWeAcceptIsAccepted(t *testing.T) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	machines, dataVolumes := newJudge(), newJudge()
	accepted := 0
	try := func(vs *v1beta1.VirtualServer) bool {
		scheme.Default(vs)
		internal := &tensorstack.VirtualServer{}
		require.NoError(t, scheme.Convert(vs, internal, nil))
		if len(validation.ValidateVirtualServer(internal)) > 0 {
			return false
		}
		accepted++
		vs.UID, vs.Status.VM.Name = "5b1f1a2e-0000-4000-8000-000000000000", "managed-virtualserver-9dda9"
		vm, err := translate.VirtualMachine(vs, translate.Options{RunStrategy: vs.Spec.RunStrategy})
		require.NoError(t, err)
		require.NoError(t, machines.encoder.Encode(vm))
		if volume := translate.DataVolume(vs); volume != nil {
			require.NoError(t, dataVolumes.encoder.Encode(volume))
		}
		return true
	}
	for _, vs := range files(t, scheme) {
		vs.Namespace = "default"
		if !try(vs) {
			// KubeVirt cannot do the one thing of the guide that is refused.
			assert.NotNil(t, vs.Spec.Storage.Filesystems[0].Ephemeral, vs.Name)
		}
	}
	for seed := range int64(randomObjects) {
		try(fuzzer.VirtualServer(rand.New(rand.NewSource(seed))))
	}
	require.Greater(t, accepted, randomObjects/10)
	t.Logf("%d objects were accepted", accepted)
	assert.Empty(t, machines.ask(t, "kubevirt"), "VirtualMachines that KubeVirt refuses, by number")
	assert.Empty(t, dataVolumes.ask(t, "cdi"), "DataVolumes that CDI refuses, by number")
}

// A judge that refuses nothing would prove nothing.
func TestTheJudgesRefuse(t *testing.T) {
	vs := &v1beta1.VirtualServer{}
	vs.Name, vs.Namespace, vs.Status.VM.Name = "vs", "default", "managed-virtualserver-9dda9"
	vs.Spec.Resources.CPU.Cores = intstr.FromInt32(1)
	vs.Spec.Storage.AdditionalDisks = []v1beta1.AdditionalDisk{{Name: "a", Serial: "a b", EmptyDisk: &v1beta1.EmptyDiskSource{}}}
	vs.Spec.Storage.Root.Source.HTTP = &cdiv1.DataVolumeSourceHTTP{URL: "ftp://example.com/a"}
	vs.Spec.Storage.Root.PVC.Size = resource.MustParse("1Gi")
	vs.Spec.Storage.Root.PVC.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	vm, err := translate.VirtualMachine(vs, translate.Options{RunStrategy: v1beta1.RunStrategyAlways})
	require.NoError(t, err)
	machines, dataVolumes := newJudge(), newJudge()
	require.NoError(t, machines.encoder.Encode(vm))
	require.NoError(t, dataVolumes.encoder.Encode(translate.DataVolume(vs)))
	assert.Contains(t, machines.ask(t, "kubevirt"), "must be made up of the following characters")
	assert.Contains(t, dataVolumes.ask(t, "cdi"), "Invalid source URL scheme")
}

// files returns every VirtualServer of the examples and of the guide.
func files(t *testing.T, scheme *runtime.Scheme) []*v1beta1.VirtualServer {
	t.Helper()
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	var found []*v1beta1.VirtualServer
	for _, pattern := range []string{"artifacts/examples/vs-*.yaml", "artifacts/examples/sources/*.yaml", "test/testdata/guide/*.yaml"} {
		names, err := filepath.Glob(filepath.Join("../..", pattern))
		require.NoError(t, err)
		require.NotEmpty(t, names)
		for _, name := range names {
			data, err := os.ReadFile(name)
			require.NoError(t, err)
			object, _, err := decoder.Decode(data, nil, nil)
			require.NoError(t, err, name)
			found = append(found, object.(*v1beta1.VirtualServer))
		}
	}
	return found
}
