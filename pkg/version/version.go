// Package version says which version of the product was built.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// Unknown is the version of a build outside a checkout of the repository, or without its history (go build -buildvcs=false).
const Unknown = "v0.0.0-unknown"

// Info is what a build knows of itself.
type Info struct {
	// Version is a version of the module: a tag such as v0.2.0, or v0.2.1-0.20261201133319-5cbc6b442dc0 for a commit after
	// one. "+dirty" at its end says that there were changes that no commit has. See https://go.dev/ref/mod#versions.
	Version string `json:"version"`
	// Revision is the commit, in full; empty if it is not known.
	Revision string `json:"revision,omitempty"`
	// Time is that of the commit, in the form of RFC 3339; empty if it is not known.
	Time string `json:"time,omitempty"`
	// GoVersion is the version of Go that it was built with.
	GoVersion string `json:"goVersion"`
	// Platform is the operating system and the architecture that it was built for, as in linux/amd64.
	Platform string `json:"platform"`
}

// Get returns what this program knows of itself.
func Get() Info {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		build = &debug.BuildInfo{}
	}
	return of(build)
}

// UserAgent is what a part of the product calls itself in its requests. The name comes first: API servers take the manager of
// fields from what stands before the first slash.
func UserAgent(name, part string) string {
	info := Get()
	return fmt.Sprintf("%s/%s %s (%s)", name, part, info.Version, info.Platform)
}

// of is the pure part of Get.
func of(build *debug.BuildInfo) Info {
	info := Info{Version: build.Main.Version, GoVersion: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if !strings.HasPrefix(info.Version, "v") {
		info.Version = Unknown
	}
	for _, setting := range build.Settings {
		switch setting.Key {
		case "vcs.revision":
			info.Revision = setting.Value
		case "vcs.time":
			info.Time = setting.Value
		}
	}
	return info
}
