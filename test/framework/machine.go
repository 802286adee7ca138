package framework

import (
	"fmt"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

// FaultConfigMap is the name of the ConfigMap by which the node agent is told to misbehave in a namespace.
const FaultConfigMap = "node-agent-faults"

// GuestFaultAnnotation on a VirtualMachineInstance makes its guest crash, shut down and so on.
const GuestFaultAnnotation = "node-agent.tensorstack.dev/guest"

// DiskAnnotation on a claim tells the node agent that somebody has made a disk in it.
const DiskAnnotation = "node-agent.tensorstack.dev/disk"

// VirtualMachines, VirtualMachineInstances and DataVolumes are the resources behind a VirtualServer.
func machineResource(resource string) schema.GroupVersionResource {
	if resource == "datavolumes" {
		return schema.GroupVersionResource{Group: "cdi.kubevirt.io", Version: "v1beta1", Resource: resource}
	}
	return schema.GroupVersionResource{Group: "kubevirt.io", Version: "v1", Resource: resource}
}

// MachineName waits until the VirtualServer has a machine name and returns it.
func (e *Environment) MachineName(name string) string {
	e.T.Helper()
	machine := ""
	e.Eventually("VirtualServer "+name+" has a machine name", func() error {
		vs, err := e.Client().Get(e.Context, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if machine = vs.Status.VM.Name; machine == "" {
			return fmt.Errorf("status.vm.name is empty")
		}
		return nil
	})
	return machine
}

// Machine reads the VirtualMachine of a name, nil if there is none.
func (e *Environment) Machine(machine string) *kubevirtv1.VirtualMachine {
	return read[kubevirtv1.VirtualMachine](e, "virtualmachines", machine)
}

// Instance reads the VirtualMachineInstance of a name, nil if there is none.
func (e *Environment) Instance(machine string) *kubevirtv1.VirtualMachineInstance {
	return read[kubevirtv1.VirtualMachineInstance](e, "virtualmachineinstances", machine)
}

// DataVolume reads the DataVolume of a name, nil if there is none.
func (e *Environment) DataVolume(machine string) *cdiv1.DataVolume {
	return read[cdiv1.DataVolume](e, "datavolumes", machine)
}

// GuestFault makes the guest of a machine do one thing: crash, oom, shutdown, panic or reboot.
func (e *Environment) GuestFault(machine, fault string) {
	e.T.Helper()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, GuestFaultAnnotation, fault)
	_, err := e.Dynamic.Resource(machineResource("virtualmachineinstances")).Namespace(e.Namespace).
		Patch(e.Context, machine, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	require.NoError(e.T, err)
}

// Faults tells the node agent how to misbehave in the test's namespace. Keys and values are the node agent's.
func (e *Environment) Faults(faults map[string]string) {
	e.T.Helper()
	client := e.Kube.CoreV1().ConfigMaps(e.Namespace)
	wanted := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: FaultConfigMap}, Data: faults}
	if _, err := client.Create(e.Context, wanted, metav1.CreateOptions{}); apierrors.IsAlreadyExists(err) {
		_, err = client.Update(e.Context, wanted, metav1.UpdateOptions{})
		require.NoError(e.T, err)
	} else {
		require.NoError(e.T, err)
	}
}

// PatchMachine merges a JSON patch into the VirtualMachine, as somebody outside would.
func (e *Environment) PatchMachine(machine, patch string) {
	e.T.Helper()
	_, err := e.Dynamic.Resource(machineResource("virtualmachines")).Namespace(e.Namespace).
		Patch(e.Context, machine, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	require.NoError(e.T, err)
}

// Delete deletes an object of a resource behind a VirtualServer, as somebody outside would.
func (e *Environment) Delete(resource, name string) {
	e.T.Helper()
	require.NoError(e.T, e.Dynamic.Resource(machineResource(resource)).Namespace(e.Namespace).
		Delete(e.Context, name, metav1.DeleteOptions{}))
}

// Remaining lists what is left of the machines of the test's namespace.
func (e *Environment) Remaining() ([]string, error) {
	var left []string
	for _, resource := range []schema.GroupVersionResource{
		machineResource("virtualmachines"), machineResource("virtualmachineinstances"), machineResource("datavolumes"),
		{Version: "v1", Resource: "persistentvolumeclaims"}, {Version: "v1", Resource: "services"}, {Version: "v1", Resource: "pods"},
		{Version: "v1", Resource: "secrets"},
	} {
		list, err := e.Dynamic.Resource(resource).Namespace(e.Namespace).List(e.Context, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		for _, item := range list.Items {
			left = append(left, resource.Resource+"/"+item.GetName())
		}
	}
	return left, nil
}

func read[T any](e *Environment, resource, name string) *T {
	e.T.Helper()
	found, err := e.Dynamic.Resource(machineResource(resource)).Namespace(e.Namespace).Get(e.Context, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	require.NoError(e.T, err)
	return convert[T](e, found)
}

func convert[T any](e *Environment, found *unstructured.Unstructured) *T {
	e.T.Helper()
	typed := new(T)
	require.NoError(e.T, runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, typed))
	return typed
}
