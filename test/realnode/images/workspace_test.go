package images

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func newWorkspace(t *testing.T) *Workspace {
	t.Helper()
	return &Workspace{Output: t.TempDir(), Progress: &bytes.Buffer{}, Started: time.Now()}
}

// making returns a recipe that writes content to roots/thing and counts how often it ran.
func making(content string, runs *int) func(string) (result, error) {
	return func(scratch string) (result, error) {
		*runs++
		file := filepath.Join(scratch, "thing")
		return result{files: map[string]string{"roots/thing": file}, facts: map[string]string{"content": content}},
			os.WriteFile(file, []byte(content), 0o644)
	}
}

func TestEnsureMakesAnewOnlyWhatChanged(t *testing.T) {
	steps := []struct {
		name, fingerprint string
		before            func(t *testing.T, w *Workspace)
		again             bool
	}{
		{"at first", "a", nil, true},
		{"a second time", "a", nil, false},
		{"other inputs", "b", nil, true},
		{"the result is gone", "b", func(t *testing.T, w *Workspace) { remove(t, w.path("roots/thing")) }, true},
		{"the result is cut short", "b", func(t *testing.T, w *Workspace) { write(t, w.path("roots/thing"), "x") }, true},
		{"the stamp is gone", "b", func(t *testing.T, w *Workspace) { remove(t, w.path("stamps/thing")) }, true},
		{"the stamp is damaged", "b", func(t *testing.T, w *Workspace) { write(t, w.path("stamps/thing"), "{") }, true},
		{"leftovers of a killed run", "b", func(t *testing.T, w *Workspace) { write(t, w.path("scratch/thing/half"), "x") }, false},
		{"back to earlier inputs", "a", nil, true},
	}
	w, runs := newWorkspace(t), 0
	for _, step := range steps {
		if step.before != nil {
			step.before(t, w)
		}
		earlier := runs
		facts, err := w.ensure("thing", step.fingerprint, making("content "+step.fingerprint, &runs))
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if again := runs > earlier; again != step.again {
			t.Errorf("%s: made again: %t, want %t", step.name, again, step.again)
		}
		if want := "content " + step.fingerprint; facts["content"] != want || read(t, w.path("roots/thing")) != want {
			t.Errorf("%s: got facts %v and content %q, want %q", step.name, facts, read(t, w.path("roots/thing")), want)
		}
	}
}

func TestFailureKeepsWhatWasThere(t *testing.T) {
	w, runs := newWorkspace(t), 0
	if _, err := w.ensure("thing", "a", making("good", &runs)); err != nil {
		t.Fatal(err)
	}
	failure := errors.New("no network")
	_, err := w.ensure("thing", "b", func(scratch string) (result, error) {
		write(t, filepath.Join(scratch, "thing"), "half")
		return result{}, failure
	})
	if !errors.Is(err, failure) {
		t.Fatalf("got %v, want %v", err, failure)
	}
	if got := read(t, w.path("roots/thing")); got != "good" {
		t.Errorf("a failure left %q", got)
	}
	if _, err := os.Stat(w.path("scratch/thing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a failure left its scratch folder: %v", err)
	}
}

// TestKilledWhileMaking kills a process in the middle of a recipe, as power loss would.
func TestKilledWhileMaking(t *testing.T) {
	if dir := os.Getenv("NODE_IMAGES_KILLED"); dir != "" {
		w := &Workspace{Output: dir, Progress: os.Stdout, Started: time.Now()}
		_, err := w.ensure("thing", "a", func(scratch string) (result, error) {
			write(t, filepath.Join(scratch, "thing"), "half")
			os.Stdout.WriteString("half way\n")
			select {}
		})
		t.Fatal("the recipe came to an end: ", err)
	}
	w := newWorkspace(t)
	victim := exec.Command(os.Args[0], "-test.run=^TestKilledWhileMaking$")
	victim.Env = append(os.Environ(), "NODE_IMAGES_KILLED="+w.Output)
	printed, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	reached := make(chan struct{})
	go func() {
		defer close(reached)
		follow(printed, func(line string) {
			if line == "half way" {
				victim.Process.Kill()
			}
		})
	}()
	select {
	case <-reached:
	case <-time.After(time.Minute):
		victim.Process.Kill()
		t.Fatal("the process did not get half way within a minute")
	}
	victim.Wait()
	if _, err := os.Stat(w.path("roots/thing")); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("half a result has the final name: %v", err)
	}
	runs := 0
	if _, err := w.ensure("thing", "a", making("whole", &runs)); err != nil {
		t.Fatal(err)
	}
	if got := read(t, w.path("roots/thing")); got != "whole" || runs != 1 {
		t.Errorf("after the kill: %q, made %d times", got, runs)
	}
}

func TestFingerprintFramesItsParts(t *testing.T) {
	seen := map[string]string{}
	for _, parts := range [][]string{{}, {""}, {"", ""}, {"a", "b"}, {"ab"}, {"b", "a"}, {"a", "b", ""}, {"1:a", "b"}, {"1:a1:b"}} {
		sum := fingerprint(parts...)
		if earlier, ok := seen[sum]; ok {
			t.Errorf("%q and %s have the same fingerprint", parts, earlier)
		}
		seen[sum] = strings.Join(parts, "|")
		if fingerprint(parts...) != sum {
			t.Errorf("%q has two fingerprints", parts)
		}
	}
}

func TestDigestsFollowTheContent(t *testing.T) {
	dir := t.TempDir()
	file, memory := filepath.Join(dir, "program"), filepath.Join(dir, "digests.json")
	write(t, file, "one")
	known := loadDigests(memory)
	first, err := known.of(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := known.save(); err != nil {
		t.Fatal(err)
	}
	write(t, file, "two")
	if err := os.Chtimes(file, time.Now(), time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	second, err := loadDigests(memory).of(file)
	if err != nil {
		t.Fatal(err)
	}
	if first == second {
		t.Error("another content has the same digest")
	}
	write(t, memory, "not JSON")
	if third, err := loadDigests(memory).of(file); err != nil || third != second {
		t.Errorf("with a damaged memory: %q, %v", third, err)
	}
}

func TestMissingToolsNamesPackages(t *testing.T) {
	if err := missingTools("sh"); err != nil {
		t.Errorf("sh is missing: %v", err)
	}
	err := missingTools("sh", "/usr/lib/SYSLINUX/no-such-file", "no-such-program")
	if err == nil || !strings.Contains(err.Error(), "no-such-file, no-such-program") {
		t.Errorf("got %v", err)
	}
	for tool, name := range debianPackages() {
		if name == "" {
			t.Errorf("%s is in no package", tool)
		}
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
