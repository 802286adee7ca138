package controlplane

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	certutil "k8s.io/client-go/util/cert"
)

func readCertificate(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	certificates, err := certutil.CertsFromFile(path)
	require.NoError(t, err)
	return certificates[0]
}

func TestWriteCertificates(t *testing.T) {
	paths := layout{root: t.TempDir()}
	require.NoError(t, paths.reset())
	cas, err := writeCertificates(paths, nil)
	require.NoError(t, err)

	tests := map[string]struct {
		issuer string
		usage  x509.ExtKeyUsage
		host   string
	}{
		"etcd-server":             {etcdCA, x509.ExtKeyUsageServerAuth, "127.0.0.1"},
		"etcd-client":             {etcdCA, x509.ExtKeyUsageClientAuth, ""},
		"kube-apiserver":          {clusterCA, x509.ExtKeyUsageServerAuth, "kubernetes.default.svc"},
		"front-proxy-client":      {frontProxyCA, x509.ExtKeyUsageClientAuth, ""},
		"virt-api":                {kubevirtCA, x509.ExtKeyUsageServerAuth, "virt-api.kubevirt.svc"},
		"virt-handler-client":     {kubevirtCA, x509.ExtKeyUsageClientAuth, ""},
		"cdi-apiserver":           {cdiCA, x509.ExtKeyUsageServerAuth, "cdi-api.cdi.svc"},
		"virtualserver-apiserver": {productCA, x509.ExtKeyUsageServerAuth, "virtualserver-apiserver.virtualserver-system.svc"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			roots := x509.NewCertPool()
			roots.AddCert(cas[test.issuer].certificate)
			options := x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{test.usage}, DNSName: test.host}
			_, err := readCertificate(t, paths.crt(name)).Verify(options)
			assert.NoError(t, err)
		})
	}
	assert.Equal(t, virtHandlerServerName, readCertificate(t, paths.crt("virt-handler-server")).Subject.CommonName)
}

func TestAuthorityLoadsAndSigns(t *testing.T) {
	dir := t.TempDir()
	made, err := newAuthority("test")
	require.NoError(t, err)
	require.NoError(t, made.save(dir, "ca"))
	loaded, err := loadAuthority(dir, "ca")
	require.NoError(t, err)

	certPEM, _, err := loaded.issue(certRequest{commonName: "alice", organizations: []string{"a", "b"}, client: true})
	require.NoError(t, err)
	certificates, err := certutil.ParseCertsPEM(certPEM)
	require.NoError(t, err)
	assert.Equal(t, "alice", certificates[0].Subject.CommonName)
	assert.ElementsMatch(t, []string{"a", "b"}, certificates[0].Subject.Organization)
	assert.NoError(t, certificates[0].CheckSignatureFrom(made.certificate))
	assert.WithinDuration(t, time.Now().Add(certificateValidity), certificates[0].NotAfter, time.Minute)
}
