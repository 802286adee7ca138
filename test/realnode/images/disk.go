package images

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

const (
	sector = 512
	// firstSector is where the boot partition starts: after the boot record, aligned as every partitioning tool does.
	firstSector = 2048
	mebibyte    = 1 << 20
)

// disk is a bootable disk image: a boot partition (FAT, with syslinux) and perhaps a root partition (ext4).
type disk struct {
	// size of the whole disk and of the boot partition in MiB.
	sizeMiB, bootMiB int
	// label of the boot partition.
	label string
	// boot has the files of the boot partition by name: paths of this machine.
	boot map[string]string
	// root is a tar archive whose content becomes the root partition; empty for none.
	root string
}

// diskTools are what making disks needs.
func diskTools() []string {
	return []string{"sfdisk", "mkfs.vfat", "mcopy", "mmd", "syslinux", "/usr/lib/SYSLINUX/mbr.bin", "qemu-img", "xz", "gzip"}
}

// write makes the raw disk at path, without mounting anything.
func (d disk) write(path string) error {
	if err := missingTools(diskTools()...); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := file.Truncate(int64(d.sizeMiB) * mebibyte); err != nil {
		return err
	}
	bootSectors := d.bootMiB*mebibyte/sector - firstSector
	table := fmt.Sprintf("label: dos\nlabel-id: 0x56535253\nstart=%d, size=%d, type=6, bootable\n", firstSector, bootSectors)
	if d.root != "" {
		table += fmt.Sprintf("start=%d, type=83\n", firstSector+bootSectors)
	}
	script := path + ".table"
	if err := os.WriteFile(script, []byte(table), 0o644); err != nil {
		return err
	}
	if err := run("sh", "-c", `exec "$1" --quiet "$2" <"$3"`, "sh", mustFind("sfdisk"), path, script); err != nil {
		return err
	}
	if err := d.writeBoot(path, bootSectors); err != nil {
		return err
	}
	if d.root != "" {
		if err := d.writeRoot(path, firstSector+bootSectors); err != nil {
			return err
		}
	}
	record, err := os.ReadFile("/usr/lib/SYSLINUX/mbr.bin")
	if err != nil {
		return err
	}
	// The code of the boot record ends where the disk's signature and the partition table begin.
	const codeSize = 440
	if _, err := file.WriteAt(record[:min(len(record), codeSize)], 0); err != nil {
		return err
	}
	return file.Close()
}

// mustFind returns the path of a tool that missingTools has found.
func mustFind(name string) string {
	path, err := findTool(name)
	if err != nil {
		return name
	}
	return path
}

func (d disk) writeBoot(path string, sectors int) error {
	err := run("mkfs.vfat", "--invariant", "--offset", fmt.Sprint(firstSector), "-F", "16", "-n", d.label, path, fmt.Sprint(sectors*sector/1024))
	if err != nil {
		return err
	}
	var names []string
	for name := range d.boot {
		names = append(names, name)
	}
	sort.Strings(names)
	environment := []string{"MTOOLS_SKIP_CHECK=1", "TZ=UTC", fmt.Sprintf("SOURCE_DATE_EPOCH=%d", epoch().Unix())}
	offset := fmt.Sprint(firstSector * sector)
	for _, folder := range foldersOf(names) {
		making := command{args: []string{"mmd", "-i", path + "@@" + offset, "::" + folder}, environment: environment}
		if err := making.run(); err != nil {
			return err
		}
	}
	for _, name := range names {
		source := d.boot[name]
		if err := os.Chtimes(source, epoch(), epoch()); err != nil {
			return err
		}
		copying := command{args: []string{"mcopy", "-m", "-i", path + "@@" + offset, source, "::" + name}, environment: environment}
		if err := copying.run(); err != nil {
			return err
		}
	}
	return command{args: []string{"syslinux", "--install", "--offset", offset, path}, environment: environment}.run()
}

// foldersOf returns the folders that files are in, each after the one that it is in.
func foldersOf(files []string) []string {
	var folders []string
	for _, file := range files {
		for at, letter := range file {
			if folder := file[:at]; letter == '/' && !slices.Contains(folders, folder) {
				folders = append(folders, folder)
			}
		}
	}
	return folders
}

// writeRoot makes the root partition. Owners and devices of the archive survive only as root; where this process is not,
// mmdebstrap's helper gives it a user namespace.
func (d disk) writeRoot(path string, start int) error {
	const identity = "0b1d6d2e-5a6c-4f55-9b5f-5b0a2f3f7f10"
	blocks := (d.sizeMiB*mebibyte - start*sector) / 4096
	dir := path + ".root"
	script := `set -e
mkdir "$1"
tar -C "$1" --numeric-owner --xattrs --xattrs-include='*' -xf "$2"
mke2fs -q -t ext4 -b 4096 -L root -U "$3" -J size=16 -E "offset=$4,hash_seed=$3,lazy_itable_init=0,lazy_journal_init=0" -d "$1" "$5" "$6"
rm -rf "$1"`
	args := []string{"sh", "-c", script, "sh", dir, d.root, identity, fmt.Sprint(start * sector), path, fmt.Sprint(blocks)}
	if os.Geteuid() != 0 {
		args = append([]string{"mmdebstrap", "--unshare-helper"}, args...)
	}
	return command{args: args, environment: []string{
		fmt.Sprintf("E2FSPROGS_FAKE_TIME=%d", epoch().Unix()), "PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin",
	}}.run()
}

// convert makes the other forms of the raw disk at path: "qcow2" (compressed), "raw.gz", "raw.xz". It returns the paths
// by form.
func convert(path string, forms ...string) (map[string]string, error) {
	made := map[string]string{}
	base := strings.TrimSuffix(path, filepath.Ext(path))
	for _, form := range forms {
		target := base + "." + form
		made[form] = target
		var err error
		switch form {
		case "raw":
		case "qcow2":
			err = run("qemu-img", "convert", "-O", "qcow2", "-c", path, target)
		case "raw.gz":
			err = run("sh", "-c", `exec gzip -n -c -1 "$1" >"$2"`, "sh", path, target)
		case "raw.xz":
			err = run("sh", "-c", `exec xz -c -0 "$1" >"$2"`, "sh", path, target)
		default:
			err = fmt.Errorf("unknown form of a disk: %s", form)
		}
		if err != nil {
			return nil, err
		}
	}
	return made, nil
}
