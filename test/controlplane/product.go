package controlplane

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Where the product lives in a cluster, as artifacts/deploy has it.
const (
	productNamespace      = "virtualserver-system"
	productService        = "virtualserver-apiserver"
	productServiceAccount = "virtualserver-apiserver"
	productAuditConfig    = "virtualserver-audit-policy"
)

// productManifests returns the shipped manifests without the workload, which runs as a
// process here, and the Service pointing at that process.
func (c *ControlPlane) productManifests() (rest, registrations []*unstructured.Unstructured, err error) {
	objects, err := readManifestFolder(c.options.DeployDir)
	if err != nil {
		return nil, nil, fmt.Errorf("product manifests: %w", err)
	}
	var kept []*unstructured.Unstructured
	for _, object := range objects {
		if isWorkload(object.GetKind()) {
			continue
		}
		if object.GetKind() == kindService && object.GetName() == productService {
			makeExternalName(object, c.ports.Product)
		}
		kept = append(kept, object)
	}
	target := endpoint{port: c.ports.Product, caPEM: c.cas[productCA].certPEM}
	if err := redirect(kept, map[string]endpoint{productNamespace + "/" + productService: target}); err != nil {
		return nil, nil, fmt.Errorf("product manifests: %w", err)
	}
	rest, registrations = splitRegistrations(kept)
	return rest, registrations, nil
}

// isWorkload tells which kinds describe pods, their surroundings or another operator's
// input. Without a kubelet that runs containers they have no use here.
func isWorkload(kind string) bool {
	return slices.Contains([]string{
		"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "PodDisruptionBudget", "NetworkPolicy",
		"PersistentVolumeClaim", "Certificate", "Issuer", "ClusterIssuer", "ServiceMonitor", "PodMonitor", "PrometheusRule",
	}, kind)
}

// makeExternalName keeps name and labels of a Service and sends it to this machine.
func makeExternalName(service *unstructured.Unstructured, port int) {
	service.Object["spec"] = map[string]any{
		"type":         "ExternalName",
		"externalName": "localhost",
		"ports":        []any{map[string]any{"name": "https", "port": int64(port), "protocol": "TCP"}},
	}
}

// productAuditPolicy writes the shipped audit policy to a file, where its ConfigMap would be mounted.
func (c *ControlPlane) productAuditPolicy() (string, error) {
	objects, err := readManifestFolder(c.options.DeployDir)
	if err != nil {
		return "", fmt.Errorf("product manifests: %w", err)
	}
	for _, object := range objects {
		if object.GetKind() != "ConfigMap" || object.GetName() != productAuditConfig {
			continue
		}
		policy, found, err := unstructured.NestedString(object.Object, "data", "policy.yaml")
		if err != nil {
			return "", fmt.Errorf("ConfigMap %s: %w", productAuditConfig, err)
		}
		if !found {
			return "", fmt.Errorf("ConfigMap %s has no policy.yaml", productAuditConfig)
		}
		path := c.paths.config(productAuditConfig + ".yaml")
		return path, os.WriteFile(path, []byte(policy), 0o600)
	}
	return "", fmt.Errorf("product manifests: no ConfigMap %s", productAuditConfig)
}

func (c *ControlPlane) product(ctx context.Context) (component, error) {
	kubeconfig, err := c.serviceAccountKubeconfig(ctx, productNamespace, productServiceAccount)
	if err != nil {
		return component{}, err
	}
	audit, err := c.productAuditPolicy()
	if err != nil {
		return component{}, err
	}
	ready, err := httpsProbe{
		url: c.ProductURL() + "/readyz", serverName: productService + "." + productNamespace + ".svc", rootsPEM: c.ProductCA(),
	}.build()
	args := []string{
		flag("kubeconfig", kubeconfig), flag("authentication-kubeconfig", kubeconfig), flag("authorization-kubeconfig", kubeconfig),
		flag("data-dir", c.ProductDataDir()),
		flag("bind-address", "127.0.0.1"), flag("secure-port", strconv.Itoa(c.ports.Product)),
		flag("tls-cert-file", c.paths.crt(Product)), flag("tls-private-key-file", c.paths.key(Product)),
		flag("audit-policy-file", audit), flag("audit-log-path", c.paths.logFile(ProductAudit)),
		flag("audit-log-maxsize", "100"), flag("audit-log-maxbackup", "3"),
	}
	args = append(args,
		// Set, or the server would look for an interface with a default route.
		flag("advertise-address", "127.0.0.1"),
		// A killed product should lead again soon: the lease must run out first.
		flag("leader-election-lease-duration", "3s"), flag("leader-election-renew-deadline", "2s"),
		flag("leader-election-retry-period", "500ms"),
	)
	args = append(args, c.options.ProductArgs...)
	return component{name: Product, program: Product, args: args, ready: ready, tier: tierProduct, grace: 15 * time.Second}, err
}
