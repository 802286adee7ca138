package images

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"sort"
	"strings"
	"time"
)

// node is a file, folder or link of a tree.
type node struct {
	mode     int64
	uid, gid int
	// open returns the content of a file; nil for folders and links.
	open func() (io.ReadCloser, error)
	size int64
	// link is the target of a symbolic link.
	link string
	// attributes are extended attributes, such as file capabilities.
	attributes map[string]string
	folder     bool
}

// tree is a file system in memory, by clean paths without a leading slash. It becomes a layer of an image or an
// initramfs; both are sorted and have no times of their own, so the same content gives the same bytes.
type tree map[string]*node

// epoch is the time of every file that is made here.
func epoch() time.Time { return time.Unix(1_700_000_000, 0) }

func (t tree) add(name string, added *node) *node {
	name = strings.Trim(path.Clean("/"+name), "/")
	t.parents(name)
	t[name] = added
	return added
}

func (t tree) parents(name string) {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if t[dir] == nil {
			t[dir] = &node{mode: 0o755, folder: true}
		}
	}
}

func (t tree) dir(name string, mode int64) *node {
	return t.add(name, &node{mode: mode, folder: true})
}

func (t tree) symlink(name, target string) *node {
	return t.add(name, &node{mode: 0o777, link: target})
}

func (t tree) data(name string, mode int64, content []byte) *node {
	return t.add(name, &node{mode: mode, size: int64(len(content)), open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}})
}

// file adds the file at source of this machine.
func (t tree) file(name string, mode int64, source string) (*node, error) {
	info, err := os.Stat(source)
	if err != nil {
		return nil, err
	}
	return t.add(name, &node{mode: mode, size: info.Size(), open: func() (io.ReadCloser, error) { return os.Open(source) }}), nil
}

func (t tree) names() []string {
	var names []string
	for name := range t {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// writeTar writes the tree as a tar archive as layers of images have them.
func (t tree) writeTar(to io.Writer) error {
	archive := tar.NewWriter(to)
	for _, name := range t.names() {
		if err := t[name].writeTar(archive, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return archive.Close()
}

func (n *node) writeTar(archive *tar.Writer, name string) error {
	header := &tar.Header{Name: name, Mode: n.mode, Uid: n.uid, Gid: n.gid, ModTime: epoch(), Typeflag: tar.TypeReg, Size: n.size}
	switch {
	case n.folder:
		header.Typeflag, header.Name = tar.TypeDir, name+"/"
	case n.open == nil:
		header.Typeflag, header.Linkname = tar.TypeSymlink, n.link
	}
	if len(n.attributes) > 0 {
		header.Format = tar.FormatPAX
		header.PAXRecords = map[string]string{}
		for key, value := range n.attributes {
			header.PAXRecords["SCHILY.xattr."+key] = value
		}
	}
	if err := archive.WriteHeader(header); err != nil || n.open == nil {
		return err
	}
	content, err := n.open()
	if err != nil {
		return err
	}
	defer content.Close()
	_, err = io.Copy(archive, content)
	return err
}

// bindServiceCapability is the extended attribute security.capability for "cap_net_bind_service=ep": revision 2 with the
// effective bit, then permitted and inheritable sets of 32 bits each, twice, all little-endian (capability.h of Linux).
func bindServiceCapability() map[string]string {
	const netBindService = 10
	value := make([]byte, 20)
	copy(value, []byte{0x01, 0x00, 0x00, 0x02})
	value[4+netBindService/8] = 1 << (netBindService % 8)
	return map[string]string{"security.capability": string(value)}
}

// read returns the content of a file, or the target of a link; empty for a folder.
func (t tree) read(name string) ([]byte, error) {
	n := t[name]
	if n == nil {
		return nil, fmt.Errorf("%s: %w", name, os.ErrNotExist)
	}
	if n.open == nil {
		return []byte(n.link), nil
	}
	content, err := n.open()
	if err != nil {
		return nil, err
	}
	defer content.Close()
	return io.ReadAll(content)
}
