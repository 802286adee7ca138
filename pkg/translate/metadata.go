package translate

import (
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/naming"
)

// Labels and annotations of the objects behind a VirtualServer. They lead back to it in place of owner references, which
// would let the garbage collector delete machines when our store is lost.
const (
	// LabelName holds the name of the VirtualServer, shortened with a hash if it is longer than a label value may be.
	LabelName = "tensorstack.dev/virtualserver"
	// LabelUID holds the UID of the VirtualServer. It changes when a new VirtualServer adopts the machine.
	LabelUID = "tensorstack.dev/virtualserver-uid"
	// LabelMachine holds the name of the VirtualMachine. It stands on the pod of the machine and the Service selects by
	// it, because unlike the UID it stays when a new VirtualServer adopts a machine that is running.
	LabelMachine = "tensorstack.dev/virtual-machine"
	// LabelManagedBy says who keeps the object.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// ManagedBy is the value of LabelManagedBy.
	ManagedBy = "virtualserver"

	// AnnotationName holds the whole name of the VirtualServer.
	AnnotationName = "tensorstack.dev/virtualserver-name"
	// AnnotationAppliedRunStrategy stands on the VirtualMachine and holds the strategy that the controller last wrote to
	// its spec. A spec that differs from it was changed by somebody else.
	AnnotationAppliedRunStrategy = "tensorstack.dev/applied-run-strategy"
	// AnnotationImported stands on the PersistentVolumeClaim of a root disk that holds its image, whatever becomes of the
	// DataVolume that filled it: CDI calls it failed when the volume is lost, and after that comes back.
	AnnotationImported = "tensorstack.dev/imported"
	// AnnotationApplied stands on the template of the VirtualMachine, and so on the VirtualMachineInstance. It records
	// what the template was made with, see record.
	AnnotationApplied = "tensorstack.dev/applied"

	// annotationImmediateBinding makes CDI import without waiting for a pod that uses the volume. A stopped machine must
	// import too. See CDI's doc/waitforfirstconsumer-storage-handling.md.
	annotationImmediateBinding = "cdi.kubevirt.io/storage.bind.immediate.requested"
)

// Labels returns the labels of every object behind the VirtualServer.
func Labels(vs *v1beta1.VirtualServer) map[string]string {
	return map[string]string{
		LabelName:      naming.LabelValue(vs.Name),
		LabelUID:       string(vs.UID),
		LabelManagedBy: ManagedBy,
	}
}

// objectMeta returns the metadata that all objects share. The user's own labels and annotations are never copied: some
// annotations of CDI switch off its authorization of clones.
func objectMeta(vs *v1beta1.VirtualServer) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:        vs.Status.VM.Name,
		Namespace:   vs.Namespace,
		Labels:      Labels(vs),
		Annotations: map[string]string{AnnotationName: vs.Name},
	}
}

// overlay returns live with the wanted entries written over it. It returns live itself if nothing changes.
func overlay(live, wanted map[string]string) map[string]string {
	changed := false
	for key, value := range wanted {
		if old, found := live[key]; !found || old != value {
			changed = true
		}
	}
	if !changed {
		return live
	}
	merged := maps.Clone(live)
	if merged == nil {
		merged = make(map[string]string, len(wanted))
	}
	maps.Copy(merged, wanted)
	return merged
}

// MarkedImported says whether a PersistentVolumeClaim carries AnnotationImported.
func MarkedImported(claim metav1.Object) bool {
	return claim.GetAnnotations()[AnnotationImported] != ""
}
