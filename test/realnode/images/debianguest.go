package images

import (
	"archive/tar"
	"bytes"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// guestRoot is what a cloud image has, without what makes it boot slowly: the kernel is the small guest's.
func guestRoot() debianRoot {
	return debianRoot{name: "debian", variant: "minbase", packages: []string{
		"systemd-sysv", "udev", "dbus", "kmod", "cloud-init", "qemu-guest-agent", "openssh-server", "sudo", "systemd-resolved", "libnss-myhostname", "netbase",
		"iproute2", "iputils-ping", "ca-certificates", "wget", "fdisk", "cloud-guest-utils", "util-linux", "e2fsprogs", "login", "less", "vim-tiny",
	}}
}

func (w *Workspace) makeDebianRoot() (map[string]string, error) {
	return w.makeRoot(guestRoot())
}

// makeDebianGuest makes guests/debian.*: a Debian with cloud-init, guest agent and SSH server.
func (w *Workspace) makeDebianGuest() error {
	root, err := w.makeDebianRoot()
	if err != nil {
		return err
	}
	packages, err := w.makeRoot(smallPackages())
	if err != nil {
		return err
	}
	files, err := contentFingerprint(content, "content/debian")
	if err != nil {
		return err
	}
	_, err = w.ensure("debian", fingerprint("debian 3", root["digest"], packages["digest"], files), func(scratch string) (result, error) {
		archive, err := openArchive(w.path("roots", smallPackages().name+".tar"))
		if err != nil {
			return result{}, err
		}
		defer archive.close()
		version, err := kernelVersion(archive)
		if err != nil {
			return result{}, err
		}
		boot := map[string]string{"initrd": filepath.Join(scratch, "initrd")}
		if err := debianInitramfs(archive, version, scratch, boot["initrd"]); err != nil {
			return result{}, err
		}
		if err := bootFiles(archive, version, "debian", scratch, boot); err != nil {
			return result{}, err
		}
		w.Say("Debian guest: root file system")
		packed := filepath.Join(scratch, "root.tar")
		if err := w.writeDebianTree(archive, version, scratch, packed); err != nil {
			return result{}, err
		}
		raw := filepath.Join(scratch, "debian.raw")
		if err := (disk{sizeMiB: 768, bootMiB: 32, label: "BOOT", boot: boot, root: packed}).write(raw); err != nil {
			return result{}, err
		}
		w.Say("Debian guest: qcow2")
		return guestResult("debian", raw, "qcow2")
	})
	return err
}

// debianInitramfs writes an initramfs that knows only the disks of virtual machines: a second instead of ten.
func debianInitramfs(archive *archiveIndex, version, scratch, to string) error {
	made := tree{}
	if err := made.addBusyBox(archive, scratch, "bin"); err != nil {
		return err
	}
	for _, dir := range []string{"dev", "proc", "sys", "root"} {
		made.dir(dir, 0o755)
	}
	script, err := content.ReadFile("content/debian/init")
	if err != nil {
		return err
	}
	made.data("init", 0o755, script)
	modules := filepath.Join(scratch, "boot-modules")
	if err := kernelModules(archive, version, []string{"virtio_pci", "virtio_blk", "virtio_scsi", "ahci", "sd_mod", "ext4"}, modules); err != nil {
		return err
	}
	if err := made.addFolder(filepath.Join(modules, "lib/modules"), "lib/modules"); err != nil {
		return err
	}
	return made.writeInitramfs(to)
}

// writeDebianTree writes the guest's root as a tar archive: what the packages installed, the kernel's modules, and the
// guest's own configuration.
func (w *Workspace) writeDebianTree(packages *archiveIndex, version, scratch, to string) error {
	own, err := debianConfiguration()
	if err != nil {
		return err
	}
	modules := filepath.Join(scratch, "modules")
	if err := packages.extract("usr/lib/modules/"+version, filepath.Join(modules, "lib/modules", version)); err != nil {
		return err
	}
	if err := run("depmod", "-b", modules, version); err != nil {
		return err
	}
	if err := own.addFolder(filepath.Join(modules, "lib/modules"), "usr/lib/modules"); err != nil {
		return err
	}
	from, err := os.Open(w.path("roots", guestRoot().name+".tar"))
	if err != nil {
		return err
	}
	defer from.Close()
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := mergeTar(tar.NewReader(from), own, tar.NewWriter(file)); err != nil {
		return err
	}
	return file.Close()
}

// debianConfiguration is what the guest has besides its packages.
func debianConfiguration() (tree, error) {
	own := tree{}
	const configuration = "content/debian/root"
	err := fs.WalkDir(content, configuration, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := content.ReadFile(name)
		own.data(strings.TrimPrefix(name, configuration+"/"), 0o644, data)
		return err
	})
	if err != nil {
		return nil, err
	}
	masked, err := content.ReadFile("content/debian/masked")
	if err != nil {
		return nil, err
	}
	for _, unit := range strings.Fields(string(masked)) {
		own.symlink("etc/systemd/system/"+unit, "/dev/null")
	}
	for _, dir := range []string{"dev", "proc", "sys", "run"} {
		own.dir(dir, 0o755)
	}
	// An empty machine-id gets a new one at each boot; a missing one would make it a first boot, with all that entails.
	own.data("etc/machine-id", 0o444, nil)
	own.symlink("etc/resolv.conf", "../run/systemd/resolve/resolv.conf")
	for _, service := range []string{"systemd-networkd", "systemd-resolved"} {
		own.symlink("etc/systemd/system/multi-user.target.wants/"+service+".service", "/usr/lib/systemd/system/"+service+".service")
	}
	own.symlink("etc/systemd/system/network-online.target.wants/systemd-networkd-wait-online.service", "/usr/lib/systemd/system/systemd-networkd-wait-online.service")
	own.symlink("etc/systemd/system-generators/systemd-ssh-generator", "/dev/null")
	own.symlink("etc/localtime", "/usr/share/zoneinfo/Etc/UTC")
	return own, nil
}

// leftOut tells what of the packages' files the guest does without: caches, and the hardware database, which udev asks
// about each device.
func leftOut(name string) bool {
	return slices.ContainsFunc([]string{"var/cache/apt/", "var/lib/apt/lists/", "var/log/", "usr/lib/udev/hwdb", "etc/udev/hwdb", "boot/"},
		func(prefix string) bool { return strings.HasPrefix(name, prefix) && name != prefix })
}

// mergeTar copies the archive with own instead of the files of the same name.
func mergeTar(from *tar.Reader, own tree, to *tar.Writer) error {
	seen := map[string]bool{}
	for {
		header, err := from.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		name := cleanName(header.Name)
		if own[name] != nil && !own[name].folder || leftOut(name) {
			continue
		}
		seen[name] = true
		if err := copyEntry(from, header, to); err != nil {
			return err
		}
	}
	for _, name := range own.names() {
		if own[name].folder && seen[name] {
			continue
		}
		if err := own[name].writeTar(to, name); err != nil {
			return err
		}
	}
	return to.Close()
}

func copyEntry(from io.Reader, header *tar.Header, to *tar.Writer) error {
	var body io.Reader = from
	if path.Ext(header.Name) == ".pyc" && header.Typeflag == tar.TypeReg {
		data, err := io.ReadAll(from)
		if err != nil {
			return err
		}
		trustBytecode(data)
		body = bytes.NewReader(data)
	}
	if err := to.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.Copy(to, body)
	return err
}

// trustBytecode marks compiled Python as valid without a look at its source (an "unchecked hash-based pyc", PEP 552). By
// default Python compares the source's time, which is not the same in an image, and would compile everything at the
// first boot.
func trustBytecode(data []byte) {
	const flags = 4
	if len(data) >= 16 && bytes.Equal(data[flags:flags+4], []byte{0, 0, 0, 0}) {
		data[flags] = 1
	}
}
