package images

import (
	"encoding/json"
	"os"

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
	return writeArchive(dir+".tar", dir)
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

// writeArchive packs OCI layouts into one that is one file. Blobs that several of them have are in it once.
func writeArchive(path string, dirs ...string) error {
	packed, index := tree{}, v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	for _, dir := range dirs {
		if err := packed.addLayout(dir, &index); err != nil {
			return err
		}
	}
	list, err := json.Marshal(index)
	if err != nil {
		return err
	}
	packed.data("index.json", 0o644, list)
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

// addLayout adds the files of the OCI layout at dir, and its images to index.
func (t tree) addLayout(dir string, index *v1.IndexManifest) error {
	found, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return err
	}
	manifest, err := found.IndexManifest()
	if err != nil {
		return err
	}
	index.Manifests = append(index.Manifests, manifest.Manifests...)
	return t.addFolder(dir, "")
}
