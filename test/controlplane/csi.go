package controlplane

import (
	"context"
	_ "embed"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"tensorstack.dev/virtualserver/test/realnode/csi"
)

// SnapshotClass names the StorageClass and the VolumeSnapshotClass of real nodes whose driver can make snapshots.
const SnapshotClass = "lab-csi"

// snapshotCRDs is the file, among the programs, of the CRDs that the snapshot controller comes with.
const snapshotCRDs = "snapshot-crds.yaml"

//go:embed config/csi.yaml
var csiManifest []byte

// snapshotObjects are the API of volume snapshots and what stands behind it: on real nodes a driver with its programs, on
// simulated ones the node agent.
func (c *ControlPlane) snapshotObjects() ([]*unstructured.Unstructured, error) {
	if !c.real() {
		return decodeManifests(volumeSnapshots)
	}
	crds, err := os.ReadFile(c.Binary(snapshotCRDs))
	if err != nil {
		return nil, err
	}
	objects, err := decodeManifests(crds)
	if err != nil {
		return nil, err
	}
	rest, err := decodeManifests(csiManifest)
	return append(objects, rest...), err
}

// csiSteps start the controller of the storage driver and the programs that stand between it and Kubernetes.
func (c *ControlPlane) csiSteps() []step {
	socket := c.paths.data("csi.sock")
	after := []string{"CDI objects", KubeControllerManager}
	return []step{
		{name: CSIController, run: c.runs(func(context.Context) (component, error) {
			args := []string{"csi-controller", flag("socket", socket), flag("folder", csi.Folder(c.volumesDir()))}
			ready := func(context.Context) error {
				_, err := os.Stat(socket)
				return err
			}
			return component{name: CSIController, program: realProgram, args: args, ready: ready, tier: tierNodes, grace: 2 * time.Second}, nil
		})},
		{name: CSIProvisioner, after: append(after, CSIController), run: c.runs(c.csiProgram(CSIProvisioner, flag("csi-address", socket)))},
		{name: CSISnapshotter, after: append(after, CSIController), run: c.runs(c.csiProgram(CSISnapshotter, flag("csi-address", socket)))},
		{name: SnapshotController, after: after, run: c.runs(c.csiProgram(SnapshotController))},
	}
}

// csiProgram describes one of the programs of the Kubernetes project for storage drivers. They have no address to ask at
// whether they are ready, and need none: what they are to do waits for them.
func (c *ControlPlane) csiProgram(name string, args ...string) func(context.Context) (component, error) {
	return func(ctx context.Context) (component, error) {
		kubeconfig, err := c.serviceAccountKubeconfig(ctx, labNamespace, "csi")
		args := append([]string{flag("kubeconfig", kubeconfig)}, args...)
		return component{name: name, program: name, args: args, tier: tierNodes, grace: 2 * time.Second}, err
	}
}
