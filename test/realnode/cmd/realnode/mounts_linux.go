package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// inPrivateMounts marks the process that privateMounts starts.
const inPrivateMounts = "REALNODE_PRIVATE_MOUNTS"

// privateMounts makes this process one with a mount namespace of its own, by running it again: a Go program cannot move
// all its threads.
func privateMounts() error {
	if os.Getenv(inPrivateMounts) != "" {
		return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("a mount namespace: %w", err)
	}
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(executable, os.Args, append(os.Environ(), inPrivateMounts+"=1"))
}
