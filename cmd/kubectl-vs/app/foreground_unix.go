//go:build unix && !aix && !solaris

package app

import "golang.org/x/sys/unix"

// inForeground says whether a file is a terminal that is ours. One that belongs to somebody else, such as the shell that runs us
// in the background, must be left alone: a process that changes its settings is stopped.
func inForeground(file int) bool {
	group, err := unix.IoctlGetInt(file, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
