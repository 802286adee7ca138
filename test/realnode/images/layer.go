package images

import (
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// fileLayer is an uncompressed layer in a file. Compressing 300 MB takes longer than writing them, and containerd would
// only decompress them again.
type fileLayer struct {
	path   string
	digest v1.Hash
	size   int64
}

// newFileLayer describes the tar archive at path, whose SHA-256 is digest (64 hexadecimal digits).
func newFileLayer(path, digest string) (*fileLayer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	return &fileLayer{path: path, digest: v1.Hash{Algorithm: "sha256", Hex: digest}, size: info.Size()}, nil
}

// Digest implements v1.Layer.
func (l *fileLayer) Digest() (v1.Hash, error) { return l.digest, nil }

// DiffID implements v1.Layer; without compression it is the digest.
func (l *fileLayer) DiffID() (v1.Hash, error) { return l.digest, nil }

// Compressed implements v1.Layer.
func (l *fileLayer) Compressed() (io.ReadCloser, error) { return os.Open(l.path) }

// Uncompressed implements v1.Layer.
func (l *fileLayer) Uncompressed() (io.ReadCloser, error) { return os.Open(l.path) }

// Size implements v1.Layer.
func (l *fileLayer) Size() (int64, error) { return l.size, nil }

// MediaType implements v1.Layer.
func (l *fileLayer) MediaType() (types.MediaType, error) { return types.OCIUncompressedLayer, nil }

// linkInto places the layer as a blob of the OCI layout at dir, so that writing the layout need not copy it. Where hard
// links cannot be made nothing happens.
func (l *fileLayer) linkInto(dir string) {
	blobs := filepath.Join(dir, "blobs", "sha256")
	if os.MkdirAll(blobs, 0o755) == nil {
		_ = os.Link(l.path, filepath.Join(blobs, l.digest.Hex))
	}
}

// writeLayer writes the tree as a layer to path.
func writeLayer(content tree, path string) (*fileLayer, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if err := content.writeTar(file); err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	digest, err := loadDigests(os.DevNull).of(path)
	if err != nil {
		return nil, err
	}
	return newFileLayer(path, digest)
}
