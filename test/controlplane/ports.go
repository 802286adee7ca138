package controlplane

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Ports are taken below Linux's ephemeral range (32768 up), so that no outgoing
// connection can take one between the choice and the bind.
const (
	firstPort = 20000
	lastPort  = 31999
)

// portAllocator hands out free loopback ports. A lock file for each port, held until
// release, keeps other control planes on this machine from choosing the same one.
type portAllocator struct {
	dir   string
	locks []*os.File
}

func newPortAllocator() (*portAllocator, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("virtualserver-controlplane-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("port lock directory: %w", err)
	}
	return &portAllocator{dir: dir}, nil
}

// take returns a port that nobody listens on and that no other allocator holds.
func (a *portAllocator) take() (int, error) {
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		lock, err := a.lock(port)
		if err != nil {
			return 0, err
		}
		if lock == nil {
			continue
		}
		if !portIsFree(port) {
			_ = lock.Close()
			continue
		}
		a.locks = append(a.locks, lock)
		return port, nil
	}
	return 0, errors.New("no free loopback port between 20000 and 31999")
}

// lock returns nil without an error if somebody else holds the port.
func (a *portAllocator) lock(port int) (*os.File, error) {
	path := filepath.Join(a.dir, strconv.Itoa(port))
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("port lock: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, nil //nolint:nilnil // taken is an answer, not a failure
	}
	return file, nil
}

// release gives all ports back. The lock files stay: removing one could race with
// another allocator that has just opened it.
func (a *portAllocator) release() {
	for _, lock := range a.locks {
		_ = lock.Close()
	}
	a.locks = nil
}

func portIsFree(port int) bool {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}
