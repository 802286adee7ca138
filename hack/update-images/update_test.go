package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// vendor is a server with images' lists, and the key that signs them.
type vendor struct {
	*httptest.Server
	files   map[string][]byte
	key     *openpgp.Entity
	keyring string
}

func newVendor(t *testing.T) *vendor {
	t.Helper()
	key, err := openpgp.NewEntity("vendor", "", "vendor@example.com", nil)
	require.NoError(t, err)
	v := &vendor{files: map[string][]byte{}, key: key, keyring: filepath.Join(t.TempDir(), "keyring.gpg")}
	var public bytes.Buffer
	require.NoError(t, key.Serialize(&public))
	require.NoError(t, os.WriteFile(v.keyring, public.Bytes(), 0o600))
	v.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, found := v.files[r.URL.Path]
		if !found {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(content)
	}))
	t.Cleanup(v.Close)
	return v
}

// sign is a signature of the key over the text.
func (v *vendor) sign(t *testing.T, text string) []byte {
	t.Helper()
	var signature bytes.Buffer
	require.NoError(t, openpgp.DetachSign(&signature, v.key, strings.NewReader(text), nil))
	return signature.Bytes()
}

func (v *vendor) clearSign(t *testing.T, text string) []byte {
	t.Helper()
	var signed bytes.Buffer
	writer, err := clearsign.Encode(&signed, v.key.PrivateKey, nil)
	require.NoError(t, err)
	_, err = io.WriteString(writer, text)
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	return signed.Bytes()
}

// update runs the command on a catalogue with the images a and b of the vendor, c of somebody else, and one in a registry.
func (v *vendor) update(t *testing.T, source string) (catalogue, out string, err error) {
	t.Helper()
	folder := t.TempDir()
	file, sourcesFile := filepath.Join(folder, "catalogue.yaml"), filepath.Join(folder, "sources.yaml")
	text := fmt.Sprintf(`# A comment that stays.
images:
- name: one
  versions:
  - version: "2"
    url: %[1]s/r2/a.img
    checksum: sha256:old
  - version: "1"
    url: %[1]s/r1/b.img
    checksum: sha256:by-hand
- name: two
  versions:
  - version: "1"
    url: https://other.example.com/c.img
    checksum: sha256:by-hand
  - version: "0"
    url: docker://example.com/d
`, v.URL)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	require.NoError(t, os.WriteFile(sourcesFile, []byte(fmt.Sprintf("sources:\n- prefix: %s/\n  keyring: %s\n%s", v.URL, v.keyring, source)), 0o600))
	printed := &bytes.Buffer{}
	err = run(t.Context(), v.Client(), []string{"--catalogue", file, "--sources", sourcesFile}, printed)
	updated, readErr := os.ReadFile(file)
	require.NoError(t, readErr)
	return string(updated), printed.String(), err
}

const detached = "  list: SHA256SUMS\n  signature: SHA256SUMS.gpg\n"

var digest, longDigest = strings.Repeat("ab", 32), strings.Repeat("CD", 64)

func TestChecksumsComeFromSignedLists(t *testing.T) {
	v := newVendor(t)
	first, second := digest+" *a.img\n"+strings.Repeat("0", 64)+" *a.img.gz\n", longDigest+"  b.img\n"
	v.files["/r2/SHA256SUMS"], v.files["/r2/SHA256SUMS.gpg"] = []byte(first), v.sign(t, first)
	v.files["/r1/SHA256SUMS"], v.files["/r1/SHA256SUMS.gpg"] = []byte(second), v.sign(t, second)
	catalogue, out, err := v.update(t, detached)
	require.NoError(t, err)
	assert.Contains(t, catalogue, "# A comment that stays.\nimages:\n- name: one\n")
	assert.Contains(t, catalogue, "/r2/a.img\n    checksum: sha256:"+digest+"\n")
	assert.Contains(t, catalogue, "/r1/b.img\n    checksum: sha512:"+strings.ToLower(longDigest)+"\n")
	assert.NotContains(t, catalogue, "by-hand", "nobody writes a checksum by hand")
	assert.Contains(t, out, "https://other.example.com/c.img: nobody signs a list, no checksum")
}

func TestAListThatHoldsItsSignature(t *testing.T) {
	v := newVendor(t)
	v.files["/r2/CHECKSUM"] = v.clearSign(t, "# a.img: 5 bytes\nSHA256 (a.img) = "+digest+"\n")
	v.files["/r1/CHECKSUM"] = append(v.clearSign(t, "SHA256 (x) = "+digest+"\n"), []byte("SHA256 (b.img) = "+digest+"\n")...)
	catalogue, _, err := v.update(t, "  list: CHECKSUM\n  inside: true\n")
	assert.ErrorContains(t, err, "/r1/b.img: the signature in CHECKSUM: something follows what is signed")
	assert.Contains(t, catalogue, "/r2/a.img\n    checksum: sha256:"+digest+"\n")
	assert.NotContains(t, catalogue, "by-hand")
}

func TestListsThatCannotBeTrusted(t *testing.T) {
	list := digest + "  a.img\n"
	for what, test := range map[string]struct {
		prepare func(*vendor)
		want    string
	}{
		"no list":      {func(*vendor) {}, "SHA256SUMS answers 404"},
		"no signature": {func(v *vendor) { v.files["/r2/SHA256SUMS"] = []byte(list) }, "SHA256SUMS.gpg answers 404"},
		"another text": {func(v *vendor) {
			v.files["/r2/SHA256SUMS"], v.files["/r2/SHA256SUMS.gpg"] = []byte(list), v.sign(t, list+"x")
		}, "the signature of SHA256SUMS"},
		"somebody else's key": {func(v *vendor) {
			v.files["/r2/SHA256SUMS"], v.files["/r2/SHA256SUMS.gpg"] = []byte(list), newVendor(t).sign(t, list)
		}, "the signature of SHA256SUMS"},
		"no signature at all": {func(v *vendor) {
			v.files["/r2/SHA256SUMS"], v.files["/r2/SHA256SUMS.gpg"] = []byte(list), []byte("hello")
		}, "the signature of SHA256SUMS"},
		"another file": {func(v *vendor) {
			other := digest + "  z.img\n"
			v.files["/r2/SHA256SUMS"], v.files["/r2/SHA256SUMS.gpg"] = []byte(other), v.sign(t, other)
		}, "the list has no a.img"},
		"a short digest": {func(v *vendor) {
			short := "abcd  a.img\n"
			v.files["/r2/SHA256SUMS"], v.files["/r2/SHA256SUMS.gpg"] = []byte(short), v.sign(t, short)
		}, "a digest of 4 letters"},
	} {
		t.Run(what, func(t *testing.T) {
			v := newVendor(t)
			test.prepare(v)
			catalogue, _, err := v.update(t, detached)
			assert.ErrorContains(t, err, test.want)
			assert.NotContains(t, catalogue, "checksum", "better none than one that nobody vouches for")
		})
	}
}

func TestSourcesThatMakeNoSense(t *testing.T) {
	v := newVendor(t)
	for _, source := range []string{"  list: X\n", "  signature: X\n", "  list: X\n  signature: Y\n  inside: true\n", "  lists: X\n"} {
		catalogue, _, err := v.update(t, source)
		assert.Error(t, err, source)
		assert.Contains(t, catalogue, "sha256:old", "nothing is touched")
	}
	known, err := readSources("sources.yaml")
	require.NoError(t, err)
	assert.NotEmpty(t, known.Sources)
}

// What is here already comes out as it went in.
func TestTheProductsOwnCatalogue(t *testing.T) {
	catalogue, err := os.ReadFile("../../pkg/images/default.yaml")
	require.NoError(t, err)
	updated, err := updateCatalogue(catalogue, func(string) string { return "" })
	require.NoError(t, err)
	assert.Equal(t, string(catalogue), string(updated))
	manifest, err := os.ReadFile("../../artifacts/images/images.yaml")
	require.NoError(t, err)
	published, err := publish(manifest, catalogue)
	require.NoError(t, err)
	assert.Equal(t, string(manifest), string(published))
	_, err = publish([]byte("kind: ConfigMap\n"), catalogue)
	assert.Error(t, err)
}
