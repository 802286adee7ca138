package images

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Workspace is the folder in which everything is made and kept.
type Workspace struct {
	// Output is the folder for roots, images, guests and stamps.
	Output string
	// Programs is the folder with the programs that go into the images.
	Programs string
	// Source is the root of the repository.
	Source string
	// Suite is the Debian release, such as "trixie".
	Suite string
	// Mirror is the address of a Debian mirror; empty: the one that this machine's own sources name.
	Mirror string
	// Progress gets lines for people.
	Progress io.Writer
	// Started is when the run began, for the elapsed time in Progress.
	Started time.Time
}

// Say prints a line of progress with the time since the start.
func (w *Workspace) Say(format string, args ...any) {
	fmt.Fprintf(w.Progress, "[%6.1fs] %s\n", time.Since(w.Started).Seconds(), fmt.Sprintf(format, args...))
}

func (w *Workspace) path(elements ...string) string {
	return filepath.Join(append([]string{w.Output}, elements...)...)
}

// stamp says what a result was made of, and which files it consists of.
type stamp struct {
	Fingerprint string            `json:"fingerprint"`
	Files       map[string]int64  `json:"files"`
	Facts       map[string]string `json:"facts,omitempty"`
}

// result is what a recipe hands back: the files that it made, under their temporary names, by their final names relative
// to Workspace.Output, and facts for later recipes.
type result struct {
	files map[string]string
	facts map[string]string
}

// ensure makes name anew with make unless its stamp has this fingerprint and all its files are there. It returns the
// facts of the result. Two processes that want the same name wait for each other.
func (w *Workspace) ensure(name, fingerprint string, make func(scratch string) (result, error)) (map[string]string, error) {
	unlock, err := w.lock(name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if current, ok := w.current(name, fingerprint); ok {
		return current.Facts, nil
	}
	scratch := w.path("scratch", name)
	// Only the holder of the lock uses this folder, so whatever is in it was left by a run that was killed.
	if err := os.RemoveAll(scratch); err != nil {
		return nil, fmt.Errorf("cannot clear what an earlier run left: %w", err)
	}
	if err := os.MkdirAll(scratch, 0o755); err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)
	began := time.Now()
	made, err := make(scratch)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := w.publish(name, fingerprint, made); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	w.Say("%s: done in %.1fs", name, time.Since(began).Seconds())
	return made.facts, nil
}

// current returns the stamp of name if what it describes is there and was made of the same things.
func (w *Workspace) current(name, fingerprint string) (stamp, bool) {
	var found stamp
	data, err := os.ReadFile(w.path("stamps", name))
	if err != nil || json.Unmarshal(data, &found) != nil || found.Fingerprint != fingerprint {
		return stamp{}, false
	}
	for file, size := range found.Files {
		info, err := os.Stat(w.path(file))
		if err != nil || !info.IsDir() && info.Size() != size {
			return stamp{}, false
		}
	}
	return found, true
}

// publish moves the files of a result to their final names, and writes the stamp last: after a kill in between, the old
// stamp is gone and the result is made again.
func (w *Workspace) publish(name, fingerprint string, made result) error {
	stampPath := w.path("stamps", name)
	if err := os.Remove(stampPath); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	written := stamp{Fingerprint: fingerprint, Files: map[string]int64{}, Facts: made.facts}
	for final, temporary := range made.files {
		info, err := os.Stat(temporary)
		if err != nil {
			return err
		}
		written.Files[final] = info.Size()
		target := w.path(final)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if info.IsDir() {
			// A folder cannot be renamed over another one that has content.
			if err := os.RemoveAll(target); err != nil {
				return err
			}
		}
		if err := os.Rename(temporary, target); err != nil {
			return err
		}
	}
	data, err := json.MarshalIndent(written, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(stampPath, data)
}

// writeFile replaces path by data at once: a reader sees the old content or the new.
func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temporary := fmt.Sprintf("%s.%d.tmp", path, os.Getpid())
	if err := os.WriteFile(temporary, data, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// lock waits until no other process makes name. The lock ends with the process, however that ends.
func (w *Workspace) lock(name string) (func(), error) {
	path := w.path("locks", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		w.Say("%s: another process is making it; waiting", name)
		if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
			return nil, fmt.Errorf("cannot lock %s: %w", path, err)
		}
	}
	return func() { file.Close() }, nil
}
