package kubevirt

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

// FieldManager is the name under which the controller writes.
const FieldManager = "virtualserver-controller"

// Machines reads and writes VirtualMachines and asks KubeVirt to start, stop and restart them. All errors are API
// errors of kube-apiserver or of KubeVirt.
type Machines interface {
	// Machine reads a VirtualMachine from the server.
	Machine(ctx context.Context, namespace, name string) (*kubevirtv1.VirtualMachine, error)
	// CreateMachine creates a VirtualMachine.
	CreateMachine(ctx context.Context, vm *kubevirtv1.VirtualMachine) (*kubevirtv1.VirtualMachine, error)
	// PatchMachine writes the difference between the live VirtualMachine and the modified one. The error is a Conflict if
	// the live one is no longer the newest.
	PatchMachine(ctx context.Context, live, modified *kubevirtv1.VirtualMachine) (*kubevirtv1.VirtualMachine, error)
	// DeleteMachine deletes a VirtualMachine.
	DeleteMachine(ctx context.Context, namespace, name string, options metav1.DeleteOptions) error
	// StartMachine, StopMachine and RestartMachine ask for an operation, as "virtctl start" does. The error is a
	// Conflict if KubeVirt refuses it in the present state, and an InternalError if another one is under way.
	StartMachine(ctx context.Context, namespace, name string, options kubevirtv1.StartOptions) error
	StopMachine(ctx context.Context, namespace, name string, options kubevirtv1.StopOptions) error
	RestartMachine(ctx context.Context, namespace, name string, options kubevirtv1.RestartOptions) error
	// UnpauseInstance lets a paused VirtualMachineInstance go on. The error is a Conflict if it is not paused.
	UnpauseInstance(ctx context.Context, namespace, name string) error
	// CancelRequests takes back the requests that KubeVirt holds in status.stateChangeRequests. Nothing else can take back a
	// queued start: KubeVirt acts on it even under Halted. The error is an Invalid or a Conflict if the requests are no
	// longer those of the given VirtualMachine.
	CancelRequests(ctx context.Context, vm *kubevirtv1.VirtualMachine) error
	// DeleteInstance deletes a VirtualMachineInstance that has no VirtualMachine.
	DeleteInstance(ctx context.Context, namespace, name string, options metav1.DeleteOptions) error
}

// Machine implements Machines.
func (c *Client) Machine(ctx context.Context, namespace, name string) (*kubevirtv1.VirtualMachine, error) {
	return c.kubevirt.KubevirtV1().VirtualMachines(namespace).Get(ctx, name, metav1.GetOptions{})
}

// CreateMachine implements Machines.
func (c *Client) CreateMachine(
	ctx context.Context, vm *kubevirtv1.VirtualMachine,
) (*kubevirtv1.VirtualMachine, error) {
	return c.kubevirt.KubevirtV1().VirtualMachines(vm.Namespace).
		Create(ctx, vm, metav1.CreateOptions{FieldManager: FieldManager})
}

// PatchMachine implements Machines.
func (c *Client) PatchMachine(
	ctx context.Context, live, modified *kubevirtv1.VirtualMachine,
) (*kubevirtv1.VirtualMachine, error) {
	patch, err := MergePatch(live, modified)
	if err != nil {
		return nil, err
	}
	return c.kubevirt.KubevirtV1().VirtualMachines(live.Namespace).
		Patch(ctx, live.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: FieldManager})
}

// DeleteMachine implements Machines.
func (c *Client) DeleteMachine(ctx context.Context, namespace, name string, options metav1.DeleteOptions) error {
	return c.kubevirt.KubevirtV1().VirtualMachines(namespace).Delete(ctx, name, options)
}

// StartMachine implements Machines.
func (c *Client) StartMachine(
	ctx context.Context, namespace, name string, options kubevirtv1.StartOptions,
) error {
	return c.kubevirt.KubevirtV1().VirtualMachines(namespace).Start(ctx, name, &options)
}

// StopMachine implements Machines.
func (c *Client) StopMachine(
	ctx context.Context, namespace, name string, options kubevirtv1.StopOptions,
) error {
	return c.kubevirt.KubevirtV1().VirtualMachines(namespace).Stop(ctx, name, &options)
}

// RestartMachine implements Machines.
func (c *Client) RestartMachine(
	ctx context.Context, namespace, name string, options kubevirtv1.RestartOptions,
) error {
	return c.kubevirt.KubevirtV1().VirtualMachines(namespace).Restart(ctx, name, &options)
}

// UnpauseInstance implements Machines.
func (c *Client) UnpauseInstance(ctx context.Context, namespace, name string) error {
	return c.kubevirt.KubevirtV1().VirtualMachineInstances(namespace).Unpause(ctx, name, &kubevirtv1.UnpauseOptions{})
}

// CancelRequests implements Machines.
func (c *Client) CancelRequests(ctx context.Context, vm *kubevirtv1.VirtualMachine) error {
	const path = "/status/stateChangeRequests"
	patch, err := json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/uid", "value": vm.UID},
		{"op": "test", "path": path, "value": vm.Status.StateChangeRequests},
		{"op": "remove", "path": path},
	})
	if err != nil {
		return fmt.Errorf("encode the requests of VirtualMachine %s: %w", vm.Name, err)
	}
	_, err = c.kubevirt.KubevirtV1().VirtualMachines(vm.Namespace).
		Patch(ctx, vm.Name, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: FieldManager}, "status")
	return err
}

// DeleteInstance implements Machines.
func (c *Client) DeleteInstance(ctx context.Context, namespace, name string, options metav1.DeleteOptions) error {
	return c.kubevirt.KubevirtV1().VirtualMachineInstances(namespace).Delete(ctx, name, options)
}
