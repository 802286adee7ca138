package controlplane

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// AdminConfig connects as a cluster administrator. The caller owns the copy.
func (c *ControlPlane) AdminConfig() *rest.Config { return rest.CopyConfig(c.admin) }

// KubeconfigPath is the administrator's kubeconfig.
func (c *ControlPlane) KubeconfigPath() string { return c.options.Kubeconfig }

// UserConfig connects as a user in groups, with a client certificate made for it. The
// user has no rights but those that the test binds to it.
func (c *ControlPlane) UserConfig(name string, groups ...string) (*rest.Config, error) {
	user, err := certificateUser(c.cas[clusterCA], name, groups)
	if err != nil {
		return nil, err
	}
	return restConfig(c.server, c.clusterCAPEM, user), nil
}

// UserKubeconfig writes a kubeconfig for a user as of UserConfig, for programs.
func (c *ControlPlane) UserKubeconfig(path, name string, groups ...string) error {
	user, err := certificateUser(c.cas[clusterCA], name, groups)
	if err != nil {
		return err
	}
	return writeKubeconfig(path, c.server, c.clusterCAPEM, user)
}

// ServiceAccountToken asks for a token of an existing ServiceAccount. validity is at
// least 10 minutes.
func (c *ControlPlane) ServiceAccountToken(ctx context.Context, namespace, name string, validity time.Duration) (string, error) {
	return requestToken(ctx, c.client, namespace, name, validity)
}

// AnonymousConfig connects to kube-apiserver without any identity; callers add a bearer
// token or stay anonymous.
func (c *ControlPlane) AnonymousConfig() *rest.Config { return rest.AnonymousClientConfig(c.admin) }

// Client is a typed client of the administrator.
func (c *ControlPlane) Client() kubernetes.Interface { return c.client }

// ProductURL is the product's own address, past kube-apiserver.
func (c *ControlPlane) ProductURL() string { return loopbackURL(c.ports.Product) }

// ProductCA verifies the product's own address, as PEM.
func (c *ControlPlane) ProductCA() []byte { return c.cas[productCA].certPEM }

// ProductDataDir holds the product's embedded etcd. Tests that lose or restore the store
// stop the product, change this folder, and start it again.
func (c *ControlPlane) ProductDataDir() string { return c.paths.data(Product) }

// Apply puts the manifests of a YAML stream into the cluster with server-side apply, in
// order of need. Objects without a namespace go to the namespace default.
func (c *ControlPlane) Apply(ctx context.Context, stream []byte) error {
	objects, err := decodeManifests(stream)
	if err != nil {
		return err
	}
	return c.applier.apply(ctx, objects)
}

// removeLease deletes the Lease namespace/name. One that is gone is fine.
func (c *ControlPlane) removeLease(ctx context.Context, lease string) error {
	namespace, name, err := cache.SplitMetaNamespaceKey(lease)
	if err != nil {
		return err
	}
	err = c.client.CoordinationV1().Leases(namespace).Delete(ctx, name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// leaseProbe passes when somebody leads: a controller without a health endpoint is ready
// then.
func (c *ControlPlane) leaseProbe(namespace, name string) probe {
	return func(ctx context.Context) error {
		lease, err := c.client.CoordinationV1().Leases(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
			return errors.New("nobody leads yet")
		}
		return nil
	}
}

// ClusterCAFile is the file of the CA that verifies kube-apiserver.
func (c *ControlPlane) ClusterCAFile() string { return c.paths.crt(clusterCA) }
