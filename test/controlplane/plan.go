package controlplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// steps is the plan of the start: what needs what.
func (c *ControlPlane) steps() []step {
	var kubevirt, cdi stack
	const (
		printKubevirt = "KubeVirt manifests"
		printCDI      = "CDI manifests"
		storage       = "storage classes"
		namespace     = "default ServiceAccount"
	)
	steps := []step{
		{name: printKubevirt, run: func(ctx context.Context) error {
			objects, err := c.kubevirtManifests(ctx)
			kubevirt.objects, kubevirt.registrations = splitRegistrations(objects)
			return err
		}},
		{name: printCDI, run: func(ctx context.Context) error {
			objects, err := c.cdiManifests(ctx)
			cdi.objects, cdi.registrations = splitRegistrations(objects)
			return err
		}},
		{name: Etcd, run: c.runs(func(context.Context) (component, error) { return c.etcd() })},
		// kube-apiserver waits for etcd by itself, so both may start at once.
		{name: KubeAPIServer, run: c.runs(func(context.Context) (component, error) { return c.kubeAPIServer() })},
		{name: KubeControllerManager, after: []string{KubeAPIServer},
			run: c.runs(func(context.Context) (component, error) { return c.kubeControllerManager() })},
		{name: KubeScheduler, after: []string{KubeAPIServer},
			run: c.runs(func(context.Context) (component, error) { return c.kubeScheduler() })},
		{name: storage, after: []string{KubeAPIServer}, run: func(ctx context.Context) error {
			return c.Apply(ctx, c.storage())
		}},
		{name: "KubeVirt objects", after: []string{KubeAPIServer, printKubevirt}, run: func(ctx context.Context) error {
			return c.applyTimed(ctx, "KubeVirt objects", kubevirt.objects)
		}},
		{name: "CDI objects", after: []string{KubeAPIServer, printCDI}, run: func(ctx context.Context) error {
			return c.applyTimed(ctx, "CDI objects", cdi.objects)
		}},
		// KubeVirt ends and starts again when CDI's CRDs appear later, so it waits for them.
		{name: VirtAPI, after: []string{"KubeVirt objects", "CDI objects"}, run: c.runs(c.virtAPI)},
		{name: VirtController, after: []string{"KubeVirt objects", "CDI objects"}, run: c.runs(c.virtController)},
		{name: CDIAPIServer, after: []string{"CDI objects"}, run: c.runs(c.cdiAPIServer)},
		{name: CDIController, after: []string{CDIAPIServer, storage}, run: c.runs(c.cdiController)},
		{name: "KubeVirt registrations", after: []string{VirtAPI}, run: func(ctx context.Context) error {
			return c.applier.apply(ctx, kubevirt.registrations)
		}},
		{name: "CDI registrations", after: []string{CDIAPIServer}, run: func(ctx context.Context) error {
			return c.applier.apply(ctx, cdi.registrations)
		}},
		{name: namespace, after: []string{KubeControllerManager}, run: c.waitDefaultServiceAccount},
	}
	ready := []string{"KubeVirt registrations", "CDI registrations", namespace}
	if c.real() {
		steps = append(append(steps, c.labSteps()...), c.csiSteps()...)
		ready = append(ready, "virt-handler", NodeVolumes, CSIProvisioner, CSISnapshotter, SnapshotController)
	} else if !c.options.WithoutNodeAgent {
		steps = append(steps, step{
			name: NodeAgent, after: []string{"KubeVirt objects", "CDI objects", storage}, run: c.runs(c.nodeAgent),
		})
	}
	if !c.options.WithoutProduct {
		var product stack
		steps = append(steps,
			step{name: "product objects", after: []string{KubeAPIServer}, run: func(ctx context.Context) (err error) {
				if product.objects, product.registrations, err = c.productManifests(); err != nil {
					return err
				}
				return c.applyTimed(ctx, "product objects", product.objects)
			}},
			step{name: Product, after: append([]string{"product objects"}, ready...), run: c.runs(c.product)},
			step{name: "product registrations", after: []string{Product}, run: func(ctx context.Context) error {
				return c.applier.apply(ctx, product.registrations)
			}},
		)
		ready = append(ready, "product registrations")
	}
	return append(steps, step{name: "aggregated APIs", after: ready, run: c.waitAPIServices})
}

// stack is the manifests of one product: what its server needs, and what makes
// kube-apiserver call it.
type stack struct {
	objects, registrations []*unstructured.Unstructured
}

// runs makes a step of a component that is described when its turn comes.
func (c *ControlPlane) runs(describe func(context.Context) (component, error)) func(context.Context) error {
	return func(ctx context.Context) error {
		component, err := describe(ctx)
		if err != nil {
			return err
		}
		return c.startComponent(ctx, component)
	}
}

func (c *ControlPlane) applyTimed(ctx context.Context, what string, objects []*unstructured.Unstructured) error {
	begin := time.Now()
	if err := c.applier.apply(ctx, objects); err != nil {
		return err
	}
	c.report("%-26s applied in %4.1f s (%d objects)", what, time.Since(begin).Seconds(), len(objects))
	return nil
}

// waitDefaultServiceAccount waits for what kube-controller-manager makes in each
// namespace: without it no launcher pod is admitted.
func (c *ControlPlane) waitDefaultServiceAccount(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, namespace := range []string{metav1.NamespaceDefault, kubevirtNamespace, cdiNamespace} {
		group.Go(func() error {
			return waitFor(ctx, probeInterval, func(ctx context.Context) error {
				_, err := c.client.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
				return err
			})
		})
	}
	return group.Wait()
}

// productDocumented says whether "kubectl explain" knows the product.
func (c *ControlPlane) productDocumented(ctx context.Context) error {
	index, err := c.client.Discovery().RESTClient().Get().AbsPath("/openapi/v3").DoRaw(ctx)
	if err == nil && !bytes.Contains(index, []byte("apis/"+v1beta1.SchemeGroupVersion.String())) {
		return errors.New("OpenAPI lacks the product")
	}
	return err
}

// waitAPIServices waits until the aggregator reaches every server behind it.
func (c *ControlPlane) waitAPIServices(ctx context.Context) error {
	begin := time.Now()
	resource := schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
	err := waitFor(ctx, 2*probeInterval, func(ctx context.Context) error {
		list, err := c.dynamic.Resource(resource).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for i := range list.Items {
			if err := conditionTrue(&list.Items[i], "Available"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("not all APIServices are available: %w", err)
	}
	if !c.options.WithoutProduct {
		// The aggregator reads the documents of a server some time after it finds it.
		if err := waitFor(ctx, 2*probeInterval, c.productDocumented); err != nil {
			return err
		}
	}
	c.report("%-26s ready in %4.1f s", "aggregated APIs", time.Since(begin).Seconds())
	return nil
}
