package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// name is that of the program, the image and the files.
const name = "virtualserver-apiserver"

// program is the product, built for one platform.
type program struct {
	os, architecture string
	path             string
	info             *buildinfo.BuildInfo
}

// buildProgram builds the product in the repository at source. The same commit gives the same bytes wherever it is built; the
// version is what the tags of the repository say.
func buildProgram(ctx context.Context, source, folder, platform string) (program, error) {
	system, architecture, ok := strings.Cut(platform, "/")
	if !ok {
		return program{}, fmt.Errorf("platform %q is not like linux/amd64", platform)
	}
	made := program{os: system, architecture: architecture, path: filepath.Join(folder, name+"_"+architecture)}
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w", "-o", made.path, "./cmd/"+name)
	command.Dir = source
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS="+system, "GOARCH="+architecture)
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return made, fmt.Errorf("build %s for %s: %w", name, platform, err)
	}
	info, err := buildinfo.ReadFile(made.path)
	made.info = info
	return made, err
}

func (p program) setting(key string) string {
	for _, setting := range p.info.Settings {
		if setting.Key == key {
			return setting.Value
		}
	}
	return ""
}

// version is the version of the module.
func (p program) version() string { return p.info.Main.Version }

// tag is the version in the letters that a tag of an image may have.
func (p program) tag() string { return strings.ReplaceAll(p.version(), "+", "-") }

// committed is when the commit was made, which is the time of everything in the image.
func (p program) committed() (time.Time, error) {
	made, err := time.Parse(time.RFC3339, p.setting("vcs.time"))
	if err != nil {
		return made, fmt.Errorf("the repository has no history: %w", err)
	}
	return made.UTC(), nil
}
