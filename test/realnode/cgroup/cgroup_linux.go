// Package cgroup makes and removes the part of the machine's cgroup tree that a node may use.
//
// cgroups are the one thing of a node that does not go with its processes, so whoever starts nodes removes what an
// earlier launcher left.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Root is where Linux distributions mount the cgroup tree.
const Root = "/sys/fs/cgroup"

// Name is the cgroup of a node. It carries the number of the lab, so that what an ended lab left can be told from what a
// running one uses.
func Name(lab int, node string) string { return fmt.Sprintf("vslab%d-%s", lab, node) }

// hierarchies lists the roots of the trees: one with the unified cgroups of Linux, one for each controller before.
func hierarchies(root string) ([]string, error) {
	var found unix.Statfs_t
	if err := unix.Statfs(root, &found); err != nil {
		return nil, fmt.Errorf("cgroups: %w", err)
	}
	if found.Type == unix.CGROUP2_SUPER_MAGIC {
		return []string{root}, nil
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, fmt.Errorf("cgroups: %w", err)
	}
	var trees []string
	for _, entry := range entries {
		// Links such as cpu -> cpu,cpuacct lead to a tree that is listed already.
		if entry.IsDir() {
			trees = append(trees, filepath.Join(root, entry.Name()))
		}
	}
	if len(trees) == 0 {
		return nil, fmt.Errorf("no cgroup tree is mounted at %s", root)
	}
	return trees, nil
}

// Make makes the cgroup in every tree, empty.
func Make(root, name string) error {
	trees, err := hierarchies(root)
	if err != nil {
		return err
	}
	for _, tree := range trees {
		path := filepath.Join(tree, name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
		// A new cpuset has no processors and refuses every process.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			value, err := os.ReadFile(filepath.Join(tree, file))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err == nil {
				err = os.WriteFile(filepath.Join(path, file), value, 0o644)
			}
			if err != nil {
				return fmt.Errorf("cgroup: %w", err)
			}
		}
	}
	return nil
}

// removeTimeout bounds the wait for processes that were killed but have not gone yet.
const removeTimeout = 20 * time.Second

// Remove removes the cgroups of the lab whose number is given, deepest first. It waits for killed processes to go.
func Remove(root string, lab int) error {
	trees, err := hierarchies(root)
	if err != nil {
		return err
	}
	var errs []error
	for _, tree := range trees {
		entries, err := os.ReadDir(tree)
		if err != nil {
			return fmt.Errorf("cgroups: %w", err)
		}
		for _, entry := range entries {
			if entry.IsDir() && strings.HasPrefix(entry.Name(), Name(lab, "")) {
				errs = append(errs, removeTree(filepath.Join(tree, entry.Name())))
			}
		}
	}
	return errors.Join(errs...)
}

// removeTree removes a cgroup and those below it.
func removeTree(top string) error {
	var folders []string
	err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && entry.IsDir() {
			folders = append(folders, path)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("cgroup %s: %w", top, err)
	}
	deadline := time.Now().Add(removeTimeout)
	for _, folder := range slices.Backward(folders) {
		for {
			err := os.Remove(folder)
			if err == nil || errors.Is(err, fs.ErrNotExist) {
				break
			}
			if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
				return fmt.Errorf("cgroup %s: %w", folder, err)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return nil
}
