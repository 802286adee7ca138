package naming

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
)

func TestVMName(t *testing.T) {
	uid := types.UID("5e9dca6f-0a8f-4a3a-9a3c-0d7c1f0f6d11")
	name := VMName("vs-example", uid, 0)
	assert.Regexp(t, regexp.MustCompile(`^managed-virtualserver-[0-9a-f]{5}$`), name)
	assert.Equal(t, name, VMName("vs-example", uid, 0), "the same arguments give the same name")

	others := map[string]string{
		"name":      VMName("vs-example-2", uid, 0),
		"uid":       VMName("vs-example", "5e9dca6f-0a8f-4a3a-9a3c-0d7c1f0f6d12", 0),
		"collision": VMName("vs-example", uid, 1),
	}
	for what, other := range others {
		assert.NotEqual(t, name, other, what)
	}
}

// TestVMNameNeverChanges pins the hash: stored objects depend on it.
func TestVMNameNeverChanges(t *testing.T) {
	assert.Equal(t, "managed-virtualserver-3d9bb", VMName("vs-example", "5e9dca6f-0a8f-4a3a-9a3c-0d7c1f0f6d11", 0))
}

func TestVMNameIsValidForEveryObject(t *testing.T) {
	long := strings.Repeat("a", 253)
	for _, name := range []string{"", "a", "vs-example", "a.b.c", long} {
		for _, count := range []int32{0, 1, 1 << 30, -1} {
			assert.Empty(t, validation.IsDNS1035Label(VMName(name, "uid", count)), "a Service needs a DNS-1035 label")
		}
	}
}

func TestVMNameSpreads(t *testing.T) {
	const names = 2000
	seen := map[string]bool{}
	for i := range names {
		seen[VMName(fmt.Sprintf("vs-%d", i), "uid", 0)] = true
	}
	// Two thousand names of a million: about two collisions are expected.
	assert.Greater(t, len(seen), names-20)
}

func TestLabelValue(t *testing.T) {
	for _, name := range []string{"", "vs-example", "a.b", strings.Repeat("a", 63)} {
		assert.Equal(t, name, LabelValue(name))
	}
	long := strings.Repeat("a", 100)
	short := LabelValue(long)
	assert.Empty(t, validation.IsValidLabelValue(short))
	assert.NotEqual(t, short, LabelValue(long+"b"))
	dotted := strings.Repeat("a.", 50) + "a"
	assert.Empty(t, validation.IsValidLabelValue(LabelValue(dotted)))
}

func TestShorten(t *testing.T) {
	assert.Equal(t, "disk-name", Shorten("disk-name", 20))
	assert.Len(t, Shorten(strings.Repeat("d", 21), 20), 20)
	assert.NotEqual(t, Shorten(strings.Repeat("d", 21), 20), Shorten(strings.Repeat("d", 22), 20))
}
