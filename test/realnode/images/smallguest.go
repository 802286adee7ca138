package images

import (
	"embed"
	"encoding/json"
	"errors"
	"os"
	"path"
	"path/filepath"
	"strings"
)

//go:embed content
var content embed.FS

// smallPackages are what the small guest is made of; they are unpacked, not installed.
func smallPackages() debianRoot {
	return debianRoot{name: "guest-packages", variant: "extract", packages: []string{
		"linux-image-cloud-amd64", "systemd-boot-efi", "busybox-static", "dash", "util-linux", "e2fsprogs", "netcat-openbsd", "qemu-guest-agent",
	}}
}

// onDemandModules are loaded by the kernel when something of theirs is mounted.
func onDemandModules() []string {
	return []string{"ahci", "sr_mod", "vfat", "nls_cp437", "nls_ascii", "nls_iso8859_1", "nls_utf8", "ext4", "virtiofs", "sg", "pvpanic_pci", "pvpanic_mmio", "xfs"}
}

// makeSmallGuest makes guests/small.*: a kernel and BusyBox, for most tests.
func (w *Workspace) makeSmallGuest() error {
	packages, err := w.makeRoot(smallPackages())
	if err != nil {
		return err
	}
	files, err := contentFingerprint(content, "content/small")
	if err != nil {
		return err
	}
	_, err = w.ensure("small", fingerprint("small 3", packages["digest"], files, strings.Join(onDemandModules(), " ")), func(scratch string) (result, error) {
		w.Say("small guest: kernel, BusyBox and programs from packages")
		archive, err := openArchive(w.path("roots", "guest-packages.tar"))
		if err != nil {
			return result{}, err
		}
		defer archive.close()
		version, err := kernelVersion(archive)
		if err != nil {
			return result{}, err
		}
		initramfs, err := smallTree(archive, version, scratch)
		if err != nil {
			return result{}, err
		}
		boot := map[string]string{"initrd": filepath.Join(scratch, "initrd")}
		if err := initramfs.writeInitramfs(boot["initrd"]); err != nil {
			return result{}, err
		}
		if err := bootFiles(archive, version, "small", scratch, boot); err != nil {
			return result{}, err
		}
		if err := efiFiles(archive, scratch, boot); err != nil {
			return result{}, err
		}
		raw := filepath.Join(scratch, "small.raw")
		if err := (disk{sizeMiB: 64, bootMiB: 64, label: "GUEST", boot: boot}).write(raw); err != nil {
			return result{}, err
		}
		w.Say("small guest: qcow2, gz, xz")
		return guestResult("small", raw, "raw", "qcow2", "raw.gz", "raw.xz")
	})
	return err
}

// bootFiles puts kernel and syslinux.cfg of the guest into boot.
func bootFiles(archive *archiveIndex, version, guest, scratch string, boot map[string]string) error {
	kernel, err := archive.open("boot/vmlinuz-" + version)
	if err != nil {
		return err
	}
	boot["vmlinuz"] = filepath.Join(scratch, "vmlinuz")
	if err := writeFrom(boot["vmlinuz"], kernel); err != nil {
		return err
	}
	configuration, err := content.ReadFile("content/" + guest + "/syslinux.cfg")
	if err != nil {
		return err
	}
	boot["syslinux.cfg"] = filepath.Join(scratch, "syslinux.cfg")
	return os.WriteFile(boot["syslinux.cfg"], configuration, 0o644)
}

// efiFiles adds what the guest boots with by EFI: a boot loader where firmware looks for one on a disk that it does not know, and
// an entry with the options of syslinux.cfg.
func efiFiles(archive *archiveIndex, scratch string, boot map[string]string) error {
	loader, err := archive.open("usr/lib/systemd/boot/efi/systemd-bootx64.efi")
	if err != nil {
		return err
	}
	const program = "EFI/BOOT/BOOTX64.EFI"
	boot[program] = filepath.Join(scratch, "BOOTX64.EFI")
	if err := writeFrom(boot[program], loader); err != nil {
		return err
	}
	configuration, err := os.ReadFile(boot["syslinux.cfg"])
	if err != nil {
		return err
	}
	_, options, found := strings.Cut(string(configuration), "APPEND initrd=initrd ")
	if !found {
		return errors.New("syslinux.cfg has no options for the kernel")
	}
	for name, text := range map[string]string{
		"loader/loader.conf":        "default guest.conf\ntimeout 0\n",
		"loader/entries/guest.conf": "title guest\nlinux /vmlinuz\ninitrd /initrd\noptions " + strings.TrimSpace(options) + "\n",
	} {
		boot[name] = filepath.Join(scratch, path.Base(name))
		if err := os.WriteFile(boot[name], []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// guestResult converts the raw disk and describes all forms of the guest with their sizes.
func guestResult(name, raw string, forms ...string) (result, error) {
	made, err := convert(raw, forms...)
	if err != nil {
		return result{}, err
	}
	info, err := os.Stat(raw)
	if err != nil {
		return result{}, err
	}
	description := struct {
		// VirtualSize is the size of the disk in bytes, as the guest sees it.
		VirtualSize int64            `json:"virtualSize"`
		Files       map[string]int64 `json:"files"`
	}{VirtualSize: info.Size(), Files: map[string]int64{}}
	made2 := result{files: map[string]string{}}
	for form, file := range made {
		final := path.Join("guests", name+"."+form)
		made2.files[final] = file
		info, err := os.Stat(file)
		if err != nil {
			return result{}, err
		}
		description.Files[path.Base(final)] = info.Size()
	}
	data, err := json.MarshalIndent(description, "", "  ")
	if err != nil {
		return result{}, err
	}
	jsonPath := raw + ".json"
	made2.files[path.Join("guests", name+".json")] = jsonPath
	return made2, os.WriteFile(jsonPath, append(data, '\n'), 0o644)
}

// smallTree is the root file system of the small guest.
func smallTree(archive *archiveIndex, version, scratch string) (tree, error) {
	made := tree{}
	if err := made.addBusyBox(archive, scratch, "usr/bin"); err != nil {
		return nil, err
	}
	for link, target := range map[string]string{
		"bin": "usr/bin", "sbin": "usr/bin", "usr/sbin": "bin", "lib": "usr/lib", "lib64": "usr/lib64", "init": "usr/bin/busybox", "var/run": "../run",
		"usr/bin/mkfs.ext4": "mke2fs", "etc/mtab": "/proc/self/mounts",
	} {
		made.symlink(link, target)
	}
	for _, dir := range []string{"proc", "sys", "dev", "run", "mnt", "boot", "cidata", "www", "var/log", "usr/lib64"} {
		made.dir(dir, 0o755)
	}
	made.dir("tmp", 0o1777)
	made.dir("root", 0o700)
	for _, name := range []string{"usr/bin/lsblk", "usr/sbin/blkid", "usr/sbin/mke2fs", "usr/sbin/resize2fs", "usr/sbin/qemu-ga", "usr/bin/dash", "usr/bin/nc.openbsd"} {
		if err := made.addProgram(archive, name, "usr/bin/"+path.Base(name)); err != nil {
			return nil, err
		}
	}
	if _, err := made.addFrom(archive, "etc/mke2fs.conf", "etc/mke2fs.conf", 0o644); err != nil {
		return nil, err
	}
	return made, made.addSmallFiles(archive, version, scratch)
}

// addSmallFiles adds the guest's own scripts and configuration, and the kernel's modules.
func (t tree) addSmallFiles(archive *archiveIndex, version, scratch string) error {
	places := map[string]string{"power": "etc/acpi/PWRF/00000080", "udhcpc.script": "etc/udhcpc.script", "rc": "etc/rc", "rc.shutdown": "etc/rc.shutdown"}
	for _, name := range []string{"inittab", "modules", "profile", "os-release", "passwd", "group"} {
		places[name] = "etc/" + name
	}
	for _, name := range []string{"report", "disk-serial", "disk-records", "autologin", "agent", "udpecho", "shutdown"} {
		places[name] = "usr/bin/" + name
	}
	for name, place := range places {
		data, err := content.ReadFile("content/small/" + name)
		if err != nil {
			return err
		}
		mode := int64(0o644)
		if strings.HasPrefix(string(data), "#!") {
			mode = 0o755
		}
		t.data(place, mode, data)
	}
	names, err := t.read("etc/modules")
	if err != nil {
		return err
	}
	modules := filepath.Join(scratch, "modules")
	if err := kernelModules(archive, version, append(strings.Fields(string(names)), onDemandModules()...), modules); err != nil {
		return err
	}
	return t.addFolder(filepath.Join(modules, "lib/modules"), "usr/lib/modules")
}

// addBusyBox adds BusyBox, and a link to it in dir for each of its commands.
func (t tree) addBusyBox(archive *archiveIndex, scratch, dir string) error {
	found, err := t.addFrom(archive, "usr/bin/busybox", path.Join(dir, "busybox"), 0o755)
	if err != nil {
		return err
	}
	program := filepath.Join(scratch, "busybox")
	if err := writeFrom(program, found); err != nil {
		return err
	}
	if err := os.Chmod(program, 0o755); err != nil {
		return err
	}
	commands, err := output(program, "--list")
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(commands) {
		if name != "busybox" {
			t.symlink(path.Join(dir, name), "busybox")
		}
	}
	return nil
}
