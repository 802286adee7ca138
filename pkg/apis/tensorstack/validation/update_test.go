package validation

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

func TestUpdate(t *testing.T) {
	const root = "spec.storage.root."
	upload := func(vs *tensorstack.VirtualServer) {
		from(cdiv1.DataVolumeSource{Upload: &cdiv1.DataVolumeSourceUpload{}})(&vs.Spec)
	}
	tests := map[string]struct {
		old    func(*tensorstack.VirtualServer)
		change func(*tensorstack.VirtualServer)
		want   []string
	}{
		"nothing": {nil, func(*tensorstack.VirtualServer) {}, nil},
		"everything that may change": {imported, func(vs *tensorstack.VirtualServer) {
			vs.Labels = map[string]string{"a": "b"}
			vs.Spec.RunStrategy = tensorstack.RunStrategyManual
			vs.Spec.Resources.CPU = tensorstack.CPU{Cores: intstr.FromString("4"), Model: "Conroe"}
			vs.Spec.Resources.Memory = resource.MustParse("2Gi")
			vs.Spec.Resources.GPU = &tensorstack.GPU{Type: "nvidia.com/gpu", Count: 1}
			vs.Spec.Storage.Root.Ephemeral = true
			vs.Spec.Storage.Root.DeletionPolicy = tensorstack.DeletionPolicyRetain
			vs.Spec.Storage.Root.PVC.Size = resource.MustParse("8Gi")
			disks(tensorstack.AdditionalDisk{Name: "a", VolumeSource: claim("c")})(&vs.Spec)
			filesystems(tensorstack.Filesystem{Name: "b", VolumeSource: configMap("m")})(&vs.Spec)
			vs.Spec.Network = tensorstack.Network{TCP: []int32{22}, MACAddress: "02:00:00:4c:1f:07", DNSPolicy: "Default"}
			vs.Spec.CloudInit = "#cloud-config\nuser: a\n"
		}, nil},
		"another volume mode": {nil, func(vs *tensorstack.VirtualServer) {
			vs.Spec.Storage.Root.PVC.VolumeMode = corev1.PersistentVolumeBlock
		},
			[]string{root + "pvc.volumeMode cannot change"}},
		"another access mode": {nil, func(vs *tensorstack.VirtualServer) {
			vs.Spec.Storage.Root.PVC.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
		}, []string{root + "pvc.accessModes cannot change"}},
		"another class": {nil, func(vs *tensorstack.VirtualServer) { vs.Spec.Storage.Root.PVC.StorageClassName = ptr.To("a") },
			[]string{root + "pvc.storageClassName cannot change"}},
		"a smaller disk": {nil, func(vs *tensorstack.VirtualServer) { vs.Spec.Storage.Root.PVC.Size = resource.MustParse("3Gi") },
			[]string{root + "pvc.size cannot shrink from 4Gi to 3Gi"}},
		"the size in another unit": {nil, func(vs *tensorstack.VirtualServer) { vs.Spec.Storage.Root.PVC.Size = resource.MustParse("4096Mi") }, nil},
		"the source before import": {nil, upload, nil},
		"the source after import":  {imported, upload, []string{root + "source cannot change, because the disk has been imported"}},
		"something invalid":        {nil, func(vs *tensorstack.VirtualServer) { vs.Spec.Resources.CPU.Cores = intstr.FromInt32(0) }, []string{"spec.resources.cpu.cores from 1"}},
		"the namespace":            {nil, func(vs *tensorstack.VirtualServer) { vs.Namespace = "other" }, []string{"metadata.namespace immutable"}},
		"the finalizer of an object that became invalid": {func(vs *tensorstack.VirtualServer) {
			vs.Spec.RunStrategy = "Gone"
			vs.DeletionTimestamp = ptr.To(metav1.Now())
			vs.Finalizers = []string{"tensorstack.dev/machine"}
		}, func(vs *tensorstack.VirtualServer) { vs.Finalizers = nil }, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			old := valid()
			if test.old != nil {
				test.old(old)
			}
			updated := old.DeepCopy()
			test.change(updated)
			requireErrors(t, test.want, ValidateVirtualServerUpdate(updated, old))
		})
	}
}

func imported(vs *tensorstack.VirtualServer) {
	vs.Status.Conditions = []metav1.Condition{{Type: tensorstack.ConditionDataImported, Status: metav1.ConditionTrue}}
}

func TestStatusUpdate(t *testing.T) {
	tests := map[string]struct {
		old, change func(*tensorstack.VirtualServerStatus)
		want        []string
	}{
		"a whole status": {nil, func(status *tensorstack.VirtualServerStatus) {
			*status = tensorstack.VirtualServerStatus{
				ObservedGeneration: 1, RunStrategy: "Always", PrintableStatus: "Running",
				VM:               tensorstack.VirtualMachineReference{Name: "managed-virtualserver-9dda9"},
				Conditions:       []metav1.Condition{{Type: "Ready", Status: "True", Reason: "Running", LastTransitionTime: metav1.Now()}},
				PendingOperation: &tensorstack.Operation{ID: "1", Type: "Stop", GracePeriodSeconds: ptr.To[int64](5)},
				Operations:       []tensorstack.OperationRecord{{ID: "0", Type: "Start", Result: "Succeeded"}},
				PhaseTransitions: []tensorstack.PhaseTransition{{Phase: "Running", Time: metav1.Now()}},
			}
		}, nil},
		"unknown words": {nil, func(status *tensorstack.VirtualServerStatus) {
			status.RunStrategy, status.PrintableStatus = "Once", "Dead"
			status.PhaseTransitions = []tensorstack.PhaseTransition{{Phase: "Dead"}}
		}, []string{"status.runStrategy supported", "status.printableStatus supported", "status.phaseTransitions[0].phase supported"}},
		"a condition without a reason": {nil, func(status *tensorstack.VirtualServerStatus) {
			status.Conditions = []metav1.Condition{{Type: "Ready", Status: "True", LastTransitionTime: metav1.Now()}}
		}, []string{"status.conditions[0].reason Required"}},
		"somebody else's machine": {nil, func(status *tensorstack.VirtualServerStatus) { status.VM.Name = "production" },
			[]string{"status.vm.name must begin with managed-virtualserver-"}},
		"a machine forgotten": {named("managed-virtualserver-00001", 0), named("", 0), []string{"status.vm.name higher collisionCount"}},
		"a machine swapped":   {named("managed-virtualserver-00001", 0), named("managed-virtualserver-00002", 0), []string{"status.vm.name higher collisionCount"}},
		"a collision":         {named("managed-virtualserver-00001", 0), named("managed-virtualserver-00002", 1), nil},
		"a count that went back": {named("managed-virtualserver-00001", 2), named("managed-virtualserver-00001", 1),
			[]string{"status.vm.collisionCount go back"}},
		"a pending operation without identity": {nil, func(status *tensorstack.VirtualServerStatus) {
			status.PendingOperation = &tensorstack.Operation{Type: "Reboot", GracePeriodSeconds: ptr.To[int64](-1)}
		}, []string{"status.pendingOperation.id Required", "status.pendingOperation.type supported", "status.pendingOperation.gracePeriodSeconds from 0"}},
		"eleven operations": {nil, func(status *tensorstack.VirtualServerStatus) {
			for range 11 {
				status.Operations = append(status.Operations, tensorstack.OperationRecord{ID: "1", Type: "Stop", Result: "Failed"})
			}
		}, []string{"status.operations last 10"}},
		"an unknown result": {nil, func(status *tensorstack.VirtualServerStatus) {
			status.Operations = []tensorstack.OperationRecord{{ID: "1", Type: "Stop", Result: "Maybe"}}
		}, []string{"status.operations[0].result supported"}},
		"a negative generation": {nil, func(status *tensorstack.VirtualServerStatus) { status.ObservedGeneration = -1 },
			[]string{"status.observedGeneration negative"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			old := valid()
			if test.old != nil {
				test.old(&old.Status)
			}
			updated := old.DeepCopy()
			test.change(&updated.Status)
			requireErrors(t, test.want, ValidateVirtualServerStatusUpdate(updated, old))
		})
	}
}

func named(name string, collisions int32) func(*tensorstack.VirtualServerStatus) {
	return func(status *tensorstack.VirtualServerStatus) {
		status.VM = tensorstack.VirtualMachineReference{Name: name, CollisionCount: collisions}
	}
}
