package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Claim is a lab number that no other launcher on this machine uses, until Release.
type Claim struct {
	Plan
	lock *os.File
}

// Take claims the lowest lab number that is free and whose network the machine has no address in. dir holds a lock file
// for each number and is shared by all launchers of one user.
func Take(dir string) (*Claim, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("lab numbers: %w", err)
	}
	for lab := range MaxLabs {
		lock, err := tryLock(dir, lab)
		if err != nil {
			return nil, err
		}
		if lock == nil {
			continue
		}
		plan := Plan{Lab: lab}
		taken, err := overlaps(plan)
		if err == nil && !taken {
			return &Claim{Plan: plan, lock: lock}, nil
		}
		_ = lock.Close()
		if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("all %d lab networks of this machine are in use", MaxLabs)
}

// Release gives the number back.
func (c *Claim) Release() { _ = c.lock.Close() }

// EachUnused calls clean with every lab number that no launcher holds, and keeps launchers from taking it meanwhile. What
// carries such a number is left over from one that was killed.
func EachUnused(dir string, clean func(lab int) error) error {
	for lab := range MaxLabs {
		lock, err := tryLock(dir, lab)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if lock == nil {
			continue
		}
		err = clean(lab)
		_ = lock.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// tryLock returns nil without an error if somebody else holds the number.
func tryLock(dir string, lab int) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(lab)), os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lab numbers: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, nil //nolint:nilnil // taken is an answer, not a failure
	}
	return lock, nil
}

// overlaps tells whether an interface of this machine has an address in the lab's network.
func overlaps(plan Plan) (bool, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return false, fmt.Errorf("addresses of this machine: %w", err)
	}
	for _, address := range addresses {
		prefix, err := netip.ParsePrefix(address.String())
		if err == nil && prefix.Overlaps(plan.Network()) {
			return true, nil
		}
	}
	return false, nil
}
