package validation

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

// The endings of files that CDI would write onto the disk as they are, whatever is in them. It unpacks gzip, xz and
// Zstandard and converts qcow2, vmdk, vdi, vhd and vhdx, which it knows by their first bytes (CDI, pkg/image/filefmt.go).
var (
	compressedEndings = []string{".bz2", ".bzip2", ".lz4", ".lz", ".lzma", ".lzo", ".z", ".br"}
	archiveEndings    = []string{".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tzst", ".zip", ".7z", ".rar", ".ova", ".cab", ".cpio", ".box"}
	otherEndings      = []string{".ovf", ".html", ".htm", ".torrent", ".json", ".yaml", ".yml", ".txt", ".md5", ".sha1", ".sha256", ".sha512",
		".asc", ".sig", ".deb", ".rpm"}
	unpackedEndings = []string{".gz", ".xz", ".zst"}
)

// formatWarnings looks at the name of the file that a disk is imported from: what CDI does not unpack becomes a disk that
// holds an archive and does not boot.
func formatWarnings(from *cdiv1.DataVolumeSource, path *field.Path) []string {
	var warnings []string
	for _, address := range SourceURLs(from, path) {
		if from.Registry != nil || from.Imageio != nil || from.VDDK != nil {
			continue
		}
		if problem := formatProblem(address.URL); problem != "" {
			warnings = append(warnings, fmt.Sprintf("%s: %s", address.Path, problem))
		}
	}
	return warnings
}

func formatProblem(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	name := strings.ToLower(path.Base(parsed.Path))
	inner := name
	for _, ending := range unpackedEndings {
		inner = strings.TrimSuffix(inner, ending)
	}
	ending := path.Ext(inner)
	if slices.Contains(archiveEndings, ending) {
		return fmt.Sprintf("the name ends like an archive (%s), which CDI does not take apart: the disk would not boot. Take the image out of "+
			"it; gz, xz and zst of an image are unpacked", strings.TrimPrefix(name, strings.TrimSuffix(inner, ending)))
	}
	switch {
	case slices.Contains(compressedEndings, ending):
		return fmt.Sprintf("the name ends like a compressed file (%s) that CDI does not unpack: the disk would not boot. Compress the image with "+
			"gz, xz or zst instead", ending)
	case slices.Contains(otherEndings, ending):
		return fmt.Sprintf("the name does not end like that of a disk image (%s): the disk would not boot. CDI reads raw, ISO, qcow2, vmdk, vdi, vhd "+
			"and vhdx, also in gz, xz or zst", ending)
	}
	return ""
}
