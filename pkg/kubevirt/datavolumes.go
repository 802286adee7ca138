package kubevirt

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/limits"
)

// DataVolumes reads and writes DataVolumes. All errors are API errors.
type DataVolumes interface {
	// DataVolume reads a DataVolume from the server.
	DataVolume(ctx context.Context, namespace, name string) (*cdiv1.DataVolume, error)
	// CreateDataVolume creates a DataVolume.
	CreateDataVolume(ctx context.Context, dv *cdiv1.DataVolume) (*cdiv1.DataVolume, error)
	// PatchDataVolume writes the difference between the live DataVolume and the modified one. CDI accepts no change of
	// the spec. The error is a Conflict if the live one is no longer the newest.
	PatchDataVolume(ctx context.Context, live, modified *cdiv1.DataVolume) (*cdiv1.DataVolume, error)
	// DeleteDataVolume deletes a DataVolume.
	DeleteDataVolume(ctx context.Context, namespace, name string, options metav1.DeleteOptions) error
	// ImporterResources are what CDI gives the pods of imports.
	ImporterResources(ctx context.Context) (corev1.ResourceRequirements, error)
}

// DataVolume implements DataVolumes.
func (c *Client) DataVolume(ctx context.Context, namespace, name string) (*cdiv1.DataVolume, error) {
	return c.cdi.CdiV1beta1().DataVolumes(namespace).Get(ctx, name, metav1.GetOptions{})
}

// CreateDataVolume implements DataVolumes.
func (c *Client) CreateDataVolume(ctx context.Context, dv *cdiv1.DataVolume) (*cdiv1.DataVolume, error) {
	return c.cdi.CdiV1beta1().DataVolumes(dv.Namespace).
		Create(ctx, dv, metav1.CreateOptions{FieldManager: FieldManager})
}

// PatchDataVolume implements DataVolumes.
func (c *Client) PatchDataVolume(ctx context.Context, live, modified *cdiv1.DataVolume) (*cdiv1.DataVolume, error) {
	patch, err := MergePatch(live, modified)
	if err != nil {
		return nil, err
	}
	return c.cdi.CdiV1beta1().DataVolumes(live.Namespace).
		Patch(ctx, live.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: FieldManager})
}

// DeleteDataVolume implements DataVolumes.
func (c *Client) DeleteDataVolume(ctx context.Context, namespace, name string, options metav1.DeleteOptions) error {
	return c.cdi.CdiV1beta1().DataVolumes(namespace).Delete(ctx, name, options)
}

// cdiConfig is the name of the only CDIConfig (ConfigName in CDI's pkg/common).
const cdiConfig = "config"

// ImporterResources implements DataVolumes.
func (c *Client) ImporterResources(ctx context.Context) (corev1.ResourceRequirements, error) {
	config, err := c.cdi.CdiV1beta1().CDIConfigs().Get(ctx, cdiConfig, metav1.GetOptions{})
	if err != nil {
		return corev1.ResourceRequirements{}, err
	}
	if resources := config.Status.DefaultPodResourceRequirements; resources != nil {
		return *resources, nil
	}
	return limits.Importer(), nil
}
