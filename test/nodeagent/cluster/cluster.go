// Package cluster holds the node agent's view of the control plane: clients,
// shared informers, and the questions that several roles ask of them.
package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/test/nodeagent/faults"
)

const (
	podsByNode = "node"
	podsByVMI  = "vmi"
	vmisByNode = "node"
)

var kubevirtScheme = newKubevirtScheme()

func newKubevirtScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(scheme.AddToScheme(s))
	utilruntime.Must(kubevirtv1.AddToScheme(s))
	return s
}

// Cluster gives read access through caches and write access through clients.
type Cluster struct {
	// Kube acts as the agent: nodes, pods, volumes, events.
	Kube kubernetes.Interface
	// KubeVirt acts as a KubeVirt ServiceAccount. KubeVirt's webhook silently
	// reverts the status that any other identity writes to a machine.
	KubeVirt rest.Interface
	// Factory holds the informers of the built-in types.
	Factory informers.SharedInformerFactory
	// VMIs and ConfigMaps are informers outside the factory.
	VMIs       cache.SharedIndexInformer
	ConfigMaps cache.SharedIndexInformer
	// Recorder writes events in the name of the stand-ins.
	Recorder record.EventRecorder

	broadcaster record.EventBroadcaster
}

// New builds the clients and informers from two configurations: the agent's
// own, and one of a KubeVirt ServiceAccount.
func New(agent, kubevirt *rest.Config) (*Cluster, error) {
	kube, err := kubernetes.NewForConfig(agent)
	if err != nil {
		return nil, fmt.Errorf("building the Kubernetes client: %w", err)
	}
	config := rest.CopyConfig(kubevirt)
	version := kubevirtv1.GroupVersion
	config.GroupVersion = &version
	config.APIPath = "/apis"
	config.ContentType = runtime.ContentTypeJSON
	config.AcceptContentTypes = runtime.ContentTypeJSON
	config.NegotiatedSerializer = serializer.NewCodecFactory(kubevirtScheme).WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("building the KubeVirt client: %w", err)
	}
	broadcaster := record.NewBroadcaster()
	c := &Cluster{
		Kube:        kube,
		KubeVirt:    client,
		Factory:     informers.NewSharedInformerFactory(kube, 0),
		broadcaster: broadcaster,
		Recorder:    broadcaster.NewRecorder(kubevirtScheme, corev1.EventSource{Component: "node-agent"}),
	}
	if err := c.addInformers(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Cluster) addInformers() error {
	c.VMIs = cache.NewSharedIndexInformer(
		cache.NewListWatchFromClient(c.KubeVirt, "virtualmachineinstances", metav1.NamespaceAll, fields.Everything()),
		&kubevirtv1.VirtualMachineInstance{}, 0,
		cache.Indexers{vmisByNode: func(object any) ([]string, error) {
			vmi, ok := object.(*kubevirtv1.VirtualMachineInstance)
			if !ok || vmi.Status.NodeName == "" {
				return nil, nil
			}
			return []string{vmi.Status.NodeName}, nil
		}})
	c.ConfigMaps = cache.NewSharedIndexInformer(
		cache.NewListWatchFromClient(c.Kube.CoreV1().RESTClient(), "configmaps", metav1.NamespaceAll,
			fields.OneTermEqualSelector("metadata.name", faults.ConfigMapName)),
		&corev1.ConfigMap{}, 0, cache.Indexers{})
	err := c.Factory.Core().V1().Pods().Informer().AddIndexers(cache.Indexers{
		podsByNode: func(object any) ([]string, error) {
			if pod, ok := object.(*corev1.Pod); ok && pod.Spec.NodeName != "" {
				return []string{pod.Spec.NodeName}, nil
			}
			return nil, nil
		},
		podsByVMI: func(object any) ([]string, error) {
			pod, ok := object.(*corev1.Pod)
			if !ok || pod.Labels[kubevirtv1.AppLabel] != "virt-launcher" {
				return nil, nil
			}
			return []string{pod.Labels[kubevirtv1.CreatedByLabel]}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("indexing pods: %w", err)
	}
	return nil
}

// Run starts the informers and the event writer and returns when the context
// has ended. Handlers must have been added before.
func (c *Cluster) Run(ctx context.Context) {
	c.broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: c.Kube.CoreV1().Events("")})
	c.Factory.Start(ctx.Done())
	go c.ConfigMaps.RunWithContext(ctx)
	c.VMIs.RunWithContext(ctx)
	c.broadcaster.Shutdown()
	c.Factory.Shutdown()
}

// Sync waits until every cache is filled.
func (c *Cluster) Sync(ctx context.Context) error {
	for kind, ok := range c.Factory.WaitForCacheSync(ctx.Done()) {
		if !ok {
			return fmt.Errorf("the cache of %v was not filled: %w", kind, context.Cause(ctx))
		}
	}
	if !cache.WaitForCacheSync(ctx.Done(), c.VMIs.HasSynced, c.ConfigMaps.HasSynced) {
		return fmt.Errorf("the caches of machines and settings were not filled: %w", context.Cause(ctx))
	}
	return nil
}

// Node returns a cached node; nil if there is none.
func (c *Cluster) Node(name string) *corev1.Node {
	node, err := c.Factory.Core().V1().Nodes().Lister().Get(name)
	if err != nil {
		return nil
	}
	return node
}

// Pod returns a pod on a node that is served, nil if there is none.
func (c *Cluster) Pod(namespace, name string) *corev1.Pod {
	object, found, err := c.Factory.Core().V1().Pods().Informer().GetStore().GetByKey(namespace + "/" + name)
	if err != nil || !found || !c.Serves(object.(*corev1.Pod).Spec.NodeName) {
		return nil
	}
	return object.(*corev1.Pod)
}

// Serves tells whether the agent plays this node now: it is handed to the
// agent and not lost.
func (c *Cluster) Serves(name string) bool {
	node := c.Node(name)
	return node != nil && Managed(node) && !faults.NodeLost(node.Annotations)
}

// Managed tells whether a node is handed to the agent.
func Managed(node *corev1.Node) bool { return node.Labels[faults.ManagedLabel] == "true" }

// Faults returns the settings of a namespace.
func (c *Cluster) Faults(ctx context.Context, namespace string) faults.Settings {
	object, found, err := c.ConfigMaps.GetStore().GetByKey(namespace + "/" + faults.ConfigMapName)
	if err != nil || !found {
		return faults.Defaults()
	}
	settings, problems := faults.Parse(object.(*corev1.ConfigMap).Data)
	if len(problems) > 0 {
		klog.FromContext(ctx).Info("Ignoring unreadable fault settings", "namespace", namespace, "problems", strings.Join(problems, "; "))
	}
	return settings
}

// PodsOn returns the cached pods bound to a node.
func (c *Cluster) PodsOn(node string) []*corev1.Pod {
	return c.pods(podsByNode, node)
}

// Launchers returns the cached launcher pods of a machine.
func (c *Cluster) Launchers(vmi *kubevirtv1.VirtualMachineInstance) []*corev1.Pod {
	return c.pods(podsByVMI, string(vmi.UID))
}

func (c *Cluster) pods(index, value string) []*corev1.Pod {
	objects, err := c.Factory.Core().V1().Pods().Informer().GetIndexer().ByIndex(index, value)
	if err != nil {
		return nil
	}
	pods := make([]*corev1.Pod, 0, len(objects))
	for _, object := range objects {
		pods = append(pods, object.(*corev1.Pod))
	}
	return pods
}

// VMI returns a cached machine; nil if there is none.
func (c *Cluster) VMI(key string) *kubevirtv1.VirtualMachineInstance {
	object, found, err := c.VMIs.GetStore().GetByKey(key)
	if err != nil || !found {
		return nil
	}
	return object.(*kubevirtv1.VirtualMachineInstance)
}

// VMIOf returns the machine that a launcher pod belongs to; nil if it is gone
// or another machine of the same name took its place.
func (c *Cluster) VMIOf(pod *corev1.Pod) *kubevirtv1.VirtualMachineInstance {
	owner := metav1.GetControllerOf(pod)
	if owner == nil || owner.Kind != "VirtualMachineInstance" {
		return nil
	}
	vmi := c.VMI(pod.Namespace + "/" + owner.Name)
	if vmi == nil || vmi.UID != owner.UID {
		return nil
	}
	return vmi
}

// VMIsOn returns the cached machines of a node.
func (c *Cluster) VMIsOn(node string) []*kubevirtv1.VirtualMachineInstance {
	objects, err := c.VMIs.GetIndexer().ByIndex(vmisByNode, node)
	if err != nil {
		return nil
	}
	vmis := make([]*kubevirtv1.VirtualMachineInstance, 0, len(objects))
	for _, object := range objects {
		vmis = append(vmis, object.(*kubevirtv1.VirtualMachineInstance))
	}
	return vmis
}

// RequestTimeout bounds every single write to the control plane.
const RequestTimeout = 10 * time.Second
