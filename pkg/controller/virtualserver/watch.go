package virtualserver

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// watch makes every change of an object put the VirtualServers that it concerns into the queue. It is called before the
// informers start. ended is called with an instance that has ended, before its VirtualServer is enqueued.
func (c *caches) watch(enqueue func(cache.ObjectName), ended func(*kubevirtv1.VirtualMachineInstance)) error {
	// All objects behind a VirtualServer have the name of its machine.
	byOwnName := func(object metav1.Object) {
		servers := c.serversOf(object.GetNamespace(), object.GetName())
		// The machine may not be recorded in our cache yet, or be about to be adopted.
		named := cache.ObjectName{Namespace: object.GetNamespace(), Name: object.GetAnnotations()[translate.AnnotationName]}
		// Twice would most often be one pass too many.
		if named.Name != "" && !slices.Contains(servers, named) {
			servers = append(servers, named)
		}
		// The copies that a run writes to have names of their own.
		for _, server := range c.serversOf(object.GetNamespace(), object.GetLabels()[translate.LabelMachine]) {
			if !slices.Contains(servers, server) {
				servers = append(servers, server)
			}
		}
		for _, server := range servers {
			enqueue(server)
		}
	}
	byPodOwner := func(object metav1.Object) { c.enqueuePodOwner(enqueue, object) }
	handlers := map[cache.SharedIndexInformer]cache.ResourceEventHandler{
		c.servers: handle(func(object metav1.Object) {
			enqueue(cache.ObjectName{Namespace: object.GetNamespace(), Name: object.GetName()})
		}),
		c.machines: handle(byOwnName),
		c.instances: handle(func(object metav1.Object) {
			if vmi, ok := object.(*kubevirtv1.VirtualMachineInstance); ok && vmi.IsFinal() {
				ended(vmi)
			}
			byOwnName(object)
		}),
		c.volumes:   handle(byOwnName),
		c.claims:    handle(byOwnName),
		c.services:  handle(byOwnName),
		c.secrets:   handle(byOwnName),
		c.launchers: withDelete(handle(byPodOwner), c.bury),
		c.importers: handle(byPodOwner),
		c.nodes:     c.handleNodes(enqueue),
		c.classes:   handle(func(metav1.Object) { c.enqueueNotImported(enqueue) }),
		// A VirtualServer that is not at home is looked at again, and moves away by itself.
		c.namespaces: handle(func(metav1.Object) {}),
	}
	for _, named := range c.all() {
		if err := named.informer.SetTransform(stripped); err != nil {
			return fmt.Errorf("set the transform of %s: %w", named.name, err)
		}
		handler, err := named.informer.AddEventHandler(handlers[named.informer])
		if err != nil {
			return fmt.Errorf("watch %s: %w", named.name, err)
		}
		c.handlers = append(c.handlers, handler)
	}
	return nil
}

// handle calls do for each object that was added, changed or deleted.
func handle(do func(metav1.Object)) cache.ResourceEventHandler {
	call := func(object any) {
		if deleted, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = deleted.Obj
		}
		if accessor, err := meta.Accessor(object); err == nil {
			do(accessor)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    call,
		UpdateFunc: func(_, object any) { call(object) },
		DeleteFunc: call,
	}
}

// withDelete calls do with each object that was deleted, as it was seen last, before the handler.
func withDelete(handler cache.ResourceEventHandler, do func(*corev1.Pod)) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerDetailedFuncs{
		AddFunc:    handler.OnAdd,
		UpdateFunc: handler.OnUpdate,
		DeleteFunc: func(object any) {
			last := object
			if deleted, ok := object.(cache.DeletedFinalStateUnknown); ok {
				last = deleted.Obj
			}
			if pod, ok := last.(*corev1.Pod); ok {
				do(pod)
			}
			handler.OnDelete(object)
		},
	}
}

// serversOf returns the VirtualServers whose machine has the name.
func (c *caches) serversOf(namespace, machine string) []cache.ObjectName {
	var servers []cache.ObjectName
	for _, vs := range indexed[v1beta1.VirtualServer](c.servers, byMachine, namespace+"/"+machine) {
		servers = append(servers, cache.ObjectName{Namespace: vs.Namespace, Name: vs.Name})
	}
	return servers
}

func (c *caches) enqueueMachine(enqueue func(cache.ObjectName), namespace, name string) {
	for _, server := range c.serversOf(namespace, name) {
		enqueue(server)
	}
}

func (c *caches) enqueuePodOwner(enqueue func(cache.ObjectName), pod metav1.Object) {
	owner := metav1.GetControllerOf(pod)
	if owner == nil {
		return
	}
	name := owner.Name
	if uid, isHelper := strings.CutPrefix(name, primePrefix); isHelper {
		for _, claim := range indexed[corev1.PersistentVolumeClaim](c.claims, byUID, uid) {
			name = claim.Name
		}
	}
	c.enqueueMachine(enqueue, pod.GetNamespace(), name)
}

// enqueueNotImported enqueues all VirtualServers whose root disk may wait for a StorageClass.
func (c *caches) enqueueNotImported(enqueue func(cache.ObjectName)) {
	for _, object := range c.servers.GetStore().List() {
		vs, ok := object.(*v1beta1.VirtualServer)
		if ok && !meta.IsStatusConditionTrue(vs.Status.Conditions, v1beta1.ConditionDataImported) {
			enqueue(cache.ObjectName{Namespace: vs.Namespace, Name: vs.Name})
		}
	}
}

// handleNodes looks only at what tells a node that works from one that does not. Nodes are written every few seconds.
func (c *caches) handleNodes(enqueue func(cache.ObjectName)) cache.ResourceEventHandler {
	all := func(node metav1.Object) {
		for _, vmi := range indexed[kubevirtv1.VirtualMachineInstance](c.instances, byNode, node.GetName()) {
			c.enqueueMachine(enqueue, vmi.Namespace, vmi.Name)
		}
	}
	handler, _ := handle(all).(cache.ResourceEventHandlerFuncs)
	handler.UpdateFunc = func(before, after any) {
		old, ok := before.(*corev1.Node)
		node, isNode := after.(*corev1.Node)
		if ok && isNode && healthOf(old) != healthOf(node) {
			all(node)
		}
	}
	return handler
}

// nodeHealth is what the status of a machine takes from its node.
type nodeHealth struct {
	uid         types.UID
	ready       corev1.ConditionStatus
	reason      string
	schedulable string
	// heartbeat counts only while KubeVirt does not use the node.
	heartbeat     string
	unschedulable bool
}

func healthOf(node *corev1.Node) nodeHealth {
	health := nodeHealth{
		uid:           node.UID,
		schedulable:   node.Labels[kubevirtv1.NodeSchedulable],
		unschedulable: node.Spec.Unschedulable,
	}
	if health.schedulable == "false" {
		health.heartbeat = node.Annotations[kubevirtv1.VirtHandlerHeartbeat]
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			health.ready, health.reason = condition.Status, condition.Reason
		}
	}
	return health
}
