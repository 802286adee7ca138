package images

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// libraryDirs are where Debian keeps shared libraries on amd64.
func libraryDirs() []string {
	return []string{"usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib64", "lib64", "usr/lib"}
}

// addProgram copies the program at source in the archive to target in the tree, with the shared libraries that it needs.
func (t tree) addProgram(archive *archiveIndex, source, target string) error {
	content, err := t.addFrom(archive, source, target, 0o755)
	if err != nil {
		return err
	}
	program, err := elf.NewFile(content)
	if err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	for _, segment := range program.Progs {
		if segment.Type != elf.PT_INTERP {
			continue
		}
		name, err := io.ReadAll(segment.Open())
		if err != nil {
			return err
		}
		interpreter := cleanName(strings.TrimRight(string(name), "\x00"))
		// /lib64 is a link to /usr/lib64.
		if err := t.addLibrary(archive, path.Base(interpreter), path.Join("usr", strings.TrimPrefix(interpreter, "usr/"))); err != nil {
			return err
		}
	}
	return t.addNeeded(archive, program)
}

func (t tree) addNeeded(archive *archiveIndex, program *elf.File) error {
	needed, err := program.ImportedLibraries()
	if err != nil {
		return err
	}
	for _, name := range needed {
		if err := t.addLibrary(archive, name, path.Join("usr/lib/x86_64-linux-gnu", name)); err != nil {
			return err
		}
	}
	return nil
}

// addLibrary finds the library name in the archive and adds it, and what it needs, under target.
func (t tree) addLibrary(archive *archiveIndex, name, target string) error {
	if t[target] != nil {
		return nil
	}
	for _, dir := range libraryDirs() {
		content, err := t.addFrom(archive, path.Join(dir, name), target, 0o755)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		library, err := elf.NewFile(content)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return t.addNeeded(archive, library)
	}
	return fmt.Errorf("the packages do not have the library %s", name)
}

// addFrom copies the file at source in the archive to target.
func (t tree) addFrom(archive *archiveIndex, source, target string, mode int64) (*io.SectionReader, error) {
	content, err := archive.open(source)
	if err != nil {
		return nil, err
	}
	t.add(target, &node{mode: mode, size: content.Size(), open: func() (io.ReadCloser, error) {
		again, err := archive.open(source)
		return io.NopCloser(again), err
	}})
	return content, nil
}

// kernelVersion returns the version of the only kernel in the archive.
func kernelVersion(archive *archiveIndex) (string, error) {
	var found []string
	for name := range archive.entries {
		if version, ok := strings.CutPrefix(name, "boot/vmlinuz-"); ok {
			found = append(found, version)
		}
	}
	if len(found) != 1 {
		return "", fmt.Errorf("the packages have %d kernels, not one: %s", len(found), strings.Join(found, ", "))
	}
	return found[0], nil
}

// kernelModules unpacks the named modules, and those that they need, to DIR/lib/modules/VERSION, decompressed and with
// the indexes that modprobe reads. Modules that are built into the kernel need no file.
func kernelModules(archive *archiveIndex, version string, names []string, dir string) error {
	if err := missingTools("depmod", "xz"); err != nil {
		return err
	}
	all := filepath.Join(dir, "all")
	if err := archive.extract("usr/lib/modules/"+version, filepath.Join(all, "lib/modules", version)); err != nil {
		return err
	}
	if err := run("depmod", "-b", all, version); err != nil {
		return err
	}
	index, err := os.ReadFile(filepath.Join(all, "lib/modules", version, "modules.dep"))
	if err != nil {
		return err
	}
	builtin, err := os.ReadFile(filepath.Join(all, "lib/modules", version, "modules.builtin"))
	if err != nil {
		return err
	}
	files, err := moduleClosure(string(index), string(builtin), names)
	if err != nil {
		return err
	}
	target := filepath.Join(dir, "lib/modules", version)
	for _, file := range files {
		from, to := filepath.Join(all, "lib/modules", version, file), filepath.Join(target, file)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.Rename(from, to); err != nil {
			return err
		}
		if strings.HasSuffix(to, ".xz") {
			if err := run("xz", "-d", to); err != nil {
				return err
			}
		}
	}
	for _, file := range []string{"modules.builtin", "modules.order", "modules.builtin.modinfo"} {
		_ = os.Rename(filepath.Join(all, "lib/modules", version, file), filepath.Join(target, file))
	}
	if err := os.RemoveAll(all); err != nil {
		return err
	}
	return run("depmod", "-b", dir, version)
}

// moduleClosure returns the files of the named modules and of those that they need, from the text of modules.dep and
// modules.builtin.
func moduleClosure(index, builtin string, names []string) ([]string, error) {
	needs, byName := map[string][]string{}, map[string]string{}
	for _, line := range strings.Split(index, "\n") {
		file, rest, ok := strings.Cut(line, ":")
		if ok {
			needs[file] = strings.Fields(rest)
			byName[moduleName(file)] = file
		}
	}
	inKernel := map[string]bool{}
	for _, file := range strings.Fields(builtin) {
		inKernel[moduleName(file)] = true
	}
	var files []string
	for _, name := range names {
		file, ok := byName[moduleName(name)]
		if !ok && !inKernel[moduleName(name)] {
			return nil, fmt.Errorf("the kernel has no module %s", name)
		}
		if ok {
			files = append(append(files, file), needs[file]...)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// moduleName is the name of a module by its file; "-" and "_" are the same in names of modules.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".")
	return strings.ReplaceAll(name, "-", "_")
}

// extract writes the regular files below folder of the archive to dir.
func (a *archiveIndex) extract(folder, dir string) error {
	for name, entry := range a.entries {
		relative, ok := strings.CutPrefix(name, folder+"/")
		if !ok || entry.header.Size == 0 {
			continue
		}
		content, err := a.open(name)
		if err != nil {
			return err
		}
		if err := writeFrom(filepath.Join(dir, relative), content); err != nil {
			return err
		}
	}
	return nil
}

// writeFrom writes content to path, with the folders above it.
func writeFrom(path string, content io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := io.Copy(file, content); err != nil {
		return err
	}
	return file.Close()
}

// addFolder adds all files below dir of this machine under target.
func (t tree) addFolder(dir, target string) error {
	return filepath.WalkDir(dir, func(name string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		_, err = t.file(path.Join(target, filepath.ToSlash(relative)), 0o644, name)
		return err
	})
}
