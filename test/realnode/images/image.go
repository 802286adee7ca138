package images

import (
	"archive/tar"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// image describes an image to write.
type image struct {
	// name is the name of its files: images/NAME and images/NAME.tar.
	name string
	// reference is the full name by which a pod gets it.
	reference string
	// base is a layer below that of content; nil for none.
	base *fileLayer
	// content is the top layer.
	content tree
	// config is what a container of it runs by default.
	config v1.Config
}

// writeImage writes the image as OCI layout to DIR and as archive for "ctr images import" to DIR.tar.
func writeImage(described image, dir string) error {
	top, err := writeLayer(described.content, dir+".layer")
	if err != nil {
		return err
	}
	defer os.Remove(top.path)
	layers := []v1.Layer{top}
	target, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	top.linkInto(dir)
	if described.base != nil {
		layers = []v1.Layer{described.base, top}
		described.base.linkInto(dir)
	}
	made, err := assemble(layers, described.config)
	if err != nil {
		return err
	}
	// containerd takes the first as the image's name, other tools the second.
	named := layout.WithAnnotations(map[string]string{
		"io.containerd.image.name":          described.reference,
		"org.opencontainers.image.ref.name": described.reference,
	})
	if err := target.AppendImage(made, named); err != nil {
		return err
	}
	return writeArchive(dir, dir+".tar")
}

// assemble makes an image of the layers, without times, so that the same layers give the same digest.
func assemble(layers []v1.Layer, config v1.Config) (v1.Image, error) {
	made := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	made, err := mutate.ConfigFile(made, &v1.ConfigFile{Architecture: "amd64", OS: "linux", Config: config,
		RootFS: v1.RootFS{Type: "layers"}, Created: v1.Time{Time: epoch().UTC()}})
	if err != nil {
		return nil, err
	}
	for _, layer := range layers {
		made, err = mutate.Append(made, mutate.Addendum{Layer: layer, MediaType: types.OCIUncompressedLayer,
			History: v1.History{CreatedBy: "node-images", Created: v1.Time{Time: epoch().UTC()}}})
		if err != nil {
			return nil, err
		}
	}
	return made, nil
}

// writeArchive packs an OCI layout into one file.
func writeArchive(dir, path string) error {
	packed := tree{}
	err := filepath.WalkDir(dir, func(name string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		_, err = packed.file(relative, 0o644, name)
		return err
	})
	if err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := packed.writeTar(file); err != nil {
		return err
	}
	return file.Close()
}

// archiveIndex opens an uncompressed tar archive for access to single files by path.
type archiveIndex struct {
	file    *os.File
	entries map[string]archiveEntry
}

type archiveEntry struct {
	header *tar.Header
	offset int64
}

// openArchive reads the headers of the tar archive at path.
func openArchive(path string) (*archiveIndex, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	index := &archiveIndex{file: file, entries: map[string]archiveEntry{}}
	reader := tar.NewReader(file)
	for {
		header, err := reader.Next()
		if err == io.EOF {
			return index, nil
		}
		if err != nil {
			file.Close()
			return nil, err
		}
		// The reader takes whole blocks of headers and nothing more, so the content starts here.
		offset, err := file.Seek(0, io.SeekCurrent)
		if err != nil {
			file.Close()
			return nil, err
		}
		index.entries[cleanName(header.Name)] = archiveEntry{header: header, offset: offset}
	}
}

func (a *archiveIndex) close() error { return a.file.Close() }

func cleanName(name string) string {
	return strings.Trim(filepath.Clean("/"+name), "/")
}

// open returns the content of the regular file at name; links are followed.
func (a *archiveIndex) open(name string) (*io.SectionReader, error) {
	entry, err := a.resolve(name)
	if err != nil {
		return nil, err
	}
	return io.NewSectionReader(a.file, entry.offset, entry.header.Size), nil
}

// resolve follows symbolic and hard links to a regular file.
func (a *archiveIndex) resolve(name string) (archiveEntry, error) {
	for range 10 {
		entry, ok := a.entries[cleanName(name)]
		if !ok {
			return archiveEntry{}, fmt.Errorf("%s: %w", name, os.ErrNotExist)
		}
		switch entry.header.Typeflag {
		case tar.TypeReg:
			return entry, nil
		case tar.TypeLink:
			name = entry.header.Linkname
		case tar.TypeSymlink:
			name = entry.header.Linkname
			if !filepath.IsAbs(name) {
				name = filepath.Join(filepath.Dir(cleanName(entry.header.Name)), entry.header.Linkname)
			}
		default:
			return archiveEntry{}, fmt.Errorf("%s is not a file", name)
		}
	}
	return archiveEntry{}, fmt.Errorf("%s: too many links", name)
}
