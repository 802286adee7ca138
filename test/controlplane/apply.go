package controlplane

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

const (
	fieldManager = "virtualserver-controlplane"
	// applyParallelism keeps kube-apiserver busy without queueing behind its own limits.
	applyParallelism = 8
	// applyPatience bounds each apply. On a machine that compiles at the same time, one of
	// KubeVirt's large CRDs alone can take 15 s.
	applyPatience = 90 * time.Second
)

// applier puts manifests into the cluster with server-side apply.
type applier struct {
	client    dynamic.Interface
	discovery discovery.DiscoveryInterface
	mapper    *restmapper.DeferredDiscoveryRESTMapper
}

func newApplier(config *rest.Config) (*applier, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	discoveryClient, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(discoveryClient))
	return &applier{client: client, discovery: discoveryClient, mapper: mapper}, nil
}

// apply puts the objects in order of need: objects of one rank at the same time, and
// CustomResourceDefinitions waited for until they are served.
func (a *applier) apply(ctx context.Context, objects []*unstructured.Unstructured) error {
	sortForApply(objects)
	for start := 0; start < len(objects); {
		rank := applyOrder(objects[start].GetKind())
		end := start
		group, groupCtx := errgroup.WithContext(ctx)
		group.SetLimit(applyParallelism)
		for ; end < len(objects) && applyOrder(objects[end].GetKind()) == rank; end++ {
			object := objects[end]
			group.Go(func() error { return a.applyOne(groupCtx, object) })
		}
		if err := group.Wait(); err != nil {
			return err
		}
		start = end
	}
	return nil
}

func (a *applier) applyOne(ctx context.Context, object *unstructured.Unstructured) error {
	what := fmt.Sprintf("%s %s", object.GetKind(), object.GetName())
	client, err := a.clientFor(ctx, object)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	options := metav1.ApplyOptions{FieldManager: fieldManager, Force: true}
	status, hasStatus := object.Object["status"]
	if object.GetKind() == kindCRD || object.GetKind() == kindAPIService {
		hasStatus = false
	}
	applied := object.DeepCopy()
	delete(applied.Object, "status")
	unstructured.RemoveNestedField(applied.Object, "metadata", "creationTimestamp")
	if err := a.retry(ctx, func(ctx context.Context) error {
		_, err := client.Apply(ctx, object.GetName(), applied, options)
		return err
	}); err != nil {
		return fmt.Errorf("apply %s: %w", what, err)
	}
	if object.GetKind() == kindCRD {
		if err := a.waitServed(ctx, object); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	if hasStatus {
		return a.applyStatus(ctx, client, object, status)
	}
	return nil
}

// applyStatus sets a status that the real operator would have written.
func (a *applier) applyStatus(ctx context.Context, client dynamic.ResourceInterface, object *unstructured.Unstructured, status any) error {
	applied := &unstructured.Unstructured{Object: map[string]any{"status": status}}
	applied.SetAPIVersion(object.GetAPIVersion())
	applied.SetKind(object.GetKind())
	applied.SetName(object.GetName())
	applied.SetNamespace(object.GetNamespace())
	_, err := client.ApplyStatus(ctx, object.GetName(), applied, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	if err != nil {
		return fmt.Errorf("apply status of %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return nil
}

// clientFor finds the resource of an object's kind. A kind that is not there yet may come
// from a CustomResourceDefinition applied a moment ago.
func (a *applier) clientFor(ctx context.Context, object *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	kind := object.GroupVersionKind()
	var mapping *meta.RESTMapping
	err := a.retry(ctx, func(context.Context) error {
		var err error
		mapping, err = a.mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if meta.IsNoMatchError(err) {
			a.mapper.Reset()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return a.client.Resource(mapping.Resource), nil
	}
	namespace := object.GetNamespace()
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	return a.client.Resource(mapping.Resource).Namespace(namespace), nil
}

// retry repeats what fails only because the cluster is young: a kind just established
// answers 404 for a moment, a webhook's server may be starting.
func (a *applier) retry(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, applyPatience)
	defer cancel()
	var permanent error
	err := waitFor(ctx, 100*time.Millisecond, func(ctx context.Context) error {
		err := call(ctx)
		if err == nil || meta.IsNoMatchError(err) || apierrors.IsNotFound(err) || apierrors.IsInternalError(err) ||
			apierrors.IsServiceUnavailable(err) || apierrors.IsTooManyRequests(err) || apierrors.IsConflict(err) {
			return err
		}
		permanent = err
		return nil
	})
	if permanent != nil {
		return permanent
	}
	return err
}

// waitServed waits until discovery has the resource of a CustomResourceDefinition in every
// version. To read the CRD itself until it is Established would say the same, but each read
// of KubeVirt's largest costs kube-apiserver half a megabyte of decoding.
func (a *applier) waitServed(ctx context.Context, crd *unstructured.Unstructured) error {
	group, _, err := unstructured.NestedString(crd.Object, "spec", "group")
	if err != nil {
		return err
	}
	plural, _, err := unstructured.NestedString(crd.Object, "spec", "names", "plural")
	if err != nil {
		return err
	}
	versions, _, err := unstructured.NestedSlice(crd.Object, "spec", "versions")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, applyPatience)
	defer cancel()
	for _, item := range versions {
		version, _ := item.(map[string]any)
		if version["served"] != true {
			continue
		}
		err := waitFor(ctx, 4*probeInterval, func(context.Context) error {
			return a.serves(fmt.Sprintf("%s/%v", group, version["name"]), plural)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// serves reports an error unless discovery has the resource.
func (a *applier) serves(groupVersion, plural string) error {
	list, err := a.discovery.ServerResourcesForGroupVersion(groupVersion)
	if err != nil {
		return err
	}
	for _, resource := range list.APIResources {
		if resource.Name == plural {
			return nil
		}
	}
	return fmt.Errorf("%s does not serve %s yet", groupVersion, plural)
}

// conditionTrue reports an error unless the object's condition is True.
func conditionTrue(object *unstructured.Unstructured, conditionType string) error {
	conditions, _, err := unstructured.NestedSlice(object.Object, "status", "conditions")
	if err != nil {
		return err
	}
	for _, item := range conditions {
		condition, _ := item.(map[string]any)
		if condition["type"] != conditionType {
			continue
		}
		if condition["status"] == "True" {
			return nil
		}
		return fmt.Errorf("%s %s is not %s: %v", object.GetKind(), object.GetName(), conditionType, condition["message"])
	}
	return fmt.Errorf("%s %s has no condition %s yet", object.GetKind(), object.GetName(), conditionType)
}

func encodeBase64(data []byte) string { return base64.StdEncoding.EncodeToString(data) }
