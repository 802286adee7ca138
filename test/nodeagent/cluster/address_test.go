package cluster

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
)

func TestAddresses(t *testing.T) {
	kinds := map[string]struct {
		address func(types.UID) string
		within  string
	}{
		"pod":      {PodAddress, "10.128.0.0/9"},
		"importer": {ImporterAddress, "127.64.0.0/10"},
		"machine":  {MachineAddress, "127.128.0.0/10"},
	}
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			network := netip.MustParsePrefix(kind.within)
			seen := map[string]bool{}
			for i := range 1000 {
				uid := types.UID(fmt.Sprintf("9d3f6c1e-0000-4000-8000-%012d", i))
				text := kind.address(uid)
				address, err := netip.ParseAddr(text)
				require.NoError(t, err)
				assert.True(t, network.Contains(address), text)
				assert.Equal(t, text, kind.address(uid), "the address must follow from the identity alone")
				seen[text] = true
			}
			assert.Greater(t, len(seen), 990, "addresses must rarely meet")
		})
	}
}
