// Package child starts this program again in namespaces of its own.
package child

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// Command is this program with the given arguments, to be started in new namespaces (CLONE_NEW* in flags). It dies with the
// thread that starts it, so the calling goroutine keeps its thread from now on, and the thread lives as long as the process if
// that is the main goroutine's.
func Command(flags uintptr, arguments ...string) (*exec.Cmd, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	command := exec.Command(executable, arguments...)
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	return command, nil
}
