package translate

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestIsDefaultClass(t *testing.T) {
	for key, value := range map[string]string{
		"storageclass.kubernetes.io/is-default-class":      "true",
		"storageclass.beta.kubernetes.io/is-default-class": "true",
		"storageclass.kubevirt.io/is-default-virt-class":   "true",
	} {
		assert.True(t, IsDefaultClass(map[string]string{"a": "b", key: value}), key)
		assert.False(t, IsDefaultClass(map[string]string{key: "false"}), key)
		assert.False(t, IsDefaultClass(map[string]string{key: ""}), key)
	}
	assert.False(t, IsDefaultClass(nil))
	assert.False(t, IsDefaultClass(map[string]string{"example.com/is-default-class": "true"}))
}
