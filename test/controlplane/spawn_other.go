//go:build unix && !linux

package controlplane

import "syscall"

// childAttributes cannot ask for a parent-death signal here: children outlive a launcher
// that is killed with SIGKILL, and only then.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
