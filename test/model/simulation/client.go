package simulation

import (
	"context"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	controller "tensorstack.dev/virtualserver/pkg/controller/virtualserver"
	"tensorstack.dev/virtualserver/pkg/limits"
)

// client is the controller's client of KubeVirt and CDI. Every call is held up at the gate.
type client struct {
	*KubeVirt
	gate *gate
}

var _ controller.KubeVirt = &client{}

// asked holds a call up and carries it out under the lock.
func asked[T any](ctx context.Context, c *client, name string, do func() (*T, error)) (*T, error) {
	var answer *T
	err := c.gate.through(ctx, name, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		var err error
		answer, err = do()
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

func (c *client) do(ctx context.Context, name string, do func() error) error {
	_, err := asked(ctx, c, name, func() (*struct{}, error) { return nil, do() })
	return err
}

// Machine implements kubevirt.Machines.
func (c *client) Machine(ctx context.Context, _, name string) (*kubevirtv1.VirtualMachine, error) {
	return asked(ctx, c, "get VirtualMachine", func() (*kubevirtv1.VirtualMachine, error) {
		return found(c.machine, "virtualmachines", name)
	})
}

// Instance implements kubevirt.InstanceReader.
func (c *client) Instance(ctx context.Context, _, name string) (*kubevirtv1.VirtualMachineInstance, error) {
	return asked(ctx, c, "get VirtualMachineInstance", func() (*kubevirtv1.VirtualMachineInstance, error) {
		return found(c.instance, "virtualmachineinstances", name)
	})
}

// DataVolume implements kubevirt.DataVolumes.
func (c *client) DataVolume(ctx context.Context, _, name string) (*cdiv1.DataVolume, error) {
	return asked(ctx, c, "get DataVolume", func() (*cdiv1.DataVolume, error) {
		return found(c.volume, "datavolumes", name)
	})
}

// CreateMachine implements kubevirt.Machines.
func (c *client) CreateMachine(ctx context.Context, vm *kubevirtv1.VirtualMachine) (*kubevirtv1.VirtualMachine, error) {
	return asked(ctx, c, "create VirtualMachine", func() (*kubevirtv1.VirtualMachine, error) { return c.createMachine(vm) })
}

// PatchMachine implements kubevirt.Machines.
func (c *client) PatchMachine(ctx context.Context, live, modified *kubevirtv1.VirtualMachine) (*kubevirtv1.VirtualMachine, error) {
	return asked(ctx, c, "patch VirtualMachine", func() (*kubevirtv1.VirtualMachine, error) {
		return c.patchMachine(live, modified)
	})
}

// DeleteMachine implements kubevirt.Machines.
func (c *client) DeleteMachine(ctx context.Context, _, name string, options metav1.DeleteOptions) error {
	return c.do(ctx, "delete VirtualMachine", func() error { return c.deleteMachine(name, options) })
}

// StartMachine implements kubevirt.Machines.
func (c *client) StartMachine(ctx context.Context, _, name string, options kubevirtv1.StartOptions) error {
	return c.do(ctx, "start", func() error { return c.start(name, options) })
}

// StopMachine implements kubevirt.Machines.
func (c *client) StopMachine(ctx context.Context, _, name string, options kubevirtv1.StopOptions) error {
	return c.do(ctx, "stop", func() error { return c.stop(name, options) })
}

// RestartMachine implements kubevirt.Machines.
func (c *client) RestartMachine(ctx context.Context, _, name string, options kubevirtv1.RestartOptions) error {
	return c.do(ctx, "restart", func() error { return c.restart(name, options) })
}

// UnpauseInstance implements kubevirt.Machines.
func (c *client) UnpauseInstance(ctx context.Context, _, name string) error {
	return c.do(ctx, "unpause", func() error {
		vmi := c.instance
		if vmi == nil {
			return apierrors.NewNotFound(kubevirtv1.Resource("virtualmachineinstances"), name)
		}
		if vmi.Status.Phase != kubevirtv1.Running || !isPaused(vmi) {
			return c.refuse(name, "VMI is not paused")
		}
		awake := vmi.DeepCopy()
		setPaused(awake, false)
		c.setInstance(awake)
		return nil
	})
}

// CancelRequests implements kubevirt.Machines: a JSON patch that tests the requests first.
func (c *client) CancelRequests(ctx context.Context, vm *kubevirtv1.VirtualMachine) error {
	return c.do(ctx, "cancel requests", func() error {
		if c.machine == nil {
			return apierrors.NewNotFound(kubevirtv1.Resource("virtualmachines"), vm.Name)
		}
		if c.machine.UID != vm.UID || len(c.machine.Status.StateChangeRequests) == 0 ||
			!reflect.DeepEqual(c.machine.Status.StateChangeRequests, vm.Status.StateChangeRequests) {
			return apierrors.NewInvalid(kubevirtv1.VirtualMachineGroupVersionKind.GroupKind(), vm.Name, nil)
		}
		patched := c.machine.DeepCopy()
		patched.Status.StateChangeRequests = nil
		c.setMachine(patched)
		return nil
	})
}

// DeleteInstance implements kubevirt.Machines.
func (c *client) DeleteInstance(ctx context.Context, _, _ string, _ metav1.DeleteOptions) error {
	return c.do(ctx, "delete VirtualMachineInstance", func() error {
		c.deleteInstance()
		return nil
	})
}

// CreateDataVolume implements kubevirt.DataVolumes.
func (c *client) CreateDataVolume(ctx context.Context, dv *cdiv1.DataVolume) (*cdiv1.DataVolume, error) {
	return asked(ctx, c, "create DataVolume", func() (*cdiv1.DataVolume, error) { return c.createVolume(dv) })
}

// PatchDataVolume implements kubevirt.DataVolumes.
func (c *client) PatchDataVolume(ctx context.Context, live, modified *cdiv1.DataVolume) (*cdiv1.DataVolume, error) {
	return asked(ctx, c, "patch DataVolume", func() (*cdiv1.DataVolume, error) { return c.patchVolume(live, modified) })
}

// DeleteDataVolume implements kubevirt.DataVolumes.
// ImporterResources implements kubevirt.DataVolumes. CDI has its defaults here.
func (c *client) ImporterResources(context.Context) (corev1.ResourceRequirements, error) {
	return limits.Importer(), nil
}

func (c *client) DeleteDataVolume(ctx context.Context, _, name string, _ metav1.DeleteOptions) error {
	return c.do(ctx, "delete DataVolume", func() error { return c.deleteVolume(name) })
}

// MachineInformer implements controller.KubeVirt.
func (c *client) MachineInformer(_ labels.Selector, indexers cache.Indexers) cache.SharedIndexInformer {
	return c.informer(c.machineFeed, &kubevirtv1.VirtualMachine{}, indexers, func() runtime.Object {
		return listed(c.version, c.machine, &kubevirtv1.VirtualMachineList{})
	})
}

// InstanceInformer implements controller.KubeVirt.
func (c *client) InstanceInformer(_ labels.Selector, indexers cache.Indexers) cache.SharedIndexInformer {
	return c.informer(c.instanceFeed, &kubevirtv1.VirtualMachineInstance{}, indexers, func() runtime.Object {
		return listed(c.version, c.instance, &kubevirtv1.VirtualMachineInstanceList{})
	})
}

// DataVolumeInformer implements controller.KubeVirt.
func (c *client) DataVolumeInformer(_ labels.Selector, indexers cache.Indexers) cache.SharedIndexInformer {
	return c.informer(c.volumeFeed, &cdiv1.DataVolume{}, indexers, func() runtime.Object {
		return listed(c.version, c.volume, &cdiv1.DataVolumeList{})
	})
}

// listsFirst tells informers to list first and watch then.
type listsFirst struct{}

// IsWatchListSemanticsUnSupported is what informers ask.
func (listsFirst) IsWatchListSemanticsUnSupported() bool { return true }

func (c *client) informer(changes *feed, example runtime.Object, indexers cache.Indexers, list func() runtime.Object) cache.SharedIndexInformer {
	return cache.NewSharedIndexInformerWithOptions(cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(context.Context, metav1.ListOptions) (runtime.Object, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			return list(), nil
		},
		WatchFuncWithContext: func(context.Context, metav1.ListOptions) (watch.Interface, error) {
			return changes.watch(), nil
		},
	}, listsFirst{}), example, cache.SharedIndexInformerOptions{Indexers: indexers})
}
