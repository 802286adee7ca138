// Package imagestore keeps the images of the nodes: imported and unpacked once into a folder of containerd, of which every
// node gets a copy that shares the files.
package imagestore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"
)

// namespace is containerd's namespace of the images that a kubelet uses.
const namespace = "k8s.io"

// Store says where the images come from and where the store is.
type Store struct {
	// Images is a folder of image archives, NAME.tar, or of one that has all: all.tar.
	Images string
	// Folder holds stores. Each is named after what it was made from.
	Folder string
	// BinDir holds containerd and ctr.
	BinDir string
	// Log receives a line for each image. Not nil.
	Log io.Writer
}

// Prepare returns the store of the images as they are now, and makes it unless it exists. Stores of older images are
// removed. The calling process must be in a mount namespace of its own, with a /run of its own: unpacking mounts.
func (s Store) Prepare(ctx context.Context) (string, error) {
	archives, err := filepath.Glob(filepath.Join(s.Images, "*.tar"))
	if err != nil {
		return "", err
	}
	// Layers that images share are in it once.
	if all := filepath.Join(s.Images, "all.tar"); slices.Contains(archives, all) {
		archives = []string{all}
	}
	if len(archives) == 0 {
		return "", fmt.Errorf("no images in %s", s.Images)
	}
	name, err := fingerprint(archives)
	if err != nil {
		return "", err
	}
	store := filepath.Join(s.Folder, name)
	if err := os.MkdirAll(s.Folder, 0o755); err != nil {
		return "", err
	}
	unlock, err := s.lock()
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(store); err == nil {
		return store, nil
	}
	// The folder is this process' alone: a containerd whose launcher was killed may write into another one for a moment.
	making, err := os.MkdirTemp(s.Folder, ".making-")
	if err != nil {
		return "", err
	}
	if err := s.make(ctx, making, archives); err != nil {
		return "", fmt.Errorf("image store: %w", err)
	}
	if err := s.removeOthers(filepath.Base(making)); err != nil {
		return "", err
	}
	return store, os.Rename(making, store)
}

// lockName is the file by which launchers make stores one after the other.
const lockName = ".lock"

// lock waits until no other process makes a store here. The kernel unlocks for a process that dies.
func (s Store) lock() (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(s.Folder, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("lock of %s: %w", s.Folder, err)
	}
	return func() { _ = file.Close() }, nil
}

// removeOthers removes older stores and halves of stores. A node that runs has its own links to the files.
func (s Store) removeOthers(keep string) error {
	entries, err := os.ReadDir(s.Folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() == keep || entry.Name() == lockName {
			continue
		}
		if err := os.RemoveAll(filepath.Join(s.Folder, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// fingerprint tells archives apart by name, size and time: they are replaced as a whole, never changed.
func fingerprint(archives []string) (string, error) {
	hash := sha256.New()
	for _, archive := range archives {
		info, err := os.Stat(archive)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(hash, "%s %d %d\n", filepath.Base(archive), info.Size(), info.ModTime().UnixNano())
	}
	return hex.EncodeToString(hash.Sum(nil))[:16], nil
}

// make imports the archives with a containerd that runs for this alone.
func (s Store) make(ctx context.Context, root string, archives []string) error {
	state := "/run/containerd"
	if err := os.MkdirAll(state, 0o711); err != nil {
		return err
	}
	if err := os.MkdirAll(root, 0o711); err != nil {
		return err
	}
	socket := filepath.Join(state, "containerd.sock")
	config := filepath.Join(state, "config.toml")
	text := fmt.Sprintf("version = 3\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.cri.v1.images\", \"io.containerd.cri.v1.runtime\", \"io.containerd.nri.v1.nri\"]\n[grpc]\n  address = %q\n[ttrpc]\n  address = %q\n",
		root, state, socket, socket+".ttrpc")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(s.Folder, "import.log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	daemon := exec.CommandContext(ctx, filepath.Join(s.BinDir, "containerd"), "--config", config)
	daemon.Stdout, daemon.Stderr = log, log
	daemon.Cancel = func() error { return daemon.Process.Signal(unix.SIGTERM) }
	daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := daemon.Start(); err != nil {
		return err
	}
	defer func() {
		_ = daemon.Process.Signal(unix.SIGTERM)
		_ = daemon.Wait()
	}()
	if err := WaitForFile(ctx, socket, time.Minute); err != nil {
		return fmt.Errorf("containerd: %w; see %s", err, log.Name())
	}
	for _, archive := range archives {
		begin := time.Now()
		if err := s.importArchive(ctx, socket, archive); err != nil {
			return fmt.Errorf("%w; see %s", err, log.Name())
		}
		fmt.Fprintf(s.Log, "imported %s in %.1f s\n", strings.TrimSuffix(filepath.Base(archive), ".tar"), time.Since(begin).Seconds())
	}
	return s.nameByDigest(ctx, socket)
}

// WaitForFile waits until path exists, and gives up after limit.
func WaitForFile(ctx context.Context, path string, limit time.Duration) error {
	return wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, limit, true, func(context.Context) (bool, error) {
		_, err := os.Stat(path)
		return err == nil, nil
	})
}

func (s Store) importArchive(ctx context.Context, socket, archive string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	_, err := s.ctr(ctx, socket, "-n", namespace, "images", "import", "--local", archive)
	return err
}

// nameByDigest names every image by its digest too. A machine that migrates names its containerDisk by the digest that
// its node reports.
func (s Store) nameByDigest(ctx context.Context, socket string) error {
	list, err := s.ctr(ctx, socket, "-n", namespace, "images", "list")
	if err != nil {
		return err
	}
	for _, line := range strings.Split(list, "\n")[1:] {
		fields := strings.Fields(line)
		if len(fields) < 3 || strings.Contains(fields[0], "@") {
			continue
		}
		repository := fields[0][:max(strings.LastIndex(fields[0], ":"), 0)]
		digest := slices.IndexFunc(fields, func(field string) bool { return strings.HasPrefix(field, "sha256:") })
		if repository == "" || digest < 0 {
			continue
		}
		if _, err := s.ctr(ctx, socket, "-n", namespace, "images", "tag", "--force", fields[0], repository+"@"+fields[digest]); err != nil {
			return err
		}
	}
	return nil
}

func (s Store) ctr(ctx context.Context, socket string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, filepath.Join(s.BinDir, "ctr"), append([]string{"--address", socket}, args...)...)
	output, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ctr %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(output)))
	}
	return string(output), nil
}

// Copy makes folder a copy of the store in which every file but the databases is a link to the store's. The files are
// read only: containers write into layers of their own. A folder that exists is left as it is.
func Copy(store, folder string) error {
	if _, err := os.Stat(folder); err == nil {
		return nil
	}
	making := folder + ".making"
	if err := os.RemoveAll(making); err != nil {
		return err
	}
	err := filepath.WalkDir(store, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(store, path)
		if err != nil {
			return err
		}
		return copyEntry(path, filepath.Join(making, name), entry)
	})
	if err != nil {
		return fmt.Errorf("copy of the image store: %w", err)
	}
	return os.Rename(making, folder)
}

func copyEntry(from, to string, entry fs.DirEntry) error {
	switch {
	case entry.IsDir():
		return copyFolder(from, to)
	case strings.HasSuffix(from, ".db"):
		text, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		return os.WriteFile(to, text, 0o644)
	default:
		return os.Link(from, to)
	}
}

// copyFolder makes a folder with owner, mode and extended attributes of another.
func copyFolder(from, to string) error {
	var info unix.Stat_t
	if err := unix.Stat(from, &info); err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	if err := os.Chown(to, int(info.Uid), int(info.Gid)); err != nil {
		return err
	}
	return unix.Chmod(to, info.Mode&0o7777)
}
