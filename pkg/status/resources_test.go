package status

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/resource"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

// What the machine runs with is what its instance has, whatever the spec says by now.
func TestResourcesAreThoseOfTheInstance(t *testing.T) {
	memory := resource.MustParse("3Gi")
	for name, test := range map[string]struct {
		cpu    *kubevirtv1.CPU
		memory *kubevirtv1.Memory
		cores  int32
	}{
		"cores":            {&kubevirtv1.CPU{Cores: 4}, &kubevirtv1.Memory{Guest: &memory}, 4},
		"a whole topology": {&kubevirtv1.CPU{Cores: 2, Sockets: 3, Threads: 2}, &kubevirtv1.Memory{Guest: &memory}, 12},
		"sockets only":     {&kubevirtv1.CPU{Sockets: 2}, &kubevirtv1.Memory{Guest: &memory}, 2},
		"nothing of cores": {&kubevirtv1.CPU{Model: "Conroe"}, &kubevirtv1.Memory{Guest: &memory}, 1},
		"no CPU":           {nil, &kubevirtv1.Memory{Guest: &memory}, 0},
		"no memory":        {&kubevirtv1.CPU{Cores: 4}, nil, 0},
		"no guest memory":  {&kubevirtv1.CPU{Cores: 4}, &kubevirtv1.Memory{}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, "Always")
			s.instance(firstUID, kubevirtv1.Running)
			s.Instance.Spec.Domain.CPU, s.Instance.Spec.Domain.Memory = test.cpu, test.memory
			shown := s.derive().Resources
			if test.cores == 0 {
				assert.Nil(t, shown)
				return
			}
			require.NotNil(t, shown)
			assert.Equal(t, test.cores, shown.Cores)
			assert.Zero(t, shown.Memory.Cmp(memory))
			s.gone()
			assert.Nil(t, s.derive().Resources, "a machine that does not run has none")
		})
	}
}
