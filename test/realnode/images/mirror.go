package images

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// errNoMirror is what a machine without Debian sources of its own gets.
var errNoMirror = errors.New("no Debian mirror is named in /etc/apt on this machine; name one with --mirror")

// machineMirror returns the Debian mirror that the apt sources below dir (such as /etc/apt) name. The lab fetches from
// where the machine fetches anyway: a site with a mirror of its own has said so there.
func machineMirror(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "sources.list.d", "*"))
	if err != nil {
		return "", err
	}
	for _, file := range append([]string{filepath.Join(dir, "sources.list")}, files...) {
		data, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		parse := oneLineMirrors
		if strings.HasSuffix(file, ".sources") {
			parse = stanzaMirrors
		}
		for _, address := range parse(string(data)) {
			if isDebianArchive(address) {
				return strings.TrimSuffix(address, "/"), nil
			}
		}
	}
	return "", errNoMirror
}

// oneLineMirrors returns the addresses in sources of the form "deb [options] ADDRESS SUITE COMPONENTS".
func oneLineMirrors(text string) []string {
	var found []string
	for _, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if before, rest, ok := strings.Cut(line, "["); ok {
			_, after, _ := strings.Cut(rest, "]")
			line = before + " " + after
		}
		if fields := strings.Fields(line); len(fields) >= 3 && fields[0] == "deb" {
			found = append(found, fields[1])
		}
	}
	return found
}

// stanzaMirrors returns the addresses in sources in deb822 format, without those of disabled stanzas.
func stanzaMirrors(text string) []string {
	var found []string
	for _, stanza := range strings.Split(text, "\n\n") {
		fields := map[string]string{}
		key := ""
		for _, line := range strings.Split(stanza, "\n") {
			switch {
			case strings.HasPrefix(line, "#"):
			case strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t"):
				fields[key] += " " + line
			default:
				name, value, _ := strings.Cut(line, ":")
				key = strings.ToLower(strings.TrimSpace(name))
				fields[key] = value
			}
		}
		disabled := strings.EqualFold(strings.TrimSpace(fields["enabled"]), "no")
		if !disabled && slices.Contains(strings.Fields(fields["types"]), "deb") {
			found = append(found, strings.Fields(fields["uris"])...)
		}
	}
	return found
}

// isDebianArchive tells Debian's archive from others: by convention a mirror keeps it below a folder "debian".
func isDebianArchive(address string) bool {
	_, rest, ok := strings.Cut(address, "://")
	if !ok {
		return false
	}
	host, path, _ := strings.Cut(rest, "/")
	path = strings.Trim(path, "/")
	return path == "debian" || strings.HasSuffix(path, "/debian") || path == "" && strings.HasSuffix(host, "debian.org")
}
