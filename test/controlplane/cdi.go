package controlplane

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	// cdiNamespace is CDI's own default for processes outside a pod.
	cdiNamespace               = "cdi"
	cdiAPIServiceAccount       = "cdi-apiserver"
	cdiControllerAccount       = "cdi-sa"
	cdiControllerLease         = "cdi-controller-leader-election-helper"
	cdiCertificateBundleKey    = "ca-bundle.crt"
	cdiCertificateBundleSuffix = "-bundle"
	uploadProxy                = "cdi-uploadproxy"
	uploadProxyImage           = "docker.io/library/cdi-uploadproxy:v1.65.0"
)

// cdiManifests returns what CDI's operator would install here, what CDI needs from storage,
// and the trust bundles of uploads that the operator would make from its certificates.
func (c *ControlPlane) cdiManifests(ctx context.Context) ([]*unstructured.Unstructured, error) {
	args := []string{flag("cdi-api-url", loopbackURL(c.ports.CDIAPIServer)), flag("ca-bundle-file", c.paths.crt(cdiCA))}
	if c.real() {
		args = append(args, flag("upload-proxy-image", uploadProxyImage))
	}
	objects, err := c.printManifests(ctx, "cdi-manifests", args...)
	if err != nil {
		return nil, err
	}
	if c.real() {
		secrets, err := c.tlsSecrets(cdiNamespace, map[string]string{
			"cdi-uploadproxy-server-cert": uploadProxy, "cdi-uploadserver-client-cert": "cdi-uploadserver-client",
		})
		if err != nil {
			return nil, err
		}
		objects = append(objects, secrets...)
	}
	profiles, err := decodeManifests(storageProfiles)
	if err != nil {
		return nil, err
	}
	snapshots, err := c.snapshotObjects()
	if err != nil {
		return nil, err
	}
	objects = append(append(objects, profiles...), snapshots...)
	for _, name := range []string{cdiUploadServerCA, cdiUploadClientCA} {
		objects = append(objects, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1",
			"kind":       "ConfigMap",
			"metadata":   map[string]any{"namespace": cdiNamespace, "name": name + cdiCertificateBundleSuffix},
			"data":       map[string]any{cdiCertificateBundleKey: string(c.cas[name].certPEM)},
		}})
	}
	return objects, nil
}

func (c *ControlPlane) cdiAPIServer(ctx context.Context) (component, error) {
	kubeconfig, err := c.serviceAccountKubeconfig(ctx, cdiNamespace, cdiAPIServiceAccount)
	if err != nil {
		return component{}, err
	}
	ready, err := httpsProbe{
		url: loopbackURL(c.ports.CDIAPIServer) + "/healthz", serverName: "cdi-api." + cdiNamespace + ".svc", rootsPEM: c.cas[cdiCA].certPEM,
	}.build()
	args := []string{
		flag("kubeconfig", kubeconfig), flag("bind-address", "127.0.0.1"), flag("secure-port", strconv.Itoa(c.ports.CDIAPIServer)),
		flag("tls-cert-file", c.paths.crt(CDIAPIServer)), flag("tls-private-key-file", c.paths.key(CDIAPIServer)),
	}
	return component{name: CDIAPIServer, program: CDIAPIServer, args: args, ready: ready, tier: tierExtensions, grace: 3 * time.Second}, err
}

func (c *ControlPlane) cdiController(ctx context.Context) (component, error) {
	kubeconfig, err := c.serviceAccountKubeconfig(ctx, cdiNamespace, cdiControllerAccount)
	if err != nil {
		return component{}, err
	}
	certs, err := c.writeUploadSigners()
	if err != nil {
		return component{}, err
	}
	leads := c.leaseProbe(cdiNamespace, cdiControllerLease)
	config := schema.GroupVersionResource{Group: "cdi.kubevirt.io", Version: "v1beta1", Resource: "cdiconfigs"}
	// Its readiness endpoint is plain HTTP, and only says that the process lives.
	ready := func(ctx context.Context) error {
		if err := leads(ctx); err != nil {
			return err
		}
		_, err := c.dynamic.Resource(config).Get(ctx, "config", metav1.GetOptions{})
		return err
	}
	args := []string{flag("kubeconfig", kubeconfig), flag("certs-dir", certs)}
	return component{
		name: CDIController, program: CDIController, args: args, ready: ready, tier: tierExtensions,
		grace: 3 * time.Second, lease: cdiNamespace + "/" + cdiControllerLease,
	}, nil
}

// writeUploadSigners lays the upload authorities out as CDI's pod has them mounted.
func (c *ControlPlane) writeUploadSigners() (string, error) {
	root := c.paths.pki("cdi-controller")
	for _, name := range []string{cdiUploadServerCA, cdiUploadClientCA} {
		folder := filepath.Join(root, name)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return "", err
		}
		if err := c.cas[name].save(folder, "tls"); err != nil {
			return "", err
		}
	}
	return root, nil
}
