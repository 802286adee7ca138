package kubevirt

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

// MachineInformer returns an informer of the VirtualMachines of all namespaces that the selector matches. The caller runs
// it. A kind that is not installed counts as one without objects: a VirtualServer can be deleted, or say what is missing,
// without KubeVirt and CDI.
func (c *Client) MachineInformer(selector labels.Selector, indexers cache.Indexers) cache.SharedIndexInformer {
	client := c.kubevirt.KubevirtV1().VirtualMachines(metav1.NamespaceAll)
	return newInformer(c.kubevirt, &kubevirtv1.VirtualMachine{}, &kubevirtv1.VirtualMachineList{}, selector, indexers,
		func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return client.List(ctx, options)
		}, client.Watch)
}

// InstanceInformer returns an informer of the VirtualMachineInstances of all namespaces that the selector matches.
func (c *Client) InstanceInformer(selector labels.Selector, indexers cache.Indexers) cache.SharedIndexInformer {
	client := c.kubevirt.KubevirtV1().VirtualMachineInstances(metav1.NamespaceAll)
	return newInformer(c.kubevirt, &kubevirtv1.VirtualMachineInstance{}, &kubevirtv1.VirtualMachineInstanceList{}, selector, indexers,
		func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return client.List(ctx, options)
		}, client.Watch)
}

// DataVolumeInformer returns an informer of the DataVolumes of all namespaces that the selector matches.
func (c *Client) DataVolumeInformer(selector labels.Selector, indexers cache.Indexers) cache.SharedIndexInformer {
	client := c.cdi.CdiV1beta1().DataVolumes(metav1.NamespaceAll)
	return newInformer(c.cdi, &cdiv1.DataVolume{}, &cdiv1.DataVolumeList{}, selector, indexers,
		func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return client.List(ctx, options)
		}, client.Watch)
}

// newInformer builds an informer from a typed client: client-go of KubeVirt has no generated ones.
func newInformer(
	client any,
	example, empty runtime.Object,
	selector labels.Selector,
	indexers cache.Indexers,
	list func(context.Context, metav1.ListOptions) (runtime.Object, error),
	watcher func(context.Context, metav1.ListOptions) (watch.Interface, error),
) cache.SharedIndexInformer {
	selected := func(options metav1.ListOptions) metav1.ListOptions {
		options.LabelSelector = selector.String()
		return options
	}
	listWatch := &cache.ListWatch{
		ListWithContextFunc: missingIsEmpty(empty, func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return list(ctx, selected(options))
		}),
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return watcher(ctx, selected(options))
		},
	}
	return cache.NewSharedIndexInformerWithOptions(
		cache.ToListWatcherWithWatchListSemantics(listWatch, client), example,
		cache.SharedIndexInformerOptions{Indexers: indexers})
}

// missingIsEmpty answers with an empty list while the kind does not exist. With its definition Kubernetes deletes all its objects.
func missingIsEmpty(empty runtime.Object, list cache.ListWithContextFunc) cache.ListWithContextFunc {
	return func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		objects, err := list(ctx, options)
		if apierrors.IsNotFound(err) {
			return empty.DeepCopyObject(), nil
		}
		return objects, err
	}
}
