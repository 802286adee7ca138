package preflight

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/version"
	fakediscovery "k8s.io/client-go/discovery/fake"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"
	testingclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// setKubernetes makes the cluster say its version.
func setKubernetes(t *testing.T, plugin *Plugin, gitVersion string) {
	t.Helper()
	found, ok := plugin.client.Discovery().(*fakediscovery.FakeDiscovery)
	require.True(t, ok)
	found.FakedServerVersion = &version.Info{GitVersion: gitVersion}
}

func TestContainerDisksThatNeverStart(t *testing.T) {
	image := func(spec *tensorstack.VirtualServerSpec) {
		spec.Storage.AdditionalDisks = []tensorstack.AdditionalDisk{{ContainerDisk: &tensorstack.ContainerDiskSource{Image: "example.com/disk"}}}
	}
	for name, test := range map[string]struct {
		kubernetes, kubeVirt string
		spec                 func(*tensorstack.VirtualServerSpec)
		want                 string
	}{
		"old and new":                  {"v1.37.2", "v1.7.0", image, "spec.storage.additionalDisks[0].containerDisk: with KubeVirt 1.7.0 on Kubernetes 1.37.2"},
		"the first that enforces":      {"v1.36.0", "v1.8.3", image, "KubeVirt 1.8.4 or later"},
		"a distribution's version":     {"v1.36.1-gke.200", "v1.8.0-12-gabc", image, "KubeVirt 1.8.0 on Kubernetes 1.36.1"},
		"a much older one":             {"v1.40.0", "v1.5.2", image, "KubeVirt 1.5.2"},
		"the first that is mended":     {"v1.37.2", "v1.8.4", image, ""},
		"the next one":                 {"v1.37.2", "v1.9.0", image, ""},
		"a major version":              {"v1.37.2", "v2.0.0", image, ""},
		"a cluster that does not mind": {"v1.35.9", "v1.7.0", image, ""},
		"a version of KubeVirt's own":  {"v1.37.2", "latest", image, ""},
		"a KubeVirt that does not say": {"v1.37.2", "", image, ""},
		"a cluster that does not say":  {"", "v1.7.0", image, ""},
		"another kind of disk":         {"v1.37.2", "v1.7.0", disk(volume("data")), ""},
		"an image that CDI imports": {"v1.37.2", "v1.7.0", func(spec *tensorstack.VirtualServerSpec) {
			spec.Storage.Root.Source = cdiv1.DataVolumeSource{Registry: &cdiv1.DataVolumeSourceRegistry{URL: ptr.To("docker://example.com/disk")}}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cluster, vs := goodCluster(), validMachine()
			cluster.kubeVirt = []runtime.Object{kubeVirt(test.kubeVirt, storageFilesystemsGate)}
			test.spec(&vs.Spec)
			plugin, _ := cluster.plugin(t)
			setKubernetes(t, plugin, test.kubernetes)
			got := warnings(t, plugin, vs, nil, false)
			if test.want == "" {
				assert.Empty(t, got)
				return
			}
			require.Len(t, got, 1, "%v", got)
			assert.Contains(t, got[0], test.want)
		})
	}
}

func TestEveryContainerDiskIsWarnedOf(t *testing.T) {
	cluster, vs := goodCluster(), validMachine()
	cluster.kubeVirt = []runtime.Object{kubeVirt("v1.7.0")}
	for range 3 {
		vs.Spec.Storage.AdditionalDisks = append(vs.Spec.Storage.AdditionalDisks, tensorstack.AdditionalDisk{
			ContainerDisk: &tensorstack.ContainerDiskSource{}})
	}
	plugin, _ := cluster.plugin(t)
	setKubernetes(t, plugin, "v1.37.2")
	assert.Len(t, warnings(t, plugin, vs, nil, false), 3)
}

func TestTheVersionOfTheClusterIsReadNowAndThen(t *testing.T) {
	clock := testingclock.NewFakePassiveClock(time.Unix(1000, 0))
	client := fake.NewClientset()
	reads, failure := 0, error(nil)
	client.PrependReactor("get", "version", func(kubetesting.Action) (bool, runtime.Object, error) {
		reads++
		return failure != nil, nil, failure
	})
	reader := &kubernetesReader{clock: clock}
	for range 3 {
		assert.NotNil(t, reader.read(context.Background(), client))
	}
	assert.Equal(t, 1, reads)
	clock.SetTime(time.Unix(1000, 0).Add(kubeVirtTTL))
	failure = errors.New("unavailable")
	assert.Nil(t, reader.read(context.Background(), client))
	assert.Nil(t, reader.read(context.Background(), client))
	assert.Equal(t, 2, reads)
}
