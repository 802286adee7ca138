package virtualserver

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/tools/cache"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/translate"
)

// KubeVirt had put another instance in the place of the one that failed before a pass saw it.
func TestFailureIsRememberedUntilItIsWritten(t *testing.T) {
	b := newBench(t, testServer())
	b.settle("web")
	name := b.server("web").Status.VM.Name
	b.kubevirt.volumes[name].Status.Phase = cdiv1.Succeeded
	run := func(vmi *kubevirtv1.VirtualMachineInstance) *kubevirtv1.VirtualMachineInstance {
		vmi.Namespace, vmi.Name, vmi.Labels = testNamespace, name, map[string]string{translate.LabelUID: "vs-uid"}
		return vmi
	}
	b.kubevirt.instances[name] = run(running("first"))
	b.settle("web")
	key := cache.ObjectName{Namespace: testNamespace, Name: "web"}
	b.fill()
	assert.Nil(t, b.failureOf(key, run(running("first"))))
	failure := b.failureOf(key, run(instance("first", kubevirtv1.Failed)))
	require.NotNil(t, failure)
	b.failures.remember(key, failure)

	b.kubevirt.instances[name] = run(running("second"))
	_, events, err := b.pass("web")
	require.NoError(t, err)
	require.NotNil(t, b.server("web").Status.LastFailure)
	assert.EqualValues(t, "first", b.server("web").Status.LastFailure.InstanceUID)
	assert.EqualValues(t, 1, b.server("web").Status.LastFailure.Count)
	assert.Contains(t, events[0], "Crashed")
	assert.Nil(t, b.failures.of(key), "it is written")
	b.fill()
	assert.Nil(t, b.failureOf(key, run(instance("first", kubevirtv1.Failed))), "it is known")
	b.settle("web")
}
