package images

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// debianRoot describes a root file system of Debian packages.
type debianRoot struct {
	// name is the name of the result: roots/NAME.tar.
	name string
	// packages are installed with what they depend on, without what they recommend.
	packages []string
	// variant is mmdebstrap's: "extract" only unpacks, "minbase" installs.
	variant string
	// customize is a shell script that gets the root folder as $1 after the installation.
	customize []byte
	// files are copied into the root before the script runs; they are named relative to the root.
	files tree
}

// unneeded are folders that no program here reads. They make up a quarter of a root.
func unneeded() []string {
	return []string{"/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/lintian/*", "/usr/share/bug/*"}
}

// makeRoot makes roots/NAME.tar, and returns the digest and size of the archive as facts "digest" and "size".
func (w *Workspace) makeRoot(root debianRoot) (map[string]string, error) {
	parts := []string{"root 1", w.Suite, root.variant, string(root.customize)}
	parts = append(parts, root.packages...)
	for _, name := range root.files.names() {
		content, err := root.files.read(name)
		if err != nil {
			return nil, err
		}
		parts = append(parts, name, string(content))
	}
	final := filepath.Join("roots", root.name+".tar")
	return w.ensure(root.name+"-root", fingerprint(parts...), func(scratch string) (result, error) {
		archive := filepath.Join(scratch, "root.tar")
		if err := w.mmdebstrap(root, scratch, archive); err != nil {
			return result{}, err
		}
		known := loadDigests(os.DevNull)
		digest, err := known.of(archive)
		if err != nil {
			return result{}, err
		}
		return result{files: map[string]string{final: archive}, facts: map[string]string{"digest": digest}}, nil
	})
}

func (w *Workspace) mmdebstrap(root debianRoot, scratch, archive string) error {
	if err := missingTools("mmdebstrap", "unshare", "tar", "/usr/share/keyrings/debian-archive-keyring.gpg"); err != nil {
		return err
	}
	mirror := w.Mirror
	if mirror == "" {
		found, err := machineMirror("/etc/apt")
		if err != nil {
			return err
		}
		mirror = found
	}
	args := []string{"mmdebstrap", "--verbose", "--variant=" + root.variant, "--format=tar", "--skip=output/dev",
		"--dpkgopt=force-unsafe-io", "--aptopt=APT::Install-Recommends \"false\"", "--aptopt=Acquire::Languages \"none\"",
		"--aptopt=Acquire::Retries \"3\"", "--include=" + strings.Join(root.packages, ",")}
	if root.variant != "extract" {
		for _, path := range unneeded() {
			args = append(args, "--dpkgopt=path-exclude="+path)
		}
	}
	hooks, err := root.hooks(scratch)
	if err != nil {
		return err
	}
	args = append(args, hooks...)
	args = append(args, w.Suite, archive, mirror)
	if os.Geteuid() == 0 {
		// In namespaces of its own, whose first process dies with this one: then nothing remains, neither a maintainer
		// script nor a mount below the root.
		args = append([]string{"unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--mount-proc", "--kill-child"}, args...)
	}
	watch := &aptProgress{say: w.Say, name: root.name + " root"}
	return command{args: args, line: watch.line, environment: []string{
		fmt.Sprintf("SOURCE_DATE_EPOCH=%d", epoch().Unix()), "TMPDIR=" + scratch, "DEBIAN_FRONTEND=noninteractive",
	}}.run()
}

// hooks writes files and script to scratch and returns the options that bring them into the root.
func (root debianRoot) hooks(scratch string) ([]string, error) {
	var options []string
	if len(root.files) > 0 {
		overlay := filepath.Join(scratch, "overlay.tar")
		file, err := os.Create(overlay)
		if err != nil {
			return nil, err
		}
		if err := root.files.writeTar(file); err != nil {
			return nil, err
		}
		if err := file.Close(); err != nil {
			return nil, err
		}
		options = append(options, fmt.Sprintf("--customize-hook=tar -C \"$1\" --keep-directory-symlink --numeric-owner -xf '%s'", overlay))
	}
	if len(root.customize) > 0 {
		script := filepath.Join(scratch, "customize.sh")
		if err := os.WriteFile(script, root.customize, 0o755); err != nil {
			return nil, err
		}
		options = append(options, "--customize-hook="+script)
	}
	return options, nil
}

// aptProgress turns the output of apt and dpkg into a line now and then.
type aptProgress struct {
	say           func(string, ...any)
	name          string
	unpacked, set int
	total         int
	said          time.Time
}

func (p *aptProgress) line(text string) {
	switch {
	case strings.HasPrefix(text, "I: running apt-get update"), strings.HasPrefix(text, "I: downloading packages"),
		strings.HasPrefix(text, "I: extracting archives"), strings.HasPrefix(text, "I: creating tarball"):
		p.say("%s: %s", p.name, strings.TrimSuffix(strings.TrimPrefix(text, "I: "), "..."))
		return
	case strings.HasPrefix(text, "I: installing remaining"):
		p.unpacked, p.set = 0, 0
		return
	case strings.Contains(text, " newly installed, "):
		var upgraded int
		if _, err := fmt.Sscanf(text, "%d upgraded, %d newly installed", &upgraded, &p.total); err == nil && p.total > 0 {
			p.say("%s: %d packages", p.name, p.total)
		}
		return
	case strings.HasPrefix(text, "Unpacking "):
		p.unpacked++
	case strings.HasPrefix(text, "Setting up "):
		p.set++
	default:
		return
	}
	if time.Since(p.said) > 5*time.Second {
		p.said = time.Now()
		p.say("%s: %d of %d packages unpacked, %d set up", p.name, min(p.unpacked, p.total), p.total, min(p.set, p.total))
	}
}
