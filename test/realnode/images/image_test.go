package images

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/u-root/u-root/pkg/cpio"
)

func sample() tree {
	made := tree{}
	made.data("usr/bin/monitor", 0o755, []byte("program")).attributes = bindServiceCapability()
	made.symlink("var/run", "../run")
	disk := made.data("disk/guest.img", 0o440, []byte("disk"))
	disk.uid, disk.gid = qemuUser, qemuUser
	made.dir("tmp", 0o1777)
	return made
}

func TestImageLayout(t *testing.T) {
	dir := t.TempDir()
	base, err := writeLayer(tree{"etc": {mode: 0o755, folder: true}}, filepath.Join(dir, "base.tar"))
	if err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(dir, "image")
	described := image{name: "image", reference: "docker.io/local/sample:lab", base: base, content: sample(),
		config: v1.Config{Entrypoint: []string{"/usr/bin/monitor"}}}
	if err := writeImage(described, target); err != nil {
		t.Fatal(err)
	}
	index, err := layout.ImageIndexFromPath(target)
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := filepath.Glob(filepath.Join(target, "blobs", "sha256", "*"))
	if err != nil || len(blobs) != 4 {
		t.Errorf("%d blobs, %v; want two layers, configuration and manifest", len(blobs), err)
	}
	for _, blob := range blobs {
		if digest, err := loadDigests(os.DevNull).of(blob); err != nil || digest != filepath.Base(blob) {
			t.Errorf("the content of %s has the digest %s, %v", filepath.Base(blob), digest, err)
		}
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 {
		t.Fatalf("the layout has %d images", len(manifest.Manifests))
	}
	for _, key := range []string{"io.containerd.image.name", "org.opencontainers.image.ref.name"} {
		if got := manifest.Manifests[0].Annotations[key]; got != described.reference {
			t.Errorf("annotation %s is %q", key, got)
		}
	}
	made, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := made.Layers()
	if err != nil || len(layers) != 2 {
		t.Fatalf("got %d layers, %v", len(layers), err)
	}
	if digest, err := layers[0].Digest(); err != nil || digest != base.digest {
		t.Errorf("the base is %v, %v; want %v", digest, err, base.digest)
	}
	configuration, err := made.ConfigFile()
	if err != nil || configuration.Architecture != "amd64" || configuration.OS != "linux" || configuration.Config.Entrypoint[0] != "/usr/bin/monitor" {
		t.Errorf("got configuration %+v, %v", configuration, err)
	}
	checkArchive(t, target+".tar", manifest.Manifests[0].Digest)
}

// checkArchive checks that the archive has what a reader of OCI layouts looks for.
func checkArchive(t *testing.T, path string, image v1.Hash) {
	t.Helper()
	archive, err := openArchive(path)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.close()
	for _, name := range []string{"oci-layout", "index.json", "blobs/sha256/" + image.Hex} {
		if _, err := archive.open(name); err != nil {
			t.Errorf("the archive lacks %s: %v", name, err)
		}
	}
}

func TestSameContentGivesTheSameBytes(t *testing.T) {
	for name, write := range map[string]func(tree, io.Writer) error{"layer": tree.writeTar, "initramfs": tree.writeCPIO} {
		var first, second bytes.Buffer
		if err := write(sample(), &first); err != nil {
			t.Fatal(err)
		}
		if err := write(sample(), &second); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("%s: two runs differ", name)
		}
	}
}

func TestLayerKeepsOwnersLinksAndCapabilities(t *testing.T) {
	var written bytes.Buffer
	if err := sample().writeTar(&written); err != nil {
		t.Fatal(err)
	}
	found := map[string]*tar.Header{}
	var order []string
	reader := tar.NewReader(&written)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		found[header.Name] = header
		order = append(order, header.Name)
	}
	if got := strings.Join(order, " "); got != "disk/ disk/guest.img tmp/ usr/ usr/bin/ usr/bin/monitor var/ var/run" {
		t.Errorf("order: %s", got)
	}
	// cap_net_bind_service is number 10; the layout is struct vfs_cap_data of revision 2.
	want := "\x01\x00\x00\x02" + "\x00\x04\x00\x00" + strings.Repeat("\x00", 12)
	if got := found["usr/bin/monitor"].PAXRecords["SCHILY.xattr.security.capability"]; got != want {
		t.Errorf("capability: %q", got)
	}
	if disk := found["disk/guest.img"]; disk.Uid != 107 || disk.Gid != 107 || disk.Mode != 0o440 {
		t.Errorf("disk: %+v", disk)
	}
	if found["tmp/"].Mode != 0o1777 || found["var/run"].Linkname != "../run" {
		t.Errorf("got %+v and %+v", found["tmp/"], found["var/run"])
	}
}

func TestInitramfsIsReadable(t *testing.T) {
	var written bytes.Buffer
	if err := sample().writeCPIO(&written); err != nil {
		t.Fatal(err)
	}
	records, err := cpio.ReadAllRecords(cpio.Newc.Reader(bytes.NewReader(written.Bytes())))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]cpio.Record{}
	for _, record := range records {
		found[record.Name] = record
	}
	if got := found["usr/bin/monitor"]; got.Mode&0o777 != 0o755 || got.FileSize != uint64(len("program")) {
		t.Errorf("program: %+v", got.Info)
	}
	if got := found["var/run"]; got.Mode&cpio.S_IFMT != cpio.S_IFLNK {
		t.Errorf("link: %+v", got.Info)
	}
}

func TestArchiveFollowsLinks(t *testing.T) {
	made := tree{}
	made.data("usr/lib/real", 0o644, []byte("content"))
	made.symlink("usr/lib/relative", "real")
	made.symlink("lib/absolute", "/usr/lib/relative")
	made.symlink("loop", "loop")
	made.symlink("dangling", "nowhere")
	file := filepath.Join(t.TempDir(), "archive.tar")
	layer, err := writeLayer(made, file)
	if err != nil {
		t.Fatal(err)
	}
	archive, err := openArchive(layer.path)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.close()
	for _, name := range []string{"usr/lib/real", "/usr/lib/real", "./usr/lib/relative", "lib/absolute"} {
		content, err := archive.open(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if data, err := io.ReadAll(content); err != nil || string(data) != "content" {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	for _, name := range []string{"loop", "usr/lib", "dangling", "missing"} {
		if _, err := archive.open(name); err == nil {
			t.Errorf("%s was opened", name)
		}
	}
	if _, err := archive.open("missing"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}
