package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	googlename "github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// push sends the image that build wrote to a registry, with the credentials that "docker login" keeps. TLS is always verified.
func push(ctx context.Context, output, to, authority string, out io.Writer) error {
	if to == "" {
		return errors.New("--to says where: HOST/NAME[:TAG]")
	}
	version, err := os.ReadFile(filepath.Join(output, "version"))
	if err != nil {
		return fmt.Errorf("nothing has been built: %w", err)
	}
	tag := strings.ReplaceAll(strings.TrimSpace(string(version)), "+", "-")
	reference, err := googlename.NewTag(to, googlename.WithDefaultTag(tag))
	if err != nil {
		return err
	}
	index, err := builtIndex(filepath.Join(output, layoutFolder))
	if err != nil {
		return err
	}
	transport, err := trusting(authority)
	if err != nil {
		return err
	}
	if err := remote.WriteIndex(reference, index, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain),
		remote.WithTransport(transport)); err != nil {
		return fmt.Errorf("push %s: %w", reference, err)
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Pushed %s:%s@%s\n", reference.Context(), reference.TagStr(), digest)
	return nil
}

// builtIndex is the one index of the layout.
func builtIndex(folder string) (v1.ImageIndex, error) {
	path, err := layout.FromPath(folder)
	if err != nil {
		return nil, fmt.Errorf("nothing has been built: %w", err)
	}
	outer, err := path.ImageIndex()
	if err != nil {
		return nil, err
	}
	manifest, err := outer.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(manifest.Manifests) != 1 {
		return nil, fmt.Errorf("%s has %d images", folder, len(manifest.Manifests))
	}
	return outer.ImageIndex(manifest.Manifests[0].Digest)
}

// trusting is a transport that trusts the system's authorities, and those in a file if it is named.
func trusting(file string) (http.RoundTripper, error) {
	if file == "" {
		return encrypted{remote.DefaultTransport}, nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate", file)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return encrypted{transport}, nil
}

// encrypted refuses what is not TLS: the library falls back to plain HTTP for registries in private networks.
type encrypted struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (e encrypted) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != "https" {
		return nil, fmt.Errorf("%s does not speak TLS", request.URL.Host)
	}
	return e.RoundTripper.RoundTrip(request)
}
