package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	googlename "github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// layoutFolder is the OCI layout below the folder of the results.
const layoutFolder = "oci"

// build makes the image for all platforms and writes it to output: the OCI layout, for each architecture an archive that
// "docker load" and "ctr images import" take, and the list of what is in it.
func build(ctx context.Context, source, output string, platforms []string, out io.Writer) error {
	output, err := filepath.Abs(output)
	if err != nil {
		return err
	}
	license, err := os.ReadFile(filepath.Join(source, "LICENSE"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(output, 0o755); err != nil {
		return err
	}
	images, order := map[program]v1.Image{}, []program{}
	for _, platform := range platforms {
		fmt.Fprintf(out, "Building %s for %s\n", name, platform)
		made, err := buildProgram(ctx, source, output, platform)
		if err != nil {
			return err
		}
		if images[made], err = makeImage(made, license); err != nil {
			return err
		}
		order = append(order, made)
		if err := writeParts(made, images[made], output); err != nil {
			return err
		}
	}
	index, err := makeIndex(images, order)
	if err != nil {
		return err
	}
	digest, err := writeLayout(index, filepath.Join(output, layoutFolder))
	if err != nil {
		return err
	}
	version := order[0].version()
	if err := os.WriteFile(filepath.Join(output, "version"), []byte(version+"\n"), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s %s is %s, in %s\n", name, version, digest, output)
	return nil
}

// writeParts writes what there is of each architecture.
func writeParts(p program, image v1.Image, output string) error {
	tag, err := googlename.NewTag(name+":"+p.tag(), googlename.WithDefaultRegistry(""))
	if err != nil {
		return err
	}
	if err := tarball.WriteToFile(p.path+".tar", tag, image); err != nil {
		return err
	}
	list, err := listOf(p)
	if err != nil {
		return err
	}
	return os.WriteFile(p.path+".spdx.json", list, 0o644)
}

// writeLayout writes the index into a new layout, in the place of one that is there.
func writeLayout(index v1.ImageIndex, folder string) (v1.Hash, error) {
	if err := os.RemoveAll(folder); err != nil {
		return v1.Hash{}, err
	}
	path, err := layout.Write(folder, empty.Index)
	if err != nil {
		return v1.Hash{}, err
	}
	if err := path.AppendIndex(index); err != nil {
		return v1.Hash{}, err
	}
	return index.Digest()
}
