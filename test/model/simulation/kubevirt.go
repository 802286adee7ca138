package simulation

import (
	"context"
	"errors"
	"reflect"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

// KubeVirt is a cluster with one VirtualMachine, its instance and its disk, which was imported at once.
type KubeVirt struct {
	mu      sync.Mutex
	version int

	// The objects are never changed, only replaced.
	machine  *kubevirtv1.VirtualMachine
	instance *kubevirtv1.VirtualMachineInstance
	volume   *cdiv1.DataVolume
	// instances counts all instances that there ever were.
	instances int
	// pod is the launcher pod of the instance, and killed says that somebody but virt-controller deleted it.
	pod    *corev1.Pod
	killed bool
	// events are what KubeVirt has told of instances.
	events []corev1.Event
	// coin decides what may end in either way.
	coin func() bool

	machineFeed, instanceFeed, volumeFeed, podFeed *feed
	// seen is what virt-controller looked at, until it has acted on it; unseen says that it has to look again.
	seen   *sight
	unseen bool
}

func newKubeVirt(coin func() bool) *KubeVirt {
	// No server ever answers a list with the version 0.
	return &KubeVirt{version: 1, coin: coin, machineFeed: &feed{name: "VirtualMachines"},
		instanceFeed: &feed{name: "VirtualMachineInstances"}, volumeFeed: &feed{name: "DataVolumes"},
		podFeed: &feed{name: "Pods"}}
}

func (k *KubeVirt) stamp(object metav1.Object) {
	k.version++
	object.SetResourceVersion(strconv.Itoa(k.version))
	if object.GetUID() == "" {
		object.SetUID(types.UID("uid-" + strconv.Itoa(k.version)))
		object.SetCreationTimestamp(metav1.Now())
	}
	k.unseen = true
}

// setMachine stores a machine, which the caller does not use afterwards. The lock is held by all callers of set and drop.
func (k *KubeVirt) setMachine(vm *kubevirtv1.VirtualMachine) {
	kind := watch.Modified
	switch {
	case k.machine == nil:
		kind = watch.Added
		vm.Generation = 1
	case !reflect.DeepEqual(k.machine.Spec, vm.Spec):
		vm.Generation++
	}
	k.stamp(vm)
	k.machine = vm
	k.machineFeed.publish(kind, vm)
}

func (k *KubeVirt) dropMachine() {
	gone := k.machine.DeepCopy()
	k.stamp(gone)
	k.machine = nil
	k.machineFeed.publish(watch.Deleted, gone)
}

func (k *KubeVirt) setInstance(vmi *kubevirtv1.VirtualMachineInstance) {
	kind := watch.Modified
	if k.instance == nil {
		kind = watch.Added
		k.instances++
		k.killed = false
	}
	k.stamp(vmi)
	k.instance = vmi
	k.instanceFeed.publish(kind, vmi)
}

func (k *KubeVirt) dropInstance() {
	gone := k.instance.DeepCopy()
	k.stamp(gone)
	k.instance = nil
	k.instanceFeed.publish(watch.Deleted, gone)
}

// deleteInstance marks the instance. It goes after it has ended and everybody has seen that.
func (k *KubeVirt) deleteInstance() {
	if k.instance == nil || k.instance.DeletionTimestamp != nil {
		return
	}
	vmi := k.instance.DeepCopy()
	vmi.DeletionTimestamp = ptr.To(metav1.Now())
	k.setInstance(vmi)
}

// Instance implements kubevirt.InstanceReader without being held up, for the API server.
func (k *KubeVirt) Instance(_ context.Context, _, name string) (*kubevirtv1.VirtualMachineInstance, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return found(k.instance, "virtualmachineinstances", name)
}

func found[T any, P interface {
	*T
	metav1.Object
	DeepCopy() P
}](object P, resource, name string) (P, error) {
	if object == nil || object.GetName() != name {
		return nil, apierrors.NewNotFound(kubevirtv1.Resource(resource), name)
	}
	return object.DeepCopy(), nil
}

// stale returns a Conflict unless the live object is the newest.
func stale(live, newest metav1.Object, gone bool, resource string) error {
	switch {
	case gone:
		return apierrors.NewNotFound(kubevirtv1.Resource(resource), live.GetName())
	case live.GetUID() != newest.GetUID() || live.GetResourceVersion() != newest.GetResourceVersion():
		return apierrors.NewConflict(kubevirtv1.Resource(resource), live.GetName(), errors.New("the object has been modified"))
	}
	return nil
}

func taken(exists bool, resource, name string) error {
	if exists {
		return apierrors.NewAlreadyExists(kubevirtv1.Resource(resource), name)
	}
	return nil
}

func (k *KubeVirt) createMachine(vm *kubevirtv1.VirtualMachine) (*kubevirtv1.VirtualMachine, error) {
	if err := taken(k.machine != nil, "virtualmachines", vm.Name); err != nil {
		return nil, err
	}
	created := vm.DeepCopy()
	created.UID, created.Status = "", kubevirtv1.VirtualMachineStatus{}
	k.setMachine(created)
	return created.DeepCopy(), nil
}

// patchMachine keeps the status, which is a subresource.
func (k *KubeVirt) patchMachine(live, modified *kubevirtv1.VirtualMachine) (*kubevirtv1.VirtualMachine, error) {
	if err := stale(live, k.machine, k.machine == nil, "virtualmachines"); err != nil {
		return nil, err
	}
	patched := modified.DeepCopy()
	patched.Status = *k.machine.Status.DeepCopy()
	k.setMachine(patched)
	return patched.DeepCopy(), nil
}

func (k *KubeVirt) deleteMachine(name string, options metav1.DeleteOptions) error {
	if k.machine == nil || k.machine.Name != name {
		return apierrors.NewNotFound(kubevirtv1.Resource("virtualmachines"), name)
	}
	if p := options.Preconditions; p != nil && p.UID != nil && *p.UID != k.machine.UID {
		return apierrors.NewConflict(kubevirtv1.Resource("virtualmachines"), name, errors.New("the UID differs"))
	}
	if k.machine.DeletionTimestamp == nil {
		vm := k.machine.DeepCopy()
		vm.DeletionTimestamp = ptr.To(metav1.Now())
		k.setMachine(vm)
	}
	return nil
}

// createVolume creates a disk that is imported at once.
func (k *KubeVirt) createVolume(dv *cdiv1.DataVolume) (*cdiv1.DataVolume, error) {
	if err := taken(k.volume != nil, "datavolumes", dv.Name); err != nil {
		return nil, err
	}
	created := dv.DeepCopy()
	created.Status.Phase = cdiv1.Succeeded
	k.stamp(created)
	k.volume = created
	k.volumeFeed.publish(watch.Added, created)
	return created.DeepCopy(), nil
}

func (k *KubeVirt) patchVolume(live, modified *cdiv1.DataVolume) (*cdiv1.DataVolume, error) {
	if err := stale(live, k.volume, k.volume == nil, "datavolumes"); err != nil {
		return nil, err
	}
	patched := modified.DeepCopy()
	k.stamp(patched)
	k.volume = patched
	k.volumeFeed.publish(watch.Modified, patched)
	return patched.DeepCopy(), nil
}

func (k *KubeVirt) deleteVolume(name string) error {
	if k.volume == nil || k.volume.Name != name {
		return apierrors.NewNotFound(kubevirtv1.Resource("datavolumes"), name)
	}
	gone := k.volume.DeepCopy()
	k.stamp(gone)
	k.volume = nil
	k.volumeFeed.publish(watch.Deleted, gone)
	return nil
}

// listed returns a list of the object, if there is one, for an informer.
func listed(version int, object runtime.Object, into runtime.Object) runtime.Object {
	switch list := into.(type) {
	case *kubevirtv1.VirtualMachineList:
		list.ResourceVersion = strconv.Itoa(version)
		if vm, ok := object.(*kubevirtv1.VirtualMachine); ok && vm != nil {
			list.Items = append(list.Items, *vm.DeepCopy())
		}
	case *kubevirtv1.VirtualMachineInstanceList:
		list.ResourceVersion = strconv.Itoa(version)
		if vmi, ok := object.(*kubevirtv1.VirtualMachineInstance); ok && vmi != nil {
			list.Items = append(list.Items, *vmi.DeepCopy())
		}
	case *cdiv1.DataVolumeList:
		list.ResourceVersion = strconv.Itoa(version)
		if dv, ok := object.(*cdiv1.DataVolume); ok && dv != nil {
			list.Items = append(list.Items, *dv.DeepCopy())
		}
	}
	return into
}
