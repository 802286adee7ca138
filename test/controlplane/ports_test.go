package controlplane

import (
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newTestAllocator(t *testing.T) *portAllocator {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	allocator, err := newPortAllocator()
	require.NoError(t, err)
	t.Cleanup(allocator.release)
	return allocator
}

func TestPortsAreFreeAndDifferent(t *testing.T) {
	allocator := newTestAllocator(t)
	seen := map[int]bool{}
	for range 50 {
		port, err := allocator.take()
		require.NoError(t, err)
		assert.False(t, seen[port], "port %d came twice", port)
		seen[port] = true
		assert.GreaterOrEqual(t, port, firstPort)
		assert.LessOrEqual(t, port, lastPort)
		listener, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		require.NoError(t, err)
		require.NoError(t, listener.Close())
	}
}

func TestPortLockExcludesOthersUntilRelease(t *testing.T) {
	first := newTestAllocator(t)
	port, err := first.take()
	require.NoError(t, err)
	second := &portAllocator{dir: first.dir}

	lock, err := second.lock(port)
	require.NoError(t, err)
	assert.Nil(t, lock)

	first.release()
	lock, err = second.lock(port)
	require.NoError(t, err)
	require.NotNil(t, lock)
	assert.NoError(t, lock.Close())
}
