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

// The launcher's death kills this process by the signal that was set for its main thread. An exec from any other thread
// would lose that, so the main goroutine stays on it.
func init() { runtime.LockOSThread() }

// privateMounts makes this process one with a mount namespace and a /run of its own, by running it again: a Go program cannot move
// all its threads.
func privateMounts() error {
	if os.Getenv(inPrivateMounts) != "" {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		// What a killed process leaves in its run-time folder goes with its namespace.
		return unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755")
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("a mount namespace: %w", err)
	}
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(executable, os.Args, append(os.Environ(), inPrivateMounts+"=1"))
}
