//go:build !unix || aix || solaris

package app

import "golang.org/x/term"

// inForeground says whether a file is a terminal that is ours. There are no jobs in the background here.
func inForeground(file int) bool { return term.IsTerminal(file) }
