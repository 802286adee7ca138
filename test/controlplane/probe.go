package controlplane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"time"
)

// probeInterval is how often a starting server is asked whether it is ready.
const probeInterval = 50 * time.Millisecond

// probe tells whether a server is ready; the error says what it still lacks.
type probe func(ctx context.Context) error

// httpsProbe asks a URL for 200, with the server's certificate checked against roots
// and serverName.
type httpsProbe struct {
	url        string
	serverName string
	rootsPEM   []byte
	// certFile and keyFile are optional: a client certificate.
	certFile, keyFile string
}

func (p httpsProbe) build() (probe, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(p.rootsPEM) {
		return nil, fmt.Errorf("probe %s: no CA certificate", p.url)
	}
	config := &tls.Config{RootCAs: roots, ServerName: p.serverName, MinVersion: tls.VersionTLS12}
	if p.certFile != "" {
		pair, err := tls.LoadX509KeyPair(p.certFile, p.keyFile)
		if err != nil {
			return nil, fmt.Errorf("probe %s: %w", p.url, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	client := &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true},
	}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusOK {
			body, _ := io.ReadAll(io.LimitReader(response.Body, 512))
			return fmt.Errorf("%s answers %s: %s", p.url, response.Status, body)
		}
		return nil
	}, nil
}

// waitFor polls until the probe passes. When ctx ends it returns the probe's last error,
// which says more than the deadline does.
func waitFor(ctx context.Context, interval time.Duration, ready probe) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}
