package images

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

// fingerprint is a digest of the parts in their order. Each part is framed by its length, so that moving a byte from one
// part to the next gives another fingerprint.
func fingerprint(parts ...string) string {
	sum := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(sum, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// contentFingerprint is a digest of names and content of all files below dir of the files that this program carries.
func contentFingerprint(files fs.FS, dir string) (string, error) {
	var parts []string
	err := fs.WalkDir(files, dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, path)
		parts = append(parts, path, string(data))
		return err
	})
	return fingerprint(parts...), err
}

// knownDigest is the digest of a file as it was when it had this size and time.
type knownDigest struct {
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	Digest   string    `json:"digest"`
}

// digests finds the SHA-256 of files and remembers it, since hashing hundreds of megabytes of programs at each start
// takes longer than everything else in a run that has nothing to do.
type digests struct {
	path  string
	mutex sync.Mutex
	known map[string]knownDigest
}

func loadDigests(path string) *digests {
	loaded := &digests{path: path, known: map[string]knownDigest{}}
	// A file that is missing or damaged costs time, nothing else.
	if data, err := os.ReadFile(path); err == nil && json.Unmarshal(data, &loaded.known) != nil {
		loaded.known = map[string]knownDigest{}
	}
	return loaded
}

// of returns the digest of the content of path as 64 hexadecimal digits.
func (d *digests) of(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	d.mutex.Lock()
	known, ok := d.known[path]
	d.mutex.Unlock()
	if ok && known.Size == info.Size() && known.Modified.Equal(info.ModTime()) {
		return known.Digest, nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	found := knownDigest{Size: info.Size(), Modified: info.ModTime(), Digest: hex.EncodeToString(sum.Sum(nil))}
	d.mutex.Lock()
	d.known[path] = found
	d.mutex.Unlock()
	return found.Digest, nil
}

// save writes what is known for the next run.
func (d *digests) save() error {
	d.mutex.Lock()
	data, err := json.Marshal(d.known)
	d.mutex.Unlock()
	if err != nil {
		return err
	}
	return writeFile(d.path, data)
}
