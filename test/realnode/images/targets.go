package images

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"
)

type target struct {
	name, help string
	make       func(*Workspace) error
}

func targets() []target {
	return []target{
		{"roots", "unpack and install the Debian packages for everything below; needs no program of ours", (*Workspace).makeRoots},
		{"small", "the small guest", (*Workspace).makeSmallGuest},
		{"debian", "the Debian guest", (*Workspace).makeDebianGuest},
		{"guests", "both guests", (*Workspace).makeGuests},
		{"images", "the images; needs the programs", (*Workspace).makeImages},
		{"all", "everything", (*Workspace).makeAll},
	}
}

// TargetHelp lists the targets of Make, a line each.
func TargetHelp() string {
	var text strings.Builder
	for _, target := range targets() {
		fmt.Fprintf(&text, "  %-8s %s\n", target.name, target.help)
	}
	return text.String()
}

// Make makes the named targets one after another. What is up to date stays as it is.
func (w *Workspace) Make(names ...string) error {
	absolute, err := filepath.Abs(w.Output)
	if err != nil {
		return err
	}
	w.Output = absolute
	if err := os.MkdirAll(w.Output, 0o755); err != nil {
		return err
	}
	for _, name := range names {
		if err := w.makeTarget(name); err != nil {
			return err
		}
	}
	return nil
}

func (w *Workspace) makeTarget(name string) error {
	for _, target := range targets() {
		if target.name == name {
			return target.make(w)
		}
	}
	return fmt.Errorf("there is no target %q; the targets are:\n%s", name, TargetHelp())
}

// together runs the functions at the same time and returns the first error.
func together(functions ...func() error) error {
	var group errgroup.Group
	for _, function := range functions {
		group.Go(function)
	}
	return group.Wait()
}

func (w *Workspace) makeRoots() error {
	return together(
		func() error { _, err := w.makeRoot(nodeRoot()); return err },
		func() error { _, err := w.makeRoot(smallPackages()); return err },
		func() error { _, err := w.makeDebianRoot(); return err },
	)
}

func (w *Workspace) makeGuests() error {
	return together(w.makeSmallGuest, w.makeDebianGuest)
}

func (w *Workspace) makeAll() error {
	if err := together(w.makeRoots, w.makeGuests); err != nil {
		return err
	}
	return w.makeImages()
}
