package kubevirt

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"
)

// OldestKubeVirt is the oldest release whose API is known to be enough. CDI needs no such limit: the kinds that are used have been
// in v1beta1 for longer than KubeVirt's.
const OldestKubeVirt = "1.7.0"

// Versions are the versions that KubeVirt and CDI tell of themselves, empty where one is not installed or does not tell.
type Versions struct {
	KubeVirt, CDI string
}

// Versions reads the versions from the objects that the operators of KubeVirt and CDI keep. An operator of which there is no kind
// is not installed, and no error.
func (c *Client) Versions(ctx context.Context) (Versions, error) {
	var found Versions
	kubeVirts, err := c.kubevirt.KubevirtV1().KubeVirts(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return found, fmt.Errorf("list KubeVirts: %w", err)
	}
	if err == nil && len(kubeVirts.Items) > 0 {
		found.KubeVirt = kubeVirts.Items[0].Status.ObservedKubeVirtVersion
	}
	cdis, err := c.cdi.CdiV1beta1().CDIs().List(ctx, metav1.ListOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return found, fmt.Errorf("list CDIs: %w", err)
	}
	if err == nil && len(cdis.Items) > 0 {
		found.CDI = cdis.Items[0].Status.ObservedVersion
	}
	return found, nil
}

// Warnings says what is too old, with both versions: the one that is there and the one that is needed. A version that cannot be
// read is no reason to warn.
func (v Versions) Warnings() []string {
	found, err := version.ParseGeneric(v.KubeVirt)
	if err != nil || !found.LessThan(version.MustParseGeneric(OldestKubeVirt)) {
		return nil
	}
	return []string{fmt.Sprintf("KubeVirt %s is older than %s, the oldest release that this server works with", found, OldestKubeVirt)}
}
