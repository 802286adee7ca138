package controlplane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/netip"
	"os"

	"k8s.io/client-go/util/keyutil"
)

// Names of the authorities. Each signs for one circle of trust only.
const (
	clusterCA    = "cluster-ca"
	frontProxyCA = "front-proxy-ca"
	etcdCA       = "etcd-ca"
	kubevirtCA   = "kubevirt-ca"
	cdiCA        = "cdi-ca"
	productCA    = "product-ca"
	// The two upload authorities are CDI's own: cdi-controller signs with them.
	cdiUploadServerCA = "cdi-uploadserver-signer"
	cdiUploadClientCA = "cdi-uploadserver-client-signer"
)

// Common names that KubeVirt checks instead of host names (KubeVirt 1.7
// pkg/virt-operator/resource/generate/components/secrets.go).
const (
	virtHandlerServerName = "kubevirt.io:system:node:virt-handler"
	virtHandlerClientName = "kubevirt.io:system:client:virt-handler"
)

// uploadClientName is whom CDI's upload servers obey (CDI 1.65 pkg/operator/resources/cert/factory.go).
const uploadClientName = "client.upload-server.cdi.kubevirt.io"

// leaf is one certificate to issue, and who signs it.
type leaf struct {
	file    string
	issuer  string
	request certRequest
}

func serviceNames(namespace, name string) []string {
	return []string{name, name + "." + namespace, name + "." + namespace + ".svc"}
}

func serverFor(namespace, name string) certRequest {
	names := serviceNames(namespace, name)
	return certRequest{commonName: names[2], dnsNames: names, loopback: true, server: true}
}

// leaves lists every certificate that the control plane starts with. ServiceAccounts use
// tokens and have none.
//
// apiServer are the addresses of kube-apiserver besides loopback.
func leaves(apiServer []netip.Addr) []leaf {
	kubernetes := certRequest{
		commonName: "kube-apiserver", loopback: true, server: true, addresses: apiServer,
		dnsNames: append(serviceNames("default", "kubernetes"), "kubernetes.default.svc.cluster.local"),
	}
	return []leaf{
		{"etcd-server", etcdCA, certRequest{commonName: "etcd", loopback: true, server: true, client: true}},
		{"etcd-client", etcdCA, certRequest{commonName: "kube-apiserver", client: true}},
		{"kube-apiserver", clusterCA, kubernetes},
		{"kube-controller-manager", clusterCA, certRequest{commonName: "kube-controller-manager", loopback: true, server: true}},
		{"kube-scheduler", clusterCA, certRequest{commonName: "kube-scheduler", loopback: true, server: true}},
		{"front-proxy-client", frontProxyCA, certRequest{commonName: "front-proxy-client", client: true}},
		{"kubelet-client", clusterCA, certRequest{commonName: "kube-apiserver-kubelet-client", client: true}},
		{"kubelet", clusterCA, certRequest{commonName: "system:node:node-agent", loopback: true, server: true}},
		{"virt-api", kubevirtCA, serverFor(kubevirtNamespace, "virt-api")},
		{"virt-controller", kubevirtCA, serverFor(kubevirtNamespace, "virt-controller")},
		{"virt-handler-server", kubevirtCA, certRequest{commonName: virtHandlerServerName, loopback: true, server: true}},
		{"virt-handler-client", kubevirtCA, certRequest{commonName: virtHandlerClientName, client: true}},
		{"cdi-apiserver", cdiCA, serverFor(cdiNamespace, "cdi-api")},
		{"cdi-uploadproxy", cdiCA, serverFor(cdiNamespace, uploadProxy)},
		{"cdi-uploadserver-client", cdiUploadClientCA, certRequest{commonName: uploadClientName, client: true}},
		{"virtualserver-apiserver", productCA, serverFor(productNamespace, productService)},
	}
}

// authorities are the CAs of one run by name.
type authorities map[string]*authority

// writeCertificates makes all CAs, leaf certificates and the ServiceAccount key.
func writeCertificates(paths layout, apiServer []netip.Addr) (authorities, error) {
	dir := paths.pki("")
	made := authorities{}
	names := []string{clusterCA, frontProxyCA, etcdCA, kubevirtCA, cdiCA, productCA, cdiUploadServerCA, cdiUploadClientCA}
	for _, name := range names {
		ca, err := newAuthority(name)
		if err != nil {
			return nil, err
		}
		if err := ca.save(dir, name); err != nil {
			return nil, err
		}
		made[name] = ca
	}
	for _, leaf := range leaves(apiServer) {
		certPEM, keyPEM, err := made[leaf.issuer].issue(leaf.request)
		if err != nil {
			return nil, err
		}
		if err := writePair(dir, leaf.file, certPEM, keyPEM); err != nil {
			return nil, err
		}
	}
	return made, writeServiceAccountKey(paths)
}

// writeServiceAccountKey makes the pair that signs and checks ServiceAccount tokens.
func writeServiceAccountKey(paths layout) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("service account key: %w", err)
	}
	pem, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return fmt.Errorf("service account key: %w", err)
	}
	return os.WriteFile(paths.key("service-account"), pem, 0o600)
}
