package controlplane

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// certificateValidity is long enough for any session and short enough that a leaked
// state directory goes stale.
const certificateValidity = 90 * 24 * time.Hour

// authority is a self-signed CA made for one run.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	// certPEM is the CA certificate, for trust bundles.
	certPEM []byte
}

// certRequest describes one leaf certificate.
type certRequest struct {
	commonName    string
	organizations []string
	dnsNames      []string
	addresses     []netip.Addr
	// loopback adds localhost and 127.0.0.1 to the names.
	loopback bool
	server   bool
	client   bool
}

func newAuthority(commonName string) (*authority, error) {
	key, err := newAuthorityKey(commonName)
	if err != nil {
		return nil, err
	}
	certificate, err := certutil.NewSelfSignedCACert(certutil.Config{CommonName: commonName}, key)
	if err != nil {
		return nil, fmt.Errorf("CA %s: %w", commonName, err)
	}
	pem, err := certutil.EncodeCertificates(certificate)
	if err != nil {
		return nil, err
	}
	return &authority{certificate: certificate, key: key, certPEM: pem}, nil
}

// rsaBits is the size of the RSA keys.
const rsaBits = 2048

// newAuthorityKey makes an elliptic key, and an RSA key for the signers of CDI's uploads:
// cdi-controller asks for RSA signatures whatever key it is given.
func newAuthorityKey(commonName string) (crypto.Signer, error) {
	if commonName == cdiUploadServerCA || commonName == cdiUploadClientCA {
		return rsa.GenerateKey(rand.Reader, rsaBits)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// loadAuthority reads what save wrote.
func loadAuthority(dir, name string) (*authority, error) {
	certificates, err := certutil.CertsFromFile(filepath.Join(dir, name+".crt"))
	if err != nil {
		return nil, err
	}
	key, err := keyutil.PrivateKeyFromFile(filepath.Join(dir, name+".key"))
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the CA key cannot sign")
	}
	pem, err := certutil.EncodeCertificates(certificates[0])
	if err != nil {
		return nil, err
	}
	return &authority{certificate: certificates[0], key: signer, certPEM: pem}, nil
}

// issue signs a new key and returns certificate and key as PEM.
func (a *authority) issue(request certRequest) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: request.commonName, Organization: request.organizations},
		DNSNames:     request.dnsNames,
		// The clocks are the same, but a test may step back a little.
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(certificateValidity),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}
	if request.loopback {
		template.DNSNames = append(template.DNSNames, "localhost")
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	for _, address := range request.addresses {
		template.IPAddresses = append(template.IPAddresses, address.AsSlice())
	}
	if request.server {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	if request.client {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("certificate %s: %w", request.commonName, err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	if certPEM, err = certutil.EncodeCertificates(certificate); err != nil {
		return nil, nil, err
	}
	if keyPEM, err = keyutil.MarshalPrivateKeyToPEM(key); err != nil {
		return nil, nil, err
	}
	return certPEM, keyPEM, nil
}

// save writes the CA itself.
func (a *authority) save(dir, name string) error {
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(a.key)
	if err != nil {
		return err
	}
	return writePair(dir, name, a.certPEM, keyPEM)
}

func writePair(dir, name string, certPEM, keyPEM []byte) error {
	if err := os.WriteFile(filepath.Join(dir, name+".crt"), certPEM, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".key"), keyPEM, 0o600)
}
