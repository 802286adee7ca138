// Package rootfs puts together what a node sees as its file system, from inside the node's own mount namespace.
//
// The root is a tmpfs. The machine's programs and libraries are bound into it, read-only; folders that must outlive the
// node are bound from its own data folder. So nothing that a node writes stays on the machine, and nothing of the
// machine that is not named here is seen by a pod that mounts the node's files.
package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Layout says what a node's file system is made of. All paths are absolute.
type Layout struct {
	// Root is an empty folder on the machine that the new root is mounted over.
	Root string
	// Data is the node's own folder. It is seen under the same path inside.
	Data string
	// Keep maps a path inside to a folder below Data: what is written there is kept.
	Keep map[string]string
	// Bind lists folders of the machine that are seen under the same path inside, writable.
	Bind []string
	// BindReadOnly lists folders of the machine that are seen under the same path inside.
	BindReadOnly []string
	// Files are written into the new root, by path.
	Files map[string]string
	// Devices lists further device files of the machine to pass on, such as /dev/kvm.
	Devices []string
}

// system is what programs of a Linux distribution need. Where a distribution has merged /usr, these are links.
var system = []string{"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}

// etc is the configuration that the machine's programs and libraries read.
var etc = []string{"ssl", "alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "nsswitch.conf", "passwd", "group", "protocols", "services"}

// Enter builds the file system and makes it the root of the calling process. The process must be the first of a PID
// namespace, in a mount and a network namespace of its own.
func Enter(layout Layout) error {
	// Nothing of what follows may reach the machine.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", layout.Root, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("new root: %w", err)
	}
	b := builder{root: layout.Root}
	b.system()
	b.kernel()
	b.devices(layout.Devices)
	b.folders(layout)
	b.quietSysctls()
	for path, text := range layout.Files {
		b.write(path, text)
	}
	if b.err != nil {
		return b.err
	}
	return pivot(layout.Root)
}

// pivot makes root the root and drops the old one.
func pivot(root string) error {
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot to the new root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the old root: %w", err)
	}
	// Pods share mounts with the node, both ways, where they ask for it.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share mounts with pods: %w", err)
	}
	return os.Chdir("/")
}

// builder keeps the first error, so that the steps read as a list.
type builder struct {
	root string
	err  error
}

func (b *builder) inside(path string) string { return filepath.Join(b.root, path) }

func (b *builder) do(what string, action func() error) {
	if b.err != nil {
		return
	}
	if err := action(); err != nil {
		b.err = fmt.Errorf("%s: %w", what, err)
	}
}

func (b *builder) folder(path string, mode os.FileMode) {
	b.do("folder "+path, func() error {
		if err := os.MkdirAll(b.inside(path), mode); err != nil {
			return err
		}
		return os.Chmod(b.inside(path), mode)
	})
}

func (b *builder) write(path, text string) {
	b.do("file "+path, func() error {
		if err := os.MkdirAll(filepath.Dir(b.inside(path)), 0o755); err != nil {
			return err
		}
		return os.WriteFile(b.inside(path), []byte(text), 0o644)
	})
}

func (b *builder) mount(source, path, kind string, flags uintptr, data string) {
	b.folder(path, 0o755)
	b.do("mount "+path, func() error { return unix.Mount(source, b.inside(path), kind, flags, data) })
}

// bind shows source, which may be a file, under path.
func (b *builder) bind(source, path string, readOnly bool) {
	b.do("bind "+path, func() error {
		info, err := os.Stat(source)
		if err != nil {
			return err
		}
		target := b.inside(path)
		if info.IsDir() {
			err = os.MkdirAll(target, 0o755)
		} else if err = os.MkdirAll(filepath.Dir(target), 0o755); err == nil {
			err = touch(target)
		}
		if err != nil {
			return err
		}
		if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return err
		}
		if !readOnly {
			return nil
		}
		return unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
	})
}

func touch(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return file.Close()
}

// system shows the machine's programs and libraries.
func (b *builder) system() {
	b.bind("/usr", "/usr", true)
	for _, path := range system {
		info, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			b.do(path, func() error { return err })
		case info.Mode()&fs.ModeSymlink != 0:
			b.do("link "+path, func() error {
				target, err := os.Readlink(path)
				if err != nil {
					return err
				}
				return os.Symlink(target, b.inside(path))
			})
		default:
			b.bind(path, path, true)
		}
	}
	for _, name := range etc {
		path := filepath.Join("/etc", name)
		if _, err := os.Stat(path); err == nil {
			b.bind(path, path, true)
		}
	}
	for _, path := range []string{"/root", "/home", "/opt", "/srv", "/mnt", "/var/log", "/var/cache", "/var/lib"} {
		b.folder(path, 0o755)
	}
	b.mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755")
	b.folder("/run/lock", 0o755)
	b.folder("/tmp", 0o1777)
	b.do("sticky /tmp", func() error { return os.Chmod(b.inside("/tmp"), os.ModeSticky|0o777) })
	b.do("link /var/run", func() error { return os.Symlink("../run", b.inside("/var/run")) })
}

// kernel shows the node's own processes and network, and the machine's cgroup tree, of which the kubelet uses its part.
func (b *builder) kernel() {
	b.mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	b.mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	b.do("cgroups", func() error {
		return unix.Mount("/sys/fs/cgroup", b.inside("/sys/fs/cgroup"), "", unix.MS_BIND|unix.MS_REC, "")
	})
}

// folders shows what the layout names.
func (b *builder) folders(layout Layout) {
	b.bind(layout.Data, layout.Data, false)
	for path, kept := range layout.Keep {
		b.do("folder "+kept, func() error { return os.MkdirAll(kept, 0o755) })
		b.bind(kept, path, false)
	}
	for _, path := range layout.Bind {
		b.bind(path, path, false)
	}
	for _, path := range layout.BindReadOnly {
		b.bind(path, path, true)
	}
}
