package csi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// qemuUser is the user of KubeVirt's launcher and of CDI's pods in their images.
const qemuUser = 107

// kind is a folder of folders: the volumes or the snapshots.
type kind string

const (
	volumes   kind = "volumes"
	snapshots kind = "snapshots"
)

// about is what is known of a volume or a snapshot besides its files.
type about struct {
	// Bytes is the size that was asked for. A folder has none of its own.
	Bytes int64 `json:"bytes"`
	// Source is the volume that a snapshot is of, or the snapshot or volume that a volume was filled from.
	Source string `json:"source,omitempty"`
	// Made is when it was made.
	Made time.Time `json:"made"`
}

// aboutFile stands beside the files of a volume, never among them.
const aboutFile = "about.json"

// folders keeps volumes and snapshots below one folder. Each appears whole, by a rename: what a killed process leaves is
// never taken for one.
type folders struct {
	root string
}

// data is the folder of the files of a volume or a snapshot.
func (f folders) data(kind kind, id string) string {
	return filepath.Join(f.root, string(kind), id, "data")
}

func (f folders) path(kind kind, id string) string { return filepath.Join(f.root, string(kind), id) }

// validID says whether the name of a volume may be the name of a folder.
func validID(id string) bool {
	return id != "" && id != "." && id != ".." && !strings.ContainsAny(id, "/\x00") && !strings.HasPrefix(id, ".")
}

// find reads what is known of a volume or a snapshot. The error is fs.ErrNotExist if there is none.
func (f folders) find(kind kind, id string) (about, error) {
	if !validID(id) {
		return about{}, fs.ErrNotExist
	}
	text, err := os.ReadFile(filepath.Join(f.path(kind, id), aboutFile))
	if err != nil {
		return about{}, err
	}
	found := about{}
	return found, json.Unmarshal(text, &found)
}

// make makes a volume or a snapshot, with a copy of the files in from if that is not empty. One that is there already stays
// as it is and is returned.
func (f folders) make(ctx context.Context, kind kind, id string, described about, from string) (about, error) {
	if !validID(id) {
		return about{}, fmt.Errorf("%q cannot be the name of a folder", id)
	}
	if found, err := f.find(kind, id); !errors.Is(err, fs.ErrNotExist) {
		return found, err
	}
	if err := os.MkdirAll(filepath.Join(f.root, string(kind)), 0o755); err != nil {
		return about{}, err
	}
	building, err := os.MkdirTemp(filepath.Join(f.root, string(kind)), ".new-")
	if err != nil {
		return about{}, err
	}
	defer func() { _ = os.RemoveAll(building) }()
	if err := fill(ctx, filepath.Join(building, "data"), from); err != nil {
		return about{}, err
	}
	text, err := json.Marshal(described)
	if err != nil {
		return about{}, err
	}
	if err := os.WriteFile(filepath.Join(building, aboutFile), text, 0o600); err != nil {
		return about{}, err
	}
	// MkdirTemp makes folders that only root may enter, and pods enter this one.
	if err := os.Chmod(building, 0o755); err != nil {
		return about{}, err
	}
	if err := os.Rename(building, f.path(kind, id)); err != nil && !errors.Is(err, fs.ErrExist) {
		return about{}, err
	}
	return f.find(kind, id)
}

// fill makes a folder, with a copy of another's files.
func fill(ctx context.Context, folder, from string) error {
	if from != "" {
		// Owners, modes, times, links and holes stay; where the file system can share blocks, it does.
		output, err := exec.CommandContext(ctx, "cp", "--archive", "--reflink=auto", "--sparse=auto", from, folder).CombinedOutput()
		if err != nil {
			return fmt.Errorf("copy %s: %w: %s", from, err, strings.TrimSpace(string(output)))
		}
		return nil
	}
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	if err := os.Chown(folder, qemuUser, qemuUser); err != nil && os.Geteuid() == 0 {
		return err
	}
	// Past the umask: any user of a pod may write, as on a shared file system without a squash.
	return os.Chmod(folder, 0o777)
}

// remove removes a volume or a snapshot. One that is not there is removed already.
func (f folders) remove(kind kind, id string) error {
	if !validID(id) {
		return nil
	}
	// What is known of it goes first, so that half a volume is none.
	if err := os.Remove(filepath.Join(f.path(kind, id), aboutFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(f.path(kind, id))
}

// list returns the names of all volumes or snapshots.
func (f folders) list(kind kind) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(f.root, string(kind)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var ids []string
	for _, entry := range entries {
		if validID(entry.Name()) {
			ids = append(ids, entry.Name())
		}
	}
	return ids, nil
}
