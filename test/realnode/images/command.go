package images

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"syscall"
)

// debianPackages maps a program to the Debian package that has it.
func debianPackages() map[string]string {
	return map[string]string{
		"mmdebstrap": "mmdebstrap", "sfdisk": "fdisk", "mkfs.vfat": "dosfstools", "mcopy": "mtools", "mmd": "mtools", "syslinux": "syslinux",
		"/usr/lib/SYSLINUX/mbr.bin": "syslinux-common", "qemu-img": "qemu-utils", "mke2fs": "e2fsprogs", "xz": "xz-utils",
		"gzip": "gzip", "tar": "tar", "depmod": "kmod", "unshare": "util-linux", "go": "golang",
		"/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
	}
}

// missingTools returns an error that names the Debian packages without which the named programs or files are missing.
func missingTools(names ...string) error {
	packages := map[string]bool{}
	var missing []string
	for _, name := range names {
		if _, err := findTool(name); err != nil {
			missing = append(missing, filepath.Base(name))
			packages[debianPackages()[name]] = true
		}
	}
	if len(missing) == 0 {
		return nil
	}
	var list []string
	for name := range packages {
		list = append(list, name)
	}
	sort.Strings(list)
	return fmt.Errorf("missing on this machine: %s; install it with 'apt-get install --no-remove %s'",
		strings.Join(missing, ", "), strings.Join(list, " "))
}

// findTool returns the path of a program, also in the folders that only root has in its PATH.
func findTool(name string) (string, error) {
	if filepath.IsAbs(name) {
		_, err := os.Stat(name)
		return name, err
	}
	if found, err := exec.LookPath(name); err == nil {
		return found, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", exec.ErrNotFound
}

// command describes a program to run.
type command struct {
	args []string
	// environment is added to this process's own.
	environment []string
	// line gets each line of output; nil drops them.
	line func(string)
	// output gets standard output instead of line.
	output io.Writer
}

// run runs the program to its end. It does not outlive this process: the kernel kills it if this process is killed.
func (c command) run() error {
	path, err := findTool(c.args[0])
	if err != nil {
		return missingTools(c.args[0])
	}
	process := exec.Command(path, c.args[1:]...)
	process.Env = append(os.Environ(), "LC_ALL=C")
	process.Env = append(process.Env, c.environment...)
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	reader, writer := io.Pipe()
	process.Stdout, process.Stderr = writer, writer
	if c.output != nil {
		process.Stdout = c.output
	}
	last := make(chan []string, 1)
	go func() { last <- follow(reader, c.line) }()
	// The kernel sends the signal when the thread that started the program ends, so that thread must stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err = process.Run()
	writer.Close()
	lines := <-last
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(c.args, " "), err, strings.Join(lines, "\n"))
	}
	return nil
}

// follow reads lines until the end, hands them on and returns the last thirty for an error message.
func follow(reader io.Reader, line func(string)) []string {
	var last []string
	lines := bufio.NewReader(reader)
	for {
		text, err := lines.ReadString('\n')
		if text = strings.TrimRight(text, "\r\n"); text != "" {
			last = append(last, text)
			if len(last) > 30 {
				last = last[1:]
			}
			if line != nil {
				line(text)
			}
		}
		if err != nil {
			return last
		}
	}
}

// run runs a program whose output matters only if it fails.
func run(args ...string) error {
	return command{args: args}.run()
}

// output runs a program and returns what it printed, without the white space around it.
func output(args ...string) (string, error) {
	var printed bytes.Buffer
	err := command{args: args, output: &printed}.run()
	return strings.TrimSpace(printed.String()), err
}
