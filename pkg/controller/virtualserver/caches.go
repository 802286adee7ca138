package virtualserver

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/informers/internalinterfaces"
	storageinformers "k8s.io/client-go/informers/storage/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	generatedinformers "tensorstack.dev/virtualserver/pkg/generated/informers/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/kubevirt"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// KubeVirt reads and writes the objects of KubeVirt and CDI.
type KubeVirt interface {
	kubevirt.Machines
	kubevirt.DataVolumes
	kubevirt.InstanceReader
	MachineInformer(labels.Selector, cache.Indexers) cache.SharedIndexInformer
	InstanceInformer(labels.Selector, cache.Indexers) cache.SharedIndexInformer
	DataVolumeInformer(labels.Selector, cache.Indexers) cache.SharedIndexInformer
}

// Indexes of the caches.
const (
	// byMachine finds VirtualServers by namespace and name of their machine, "namespace/name".
	byMachine = "machine"
	// byServerName finds machines and disks by namespace and name of the VirtualServer that made them.
	byServerName = "serverName"
	// byUID finds claims by their UID.
	byUID = "uid"
	// byOwner finds pods by namespace and name of what controls them: a VirtualMachineInstance or a claim.
	byOwner = "owner"
	// byNode finds VirtualMachineInstances by their node.
	byNode = "node"
)

// primePrefix and the UID of a claim make the name of the helper claim that CDI imports into before it rebinds the volume.
const primePrefix = "prime-"

// importerLabel is the label that CDI puts on every pod of its own.
const importerLabel = "app=containerized-data-importer"

// syncReport is the time between two log lines that name the caches which are not filled.
const syncReport = 30 * time.Second

// caches holds all objects that the controller looks at. Of KubeVirt's, CDI's and the cluster's objects they hold only
// those with our label, except for importer pods, Nodes, StorageClasses and Namespaces.
type caches struct {
	servers, machines, instances, volumes, claims, services, secrets cache.SharedIndexInformer
	launchers, importers, nodes, classes, namespaces                 cache.SharedIndexInformer
	// buried are launcher pods that are gone.
	buried buried
	// handlers say when everything that the caches are filled with has been put into the queue.
	handlers []cache.ResourceEventHandlerRegistration
}

func newCaches(clients Clients) *caches {
	// A Requirement on a constant key cannot be invalid.
	owned, _ := labels.NewRequirement(translate.LabelUID, selection.Exists, nil)
	ours := labels.NewSelector().Add(*owned)
	named := cache.Indexers{byServerName: indexByServerName}
	return &caches{
		servers: generatedinformers.NewVirtualServerInformer(clients.VirtualServers, metav1.NamespaceAll, 0,
			cache.Indexers{byMachine: indexByMachine}),
		machines:  clients.KubeVirt.MachineInformer(ours, named),
		instances: clients.KubeVirt.InstanceInformer(ours, cache.Indexers{byNode: indexByNode}),
		volumes:   clients.KubeVirt.DataVolumeInformer(ours, named),
		claims: coreinformers.NewFilteredPersistentVolumeClaimInformer(clients.Kubernetes, metav1.NamespaceAll, 0,
			cache.Indexers{byUID: indexByUID}, selected(ours.String())),
		services: coreinformers.NewFilteredServiceInformer(clients.Kubernetes, metav1.NamespaceAll, 0,
			cache.Indexers{}, selected(ours.String())),
		secrets: coreinformers.NewFilteredSecretInformer(clients.Kubernetes, metav1.NamespaceAll, 0,
			cache.Indexers{}, selected(ours.String())),
		launchers:  pods(clients.Kubernetes, ours.String()),
		importers:  pods(clients.Kubernetes, importerLabel),
		nodes:      coreinformers.NewNodeInformer(clients.Kubernetes, 0, cache.Indexers{}),
		classes:    storageinformers.NewStorageClassInformer(clients.Kubernetes, 0, cache.Indexers{}),
		namespaces: coreinformers.NewNamespaceInformer(clients.Kubernetes, 0, cache.Indexers{}),
	}
}

func pods(client kubernetes.Interface, selector string) cache.SharedIndexInformer {
	return coreinformers.NewFilteredPodInformer(client, metav1.NamespaceAll, 0,
		cache.Indexers{byOwner: indexByOwner}, selected(selector))
}

func selected(selector string) internalinterfaces.TweakListOptionsFunc {
	return func(options *metav1.ListOptions) { options.LabelSelector = selector }
}

// namedInformer is an informer and what it holds, for people.
type namedInformer struct {
	name     string
	informer cache.SharedIndexInformer
}

func (c *caches) all() []namedInformer {
	return []namedInformer{
		{"VirtualServers", c.servers}, {"VirtualMachines", c.machines}, {"VirtualMachineInstances", c.instances},
		{"DataVolumes", c.volumes}, {"PersistentVolumeClaims", c.claims}, {"Services", c.services},
		{"Secrets", c.secrets}, {"launcher Pods", c.launchers}, {"importer Pods", c.importers}, {"Nodes", c.nodes},
		{"StorageClasses", c.classes}, {"Namespaces", c.namespaces},
	}
}

// waitForSync waits until all caches are filled and all that is in them has been put into the queue, where each
// VirtualServer then stands once for all of its objects. It names those that are not every now and then: a
// right may be missing. It returns false if ctx ended first.
func (c *caches) waitForSync(ctx context.Context) bool {
	for {
		var missing []string
		var synced []cache.DoneChecker
		for _, named := range c.all() {
			synced = append(synced, named.informer.HasSyncedChecker())
		}
		for _, handler := range c.handlers {
			synced = append(synced, handler.HasSyncedChecker())
		}
		deadline, cancel := context.WithTimeout(ctx, syncReport)
		done := cache.WaitFor(deadline, "", synced...)
		cancel()
		if done || ctx.Err() != nil {
			return done
		}
		for _, named := range c.all() {
			if !named.informer.HasSynced() {
				missing = append(missing, named.name)
			}
		}
		klog.FromContext(ctx).Info("Waiting for objects that cannot be listed; has the account the rights of the ClusterRole?",
			"missing", strings.Join(missing, ", "))
	}
}

func indexByMachine(object any) ([]string, error) {
	vs, ok := object.(*v1beta1.VirtualServer)
	if !ok || vs.Status.VM.Name == "" {
		return nil, nil
	}
	return []string{vs.Namespace + "/" + vs.Status.VM.Name}, nil
}

func indexByServerName(object any) ([]string, error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return nil, err
	}
	name := accessor.GetAnnotations()[translate.AnnotationName]
	if name == "" {
		return nil, nil
	}
	return []string{accessor.GetNamespace() + "/" + name}, nil
}

func indexByUID(object any) ([]string, error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return nil, err
	}
	return []string{string(accessor.GetUID())}, nil
}

func indexByOwner(object any) ([]string, error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return nil, err
	}
	owner := metav1.GetControllerOf(accessor)
	if owner == nil {
		return nil, nil
	}
	return []string{accessor.GetNamespace() + "/" + owner.Name}, nil
}

func indexByNode(object any) ([]string, error) {
	vmi, ok := object.(*kubevirtv1.VirtualMachineInstance)
	if !ok || vmi.Status.NodeName == "" {
		return nil, nil
	}
	return []string{vmi.Status.NodeName}, nil
}

// lookup returns the object of that name from a cache, or nil. The caller must not change it.
func lookup[T any](informer cache.SharedIndexInformer, namespace, name string) *T {
	if name == "" {
		return nil
	}
	object, found, err := informer.GetIndexer().GetByKey(cache.ObjectName{Namespace: namespace, Name: name}.String())
	if err != nil || !found {
		return nil
	}
	typed, ok := object.(*T)
	if !ok {
		return nil
	}
	return typed
}

// indexed returns the objects that an index holds under a value.
func indexed[T any](informer cache.SharedIndexInformer, index, value string) []*T {
	objects, err := informer.GetIndexer().ByIndex(index, value)
	if err != nil {
		return nil
	}
	var typed []*T
	for _, object := range objects {
		if t, ok := object.(*T); ok {
			typed = append(typed, t)
		}
	}
	return typed
}

func (c *caches) server(namespace, name string) *v1beta1.VirtualServer {
	return lookup[v1beta1.VirtualServer](c.servers, namespace, name)
}

func (c *caches) machine(namespace, name string) *kubevirtv1.VirtualMachine {
	return lookup[kubevirtv1.VirtualMachine](c.machines, namespace, name)
}

func (c *caches) instance(namespace, name string) *kubevirtv1.VirtualMachineInstance {
	return lookup[kubevirtv1.VirtualMachineInstance](c.instances, namespace, name)
}

func (c *caches) volume(namespace, name string) *cdiv1.DataVolume {
	return lookup[cdiv1.DataVolume](c.volumes, namespace, name)
}

func (c *caches) claim(namespace, name string) *corev1.PersistentVolumeClaim {
	return lookup[corev1.PersistentVolumeClaim](c.claims, namespace, name)
}

func (c *caches) service(namespace, name string) *corev1.Service {
	return lookup[corev1.Service](c.services, namespace, name)
}

func (c *caches) secret(namespace, name string) *corev1.Secret {
	return lookup[corev1.Secret](c.secrets, namespace, name)
}

func (c *caches) node(name string) *corev1.Node {
	return lookup[corev1.Node](c.nodes, "", name)
}

func (c *caches) namespace(name string) *corev1.Namespace {
	return lookup[corev1.Namespace](c.namespaces, "", name)
}

func (c *caches) storageClass(name string) *storagev1.StorageClass {
	return lookup[storagev1.StorageClass](c.classes, "", name)
}

// hasDefaultClass says whether claims without a StorageClass get one.
func (c *caches) hasDefaultClass() bool {
	for _, object := range c.classes.GetStore().List() {
		if class, ok := object.(*storagev1.StorageClass); ok && translate.IsDefaultClass(class.Annotations) {
			return true
		}
	}
	return false
}

// importerPod returns the newest pod that fills the claim, or a helper claim that CDI made for it.
func (c *caches) importerPod(namespace, name string, claim *corev1.PersistentVolumeClaim) *corev1.Pod {
	owners := []string{namespace + "/" + name}
	if claim != nil {
		owners = append(owners, fmt.Sprintf("%s/%s%s", namespace, primePrefix, claim.UID))
	}
	var newest *corev1.Pod
	for _, owner := range owners {
		for _, pod := range indexed[corev1.Pod](c.importers, byOwner, owner) {
			newest = newer(newest, pod)
		}
	}
	return newest
}

func newer(a, b *corev1.Pod) *corev1.Pod {
	if a == nil || a.CreationTimestamp.Before(&b.CreationTimestamp) {
		return b
	}
	return a
}

// stripped drops what the controller never reads, to save memory. It never touches anything that is written back.
func stripped(object any) (any, error) {
	if typed, ok := object.(runtime.Object); ok {
		if accessor, err := meta.Accessor(typed); err == nil {
			accessor.SetManagedFields(nil)
		}
	}
	return object, nil
}
