package kubevirt

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestVersionsThatAreTooOld(t *testing.T) {
	for name, test := range map[string]struct {
		found Versions
		want  []string
	}{
		"the oldest":           {Versions{"v1.7.0", "v1.60.0"}, nil},
		"newer":                {Versions{"v1.9.2", "1.65.0"}, nil},
		"without v":            {Versions{"1.10.0", ""}, nil},
		"a build of one's own": {Versions{"devel", "latest"}, nil},
		"not installed":        {Versions{}, nil},
		"an old KubeVirt":      {Versions{"v1.6.3", "v1.65.0"}, []string{"KubeVirt 1.6.3 is older than 1.7.0"}},
		"an old major version": {Versions{"v0.59.2", ""}, []string{"KubeVirt 0.59.2 is older than 1.7.0"}},
		"before the oldest":    {Versions{"v1.7.0-rc.1", ""}, nil},
		"a CDI of any version": {Versions{"v1.7.1", "v1.34.0"}, nil},
	} {
		warnings := test.found.Warnings()
		if assert.Len(t, warnings, len(test.want), name) {
			for i, want := range test.want {
				assert.Contains(t, warnings[i], want, name)
			}
		}
	}
}
