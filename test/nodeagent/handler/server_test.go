package handler

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/tools/cache"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/test/nodeagent/cluster"
)

// authority is a CA of one test.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func issue(t *testing.T, template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if signer == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return certificate, key
}

func newAuthority(t *testing.T) authority {
	certificate, key := issue(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	return authority{certificate, key}
}

func (a authority) leaf(t *testing.T, name string) tls.Certificate {
	certificate, key := issue(t, &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.certificate, a.key)
	return tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}
}

func writePEM(t *testing.T, path, kind string, der []byte) string {
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return path
}

// TestEndpointAdmitsVirtAPIOnly serves an agent without machines: a client that
// gets through hears that the machine does not exist.
func TestEndpointAdmitsVirtAPIOnly(t *testing.T) {
	dir, ca := t.TempDir(), newAuthority(t)
	serving := ca.leaf(t, "kubevirt.io:system:node:virt-handler")
	key, err := x509.MarshalECPrivateKey(serving.PrivateKey.(*ecdsa.PrivateKey))
	require.NoError(t, err)
	config, err := TLSConfig(TLSFiles{
		Cert:     writePEM(t, filepath.Join(dir, "tls.crt"), "CERTIFICATE", serving.Certificate[0]),
		Key:      writePEM(t, filepath.Join(dir, "tls.key"), "EC PRIVATE KEY", key),
		ClientCA: writePEM(t, filepath.Join(dir, "ca.crt"), "CERTIFICATE", ca.certificate.Raw),
	}, ClientName)
	require.NoError(t, err)
	vmis := cache.NewSharedIndexInformer(&cache.ListWatch{}, &kubevirtv1.VirtualMachineInstance{}, 0, cache.Indexers{})
	h := &Handler{cluster: &cluster.Cluster{VMIs: vmis}, sessions: newSessions()}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- h.Serve(ctx, listener, config) }()

	roots := x509.NewCertPool()
	roots.AddCert(ca.certificate)
	get := func(certificates ...tls.Certificate) (*http.Response, error) {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certificates}}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
		return client.Get("https://" + listener.Addr().String() + "/v1/namespaces/ns/virtualmachineinstances/vm/guestosinfo")
	}
	response, err := get(ca.leaf(t, ClientName))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, http.StatusNotFound, response.StatusCode)

	refused := map[string][]tls.Certificate{
		"no certificate":         nil,
		"somebody else":          {ca.leaf(t, "somebody-else")},
		"right name, foreign CA": {newAuthority(t).leaf(t, ClientName)},
	}
	for name, certificates := range refused {
		t.Run(name, func(t *testing.T) {
			response, err := get(certificates...)
			if err == nil {
				_ = response.Body.Close()
			}
			assert.Error(t, err)
		})
	}
	cancel()
	assert.NoError(t, <-served)
}

func TestTLSConfigSaysWhatIsMissing(t *testing.T) {
	_, err := TLSConfig(TLSFiles{Cert: "/nonexistent/tls.crt", Key: "/nonexistent/tls.key"}, ClientName)
	assert.ErrorContains(t, err, "/nonexistent/tls.crt")
}
