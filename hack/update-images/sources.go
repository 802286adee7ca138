package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"regexp"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"go.yaml.in/yaml/v3"
)

// source says who signs the checksums of images whose addresses have a beginning in common.
type source struct {
	Prefix    string `yaml:"prefix"`
	List      string `yaml:"list"`
	Signature string `yaml:"signature"`
	Inside    bool   `yaml:"inside"`
	Keyring   string `yaml:"keyring"`
}

type sources struct {
	Sources []source `yaml:"sources"`
}

func readSources(file string) (*sources, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	read := &sources{}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(read); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for _, known := range read.Sources {
		if !strings.HasPrefix(known.Prefix, "https://") || known.List == "" || known.Keyring == "" || known.Inside == (known.Signature != "") {
			return nil, fmt.Errorf("%s: %q needs a prefix with https://, a list, a keyring, and either a signature or inside", file, known.Prefix)
		}
	}
	return read, nil
}

func (s *sources) of(address string) (source, bool) {
	for _, known := range s.Sources {
		if strings.HasPrefix(address, known.Prefix) {
			return known, true
		}
	}
	return source{}, false
}

// checksum returns that of the image as CDI has it, such as sha256:0123..., out of a list whose signature verifies.
func (s source) checksum(ctx context.Context, client *http.Client, address string) (string, error) {
	folder, name := path.Split(address)
	list, err := fetch(ctx, client, folder+s.List)
	if err != nil {
		return "", err
	}
	keys, err := readKeyring(s.Keyring)
	if err != nil {
		return "", err
	}
	if s.Inside {
		if list, err = openClearSigned(list, keys); err != nil {
			return "", fmt.Errorf("the signature in %s: %w", s.List, err)
		}
	} else {
		signature, err := fetch(ctx, client, folder+s.Signature)
		if err != nil {
			return "", err
		}
		if err := checkDetached(list, signature, keys); err != nil {
			return "", fmt.Errorf("the signature of %s: %w", s.List, err)
		}
	}
	return findChecksum(list, name)
}

// maxList is how much of a list is read, in bytes.
const maxList = 1 << 20

func fetch(ctx context.Context, client *http.Client, address string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", address, response.Status)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxList+1))
	if err == nil && len(text) > maxList {
		err = fmt.Errorf("%s has more than %d bytes", address, maxList)
	}
	return text, err
}

func readKeyring(file string) (openpgp.EntityList, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(text, []byte("-----BEGIN")) {
		return openpgp.ReadArmoredKeyRing(bytes.NewReader(text))
	}
	return openpgp.ReadKeyRing(bytes.NewReader(text))
}

// checkDetached verifies a signature in a file of its own, armoured or not.
func checkDetached(list, signature []byte, keys openpgp.EntityList) error {
	check := openpgp.CheckDetachedSignature
	if bytes.HasPrefix(signature, []byte("-----BEGIN")) {
		check = openpgp.CheckArmoredDetachedSignature
	}
	_, err := check(keys, bytes.NewReader(list), bytes.NewReader(signature), nil)
	return err
}

// openClearSigned returns what is signed of a text that holds its signature.
func openClearSigned(text []byte, keys openpgp.EntityList) ([]byte, error) {
	block, rest := clearsign.Decode(text)
	if block == nil {
		return nil, errors.New("the text is not signed")
	}
	if strings.TrimSpace(string(rest)) != "" {
		return nil, errors.New("something follows what is signed")
	}
	if _, err := openpgp.CheckDetachedSignature(keys, bytes.NewReader(block.Bytes), block.ArmoredSignature.Body, nil); err != nil {
		return nil, err
	}
	return block.Plaintext, nil
}

// The two forms of a line: that of GNU's sha256sum and that of BSD's.
var (
	gnuLine = regexp.MustCompile(`^([0-9a-fA-F]+) [ *](\S+)$`)
	bsdLine = regexp.MustCompile(`^(SHA256|SHA512) \((\S+)\) = ([0-9a-fA-F]+)$`)
)

// findChecksum looks a file up in a list.
func findChecksum(list []byte, name string) (string, error) {
	lines := bufio.NewScanner(bytes.NewReader(list))
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), " \r")
		digest, named := "", ""
		if found := gnuLine.FindStringSubmatch(line); found != nil {
			digest, named = found[1], found[2]
		} else if found := bsdLine.FindStringSubmatch(line); found != nil {
			digest, named = found[3], found[2]
		}
		if named != name {
			continue
		}
		switch len(digest) {
		case 64:
			return "sha256:" + strings.ToLower(digest), nil
		case 128:
			return "sha512:" + strings.ToLower(digest), nil
		default:
			return "", fmt.Errorf("the list has a digest of %d letters for %s", len(digest), name)
		}
	}
	if err := lines.Err(); err != nil {
		return "", err
	}
	return "", fmt.Errorf("the list has no %s", name)
}
