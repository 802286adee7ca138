package simulation

import (
	"context"
	"encoding/json"
	"fmt"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/apiserver/scheme"
	"tensorstack.dev/virtualserver/pkg/generated/clientset/versioned"
	typed "tensorstack.dev/virtualserver/pkg/generated/clientset/versioned/typed/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/registry/tensorstack/virtualserver/storage"
)

// servers is the controller's client of VirtualServers. What would be HTTP goes to the registry by function calls.
type servers struct {
	// The interfaces let what the controller never calls panic.
	versioned.Interface
	typed.TensorstackV1beta1Interface
	gate     *gate
	feed     *feed
	registry *storage.Storage
}

type namespaced struct {
	typed.VirtualServerInterface
	*servers
	namespace string
}

// IsWatchListSemanticsUnSupported tells informers to list first and watch then.
func (s *servers) IsWatchListSemanticsUnSupported() bool { return true }

// TensorstackV1beta1 implements versioned.Interface.
func (s *servers) TensorstackV1beta1() typed.TensorstackV1beta1Interface { return s }

// VirtualServers implements typed.TensorstackV1beta1Interface.
func (s *servers) VirtualServers(namespace string) typed.VirtualServerInterface {
	return &namespaced{servers: s, namespace: namespace}
}

func (n *namespaced) context(ctx context.Context) context.Context {
	return genericapirequest.WithNamespace(ctx, n.namespace)
}

// List implements typed.VirtualServerInterface. Informers are not held up.
func (n *namespaced) List(ctx context.Context, _ metav1.ListOptions) (*v1beta1.VirtualServerList, error) {
	found, err := n.registry.VirtualServer.List(n.context(ctx), nil)
	if err != nil {
		return nil, err
	}
	list := found.(*tensorstack.VirtualServerList)
	external := &v1beta1.VirtualServerList{ListMeta: list.ListMeta}
	for i := range list.Items {
		external.Items = append(external.Items, *toExternal(&list.Items[i]))
	}
	return external, nil
}

// Watch implements typed.VirtualServerInterface.
func (n *namespaced) Watch(context.Context, metav1.ListOptions) (watch.Interface, error) {
	return n.feed.watch(), nil
}

// Get implements typed.VirtualServerInterface.
func (n *namespaced) Get(ctx context.Context, name string, options metav1.GetOptions) (*v1beta1.VirtualServer, error) {
	return n.ask(ctx, "get VirtualServer", func(ctx context.Context) (runtime.Object, error) {
		return n.registry.VirtualServer.Get(ctx, name, &options)
	})
}

// UpdateStatus implements typed.VirtualServerInterface.
func (n *namespaced) UpdateStatus(ctx context.Context, vs *v1beta1.VirtualServer, options metav1.UpdateOptions) (
	*v1beta1.VirtualServer, error) {
	return n.ask(ctx, "update status of VirtualServer", func(ctx context.Context) (runtime.Object, error) {
		updated, _, err := n.registry.Status.Update(ctx, vs.Name, rest.DefaultUpdatedObjectInfo(toInternal(vs)),
			rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &options)
		return updated, err
	})
}

// Patch implements typed.VirtualServerInterface for merge patches.
func (n *namespaced) Patch(ctx context.Context, name string, kind types.PatchType, patch []byte, _ metav1.PatchOptions,
	_ ...string) (*v1beta1.VirtualServer, error) {
	if kind != types.MergePatchType {
		return nil, fmt.Errorf("the patch type %s is not simulated", kind)
	}
	change := func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		before, err := json.Marshal(toExternal(old.(*tensorstack.VirtualServer)))
		if err != nil {
			return nil, err
		}
		after, err := jsonpatch.MergePatch(before, patch)
		if err != nil {
			return nil, err
		}
		patched := &v1beta1.VirtualServer{}
		if err := json.Unmarshal(after, patched); err != nil {
			return nil, err
		}
		return toInternal(patched), nil
	}
	return n.ask(ctx, "patch VirtualServer", func(ctx context.Context) (runtime.Object, error) {
		updated, _, err := n.registry.VirtualServer.Update(ctx, name, rest.DefaultUpdatedObjectInfo(nil, change),
			rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
		return updated, err
	})
}

func (n *namespaced) ask(ctx context.Context, name string, do func(context.Context) (runtime.Object, error)) (
	*v1beta1.VirtualServer, error) {
	var answer *v1beta1.VirtualServer
	err := n.gate.through(ctx, name, func() error {
		found, err := do(n.context(context.WithoutCancel(ctx)))
		if err == nil {
			answer = toExternal(found.(*tensorstack.VirtualServer))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

func toExternal(vs *tensorstack.VirtualServer) *v1beta1.VirtualServer {
	external := &v1beta1.VirtualServer{}
	mustConvert(vs.DeepCopy(), external)
	return external
}

func toInternal(vs *v1beta1.VirtualServer) *tensorstack.VirtualServer {
	internal := &tensorstack.VirtualServer{}
	mustConvert(vs.DeepCopy(), internal)
	return internal
}

// mustConvert panics on what only a programming error can cause.
func mustConvert(from, to any) {
	if err := scheme.Scheme.Convert(from, to, nil); err != nil {
		panic(err)
	}
}
