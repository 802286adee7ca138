package images

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMachineMirror(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"one line", map[string]string{"sources.list": "deb http://mirror.example/debian bookworm main\n"}, "http://mirror.example/debian"},
		{"options and a slash", map[string]string{"sources.list": "deb [arch=amd64 signed-by=/x.gpg] https://mirror.example/pub/debian/ trixie main"},
			"https://mirror.example/pub/debian"},
		{"comments and sources of source code first", map[string]string{
			"sources.list": "# deb http://old.example/debian x main\ndeb-src http://src.example/debian x main\ndeb http://new.example/debian x main"},
			"http://new.example/debian"},
		{"stanzas", map[string]string{"sources.list.d/debian.sources": "Types: deb\n# a note\nURIs: http://mirror.example/debian\nSuites: bookworm\n"},
			"http://mirror.example/debian"},
		{"several addresses, folded", map[string]string{
			"sources.list.d/a.sources": "Types: deb deb-src\nURIs:\n http://one.example/debian-security\n http://two.example/debian\n"}, "http://two.example/debian"},
		{"a disabled stanza first", map[string]string{
			"sources.list.d/a.sources": "Enabled: no\nTypes: deb\nURIs: http://off.example/debian\n\nTypes: deb\nURIs: http://on.example/debian\n"}, "http://on.example/debian"},
		{"others and Debian", map[string]string{
			"sources.list.d/a.list": "deb https://packages.example/apt stable main", "sources.list.d/b.list": "deb https://mirror.example/debian trixie main"},
			"https://mirror.example/debian"},
		{"only the security archive", map[string]string{"sources.list": "deb http://mirror.example/debian-security x main"}, ""},
		{"Ubuntu", map[string]string{"sources.list": "deb http://archive.example/ubuntu noble main"}, ""},
		{"none", nil, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range test.files {
				write(t, filepath.Join(dir, name), content)
			}
			got, err := machineMirror(dir)
			if got != test.want || (test.want == "") != errors.Is(err, errNoMirror) {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func TestModuleClosure(t *testing.T) {
	index := "kernel/fs/isofs/isofs.ko.xz: kernel/cdrom.ko.xz\nkernel/cdrom.ko.xz:\nkernel/net/virtio_net.ko.xz: kernel/net/failover.ko.xz\n" +
		"kernel/net/failover.ko.xz:\nkernel/nls/nls_iso8859-1.ko:\n"
	builtin := "kernel/fs/ext4/ext4.ko\nkernel/drivers/virtio/virtio_pci.ko\n"
	tests := []struct {
		names, want string
		fails       bool
	}{
		{"isofs", "kernel/cdrom.ko.xz kernel/fs/isofs/isofs.ko.xz", false},
		{"ext4 virtio_pci", "", false},
		{"isofs cdrom", "kernel/cdrom.ko.xz kernel/fs/isofs/isofs.ko.xz", false},
		{"nls_iso8859_1", "kernel/nls/nls_iso8859-1.ko", false},
		{"virtio-net ext4", "kernel/net/failover.ko.xz kernel/net/virtio_net.ko.xz", false},
		{"isofs nonesuch", "", true},
	}
	for _, test := range tests {
		files, err := moduleClosure(index, builtin, strings.Fields(test.names))
		if got := strings.Join(files, " "); got != test.want || (err != nil) != test.fails {
			t.Errorf("%s: got %q, %v", test.names, got, err)
		}
	}
}

func TestMergeTar(t *testing.T) {
	var packages, merged bytes.Buffer
	installed := tree{}
	installed.data("etc/hostname", 0o644, []byte("build machine"))
	installed.data("etc/passwd", 0o644, []byte("root"))
	installed.data("var/cache/apt/pkgcache.bin", 0o644, []byte("cache"))
	installed.data("usr/lib/python3/a.pyc", 0o644, append([]byte("\xf3\r\r\n\x00\x00\x00\x00"), "time and size"...))
	if err := installed.writeTar(&packages); err != nil {
		t.Fatal(err)
	}
	own := tree{}
	own.data("etc/hostname", 0o644, []byte("debian"))
	own.data("etc/new/file", 0o644, []byte("new"))
	if err := mergeTar(tar.NewReader(&packages), own, tar.NewWriter(&merged)); err != nil {
		t.Fatal(err)
	}
	count, content := map[string]int{}, map[string]string{}
	reader := tar.NewReader(&merged)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		name := cleanName(header.Name)
		count[name]++
		content[name] = string(data)
	}
	for name, times := range count {
		if times != 1 {
			t.Errorf("%s is there %d times", name, times)
		}
	}
	for name, want := range map[string]string{"etc/hostname": "debian", "etc/passwd": "root", "etc/new/file": "new",
		"usr/lib/python3/a.pyc": "\xf3\r\r\n\x01\x00\x00\x00time and size"} {
		if content[name] != want {
			t.Errorf("%s: %q, want %q", name, content[name], want)
		}
	}
	if count["var/cache/apt/pkgcache.bin"] != 0 || count["var/cache/apt"] != 1 {
		t.Errorf("caches: %v", count)
	}
}

func TestProgressOfApt(t *testing.T) {
	var said []string
	progress := &aptProgress{name: "node root", say: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }}
	for _, line := range []string{"I: running apt-get update...", "0 upgraded, 120 newly installed, 0 to remove and 0 not upgraded.",
		"Unpacking libc6 (2.41) ...", "Setting up libc6 (2.41) ...", "Get:1 something", "I: creating tarball..."} {
		progress.line(line)
	}
	want := []string{"node root: running apt-get update", "node root: 120 packages", "node root: 1 of 120 packages unpacked, 0 set up", "node root: creating tarball"}
	if strings.Join(said, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", said, want)
	}
	if time.Since(progress.said) > time.Minute {
		t.Error("the time of the last line is not kept")
	}
}

func TestEveryImageHasAName(t *testing.T) {
	names := map[string]bool{}
	for _, planned := range plans() {
		if names[planned.name] || names[planned.reference] {
			t.Errorf("%s is there twice", planned.name)
		}
		names[planned.name], names[planned.reference] = true, true
		if _, tag, ok := strings.Cut(planned.reference, ":"); !ok || tag == "latest" || tag == "" {
			// With the tag latest a pod without a pull policy asks a registry, and there is none.
			t.Errorf("%s needs a tag other than latest", planned.reference)
		}
	}
}
