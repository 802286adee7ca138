package guide

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	certutil "k8s.io/client-go/util/cert"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// registry serves the one image of an OCI layout, as the distribution specification has it, to whoever only pulls.
type registry struct{ layout string }

func (r registry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	parts := strings.Split(strings.Trim(request.URL.Path, "/"), "/")
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if len(parts) < 4 {
		return
	}
	kind, reference := parts[len(parts)-2], parts[len(parts)-1]
	if kind == "manifests" {
		var index struct {
			Manifests []struct{ MediaType, Digest string }
		}
		text, err := os.ReadFile(filepath.Join(r.layout, "index.json"))
		if err == nil {
			err = json.Unmarshal(text, &index)
		}
		if err != nil || len(index.Manifests) != 1 {
			http.Error(w, "no image", http.StatusNotFound)
			return
		}
		reference = index.Manifests[0].Digest
		w.Header().Set("Content-Type", index.Manifests[0].MediaType)
		w.Header().Set("Docker-Content-Digest", reference)
	} else {
		w.Header().Set("Content-Type", "application/octet-stream")
	}
	algorithm, digest, _ := strings.Cut(reference, ":")
	http.ServeFile(w, request, filepath.Join(r.layout, "blobs", filepath.Base(algorithm), filepath.Base(digest)))
}

// serveRegistry serves the image over TLS to the nodes, and returns its address and the authority to trust.
func serveRegistry(e *framework.Environment) (address, authority string) {
	e.T.Helper()
	host := e.Plane.LabAddress().String()
	certificate, key, err := certutil.GenerateSelfSignedCertKey(host, []net.IP{net.ParseIP(host)}, nil)
	require.NoError(e.T, err)
	pair, err := tls.X509KeyPair(certificate, key)
	require.NoError(e.T, err)
	listener, err := tls.Listen("tcp", net.JoinHostPort(host, "0"), &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	require.NoError(e.T, err)
	server := &http.Server{Handler: registry{filepath.Join(e.Root(), "_output", "node", "images", "guest")}, ReadHeaderTimeout: time.Minute}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	e.T.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return listener.Addr().String(), string(certificate)
}

// The root disk comes out of an image in a registry whose authority only a ConfigMap names.
func TestRootDiskFromARegistry(t *testing.T) {
	e := newEnvironment(t)
	address, authority := serveRegistry(e)
	e.MustKubectl("create", "configmap", "registry-ca", "--from-literal=ca.crt="+authority)
	url, trusted := "docker://"+address+"/guest:lab", "registry-ca"
	e.Create(small(e, "from-registry", func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.Root.Source = cdiv1.DataVolumeSource{Registry: &cdiv1.DataVolumeSourceRegistry{URL: &url, CertConfigMap: &trusted}}
	}))
	g := boot(e, "from-registry", "")
	assert.Equal(t, "vda", strings.TrimSpace(g.run("ls /sys/block | grep vda")))
}

// The root disk is a copy of another machine's, and what its guest writes does not reach the other.
func TestRootDiskThatIsACopy(t *testing.T) {
	e := newEnvironment(t)
	e.Create(small(e, "origin", framework.WithStrategy(v1beta1.RunStrategyManual)))
	e.WaitFor(bootTimeout, "origin", "is stopped with its disk imported", func(vs *v1beta1.VirtualServer) string {
		if vs.Status.PrintableStatus != v1beta1.StatusStopped || vs.Status.Import == nil || vs.Status.Import.Phase != string(cdiv1.Succeeded) {
			return "not stopped with its disk imported"
		}
		return ""
	})
	e.Create(small(e, "copy", func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.Root.Source = cdiv1.DataVolumeSource{PVC: &cdiv1.DataVolumeSourcePVC{Name: e.MachineName("origin")}}
		// A machine may bring a name server of its own.
		vs.Spec.Network.DNSPolicy = corev1.DNSNone
		vs.Spec.Network.DNSConfig = &corev1.PodDNSConfig{Nameservers: []string{"10.96.0.10", "192.0.2.53"}}
	}))
	g := boot(e, "copy", "")

	t.Run("dnsPolicy None leaves the name servers of the machine alone", func(t *testing.T) {
		found := g.in(t).run("cat /etc/resolv.conf")
		assert.Contains(t, found, "nameserver 192.0.2.53")
		// Where there is nothing to search, KubeVirt's DHCP server still says cluster.local (defaultSearchDomain in pkg/network/dns).
		assert.NotContains(t, found, "svc.cluster.local")
	})
	t.Run("memory dump to a claim, by the VirtualServer's name", func(t *testing.T) {
		e := withT(e, t)
		claim(e, "dump", "600Mi")
		must(e, "kubectl", "vs", "-n", e.Namespace, "virt", "memory-dump", "get", "copy", "--claim-name", "dump")
		e.MustKubectl("wait", "--for=jsonpath={.status.memoryDumpRequest.phase}=Completed", "--timeout="+bootTimeout.String(), "vm/"+e.MachineName("copy"))
		must(e, "kubectl", "vs", "-n", e.Namespace, "virt", "memory-dump", "remove", "copy")
		size := strings.TrimSpace(podThat(e, "dump-size", "du -k /claim/dump/* | sort -n | tail -1 | cut -f1", "dump"))
		least := resource.MustParse("64Mi")
		dumped, err := resource.ParseQuantity(size + "Ki")
		require.NoError(t, err)
		assert.Positive(t, dumped.Cmp(least), "the dump has %s", dumped.String())
	})
}
