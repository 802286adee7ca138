package images

import (
	"archive/tar"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

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
