package main

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// user is nobody in particular, by number, so that Kubernetes can see that it is not root (runAsNonRoot).
const user = "65532:65532"

// labels are the annotations that the OCI image specification defines.
func labels(p program, committed time.Time) map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":       name,
		"org.opencontainers.image.description": "VirtualServer: one Kubernetes object, one virtual machine",
		"org.opencontainers.image.version":     p.version(),
		"org.opencontainers.image.revision":    p.setting("vcs.revision"),
		"org.opencontainers.image.created":     committed.Format(time.RFC3339),
		"org.opencontainers.image.licenses":    "Apache-2.0",
	}
}

// makeImage puts the program on an empty root.
func makeImage(p program, license []byte) (v1.Image, error) {
	committed, err := p.committed()
	if err != nil {
		return nil, err
	}
	binary, err := os.ReadFile(p.path)
	if err != nil {
		return nil, err
	}
	layer, err := layerOf(committed, []entry{
		{name: name, mode: 0o755, content: binary},
		{name: "licenses/LICENSE", mode: 0o644, content: license},
	})
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err = mutate.Append(image, mutate.Addendum{
		Layer: layer, MediaType: types.OCILayer,
		History: v1.History{Created: v1.Time{Time: committed}, CreatedBy: "hack/images"},
	})
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = p.os, p.architecture, v1.Time{Time: committed}
	config.Config = v1.Config{
		Entrypoint: []string{"/" + name}, User: user, WorkingDir: "/", Labels: labels(p, committed),
		Env: []string{"PATH=/"},
	}
	return mutate.ConfigFile(image, config)
}

type entry struct {
	name    string
	mode    int64
	content []byte
}

// layerOf packs the entries, all of the same time and of root.
func layerOf(at time.Time, entries []entry) (v1.Layer, error) {
	var packed bytes.Buffer
	writer := tar.NewWriter(&packed)
	for _, file := range entries {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: file.name, Mode: file.mode, Size: int64(len(file.content)), ModTime: at, Format: tar.FormatPAX}
		if err := writer.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := writer.Write(file.content); err != nil {
			return nil, err
		}
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer))
}

// makeIndex is one image for all platforms, by which a registry gives each node its own.
func makeIndex(images map[program]v1.Image, order []program) (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range order {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: images[p], Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: p.os, Architecture: p.architecture}},
		})
	}
	committed, err := order[0].committed()
	if err != nil {
		return nil, err
	}
	annotated, ok := mutate.Annotations(index, labels(order[0], committed)).(v1.ImageIndex)
	if !ok {
		return index, nil
	}
	return annotated, nil
}
