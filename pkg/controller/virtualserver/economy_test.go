package virtualserver

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/pkg/translate"
)

// delete deletes a VirtualServer, runs passes until its finalizer is gone, and returns the requests of all of them. Each pass
// runs twice, the second time on old caches, as happens when something else wakes it.
func (b *bench) delete(name string, between func()) []string {
	b.t.Helper()
	vs := b.server(name)
	vs.DeletionTimestamp = ptr.To(metav1.Now())
	b.update(vs)
	var requests []string
	for range 20 {
		b.fill()
		for range 2 {
			_, _, err := b.passOnOldCaches(name)
			require.NoError(b.t, err)
			requests = append(requests, b.requests()...)
			if b.server(name).Finalizers == nil {
				slices.Sort(requests)
				return requests
			}
		}
		between()
	}
	require.Fail(b.t, "the deletion does not end", "requests: %v", requests)
	return nil
}

// collect does what garbage collection does to a claim without its DataVolume.
func (b *bench) collect(name string) {
	b.t.Helper()
	claim, err := b.kubernetes.CoreV1().PersistentVolumeClaims(testNamespace).Get(b.t.Context(), name, metav1.GetOptions{})
	if err == nil && volumeOwns(claim) && b.kubevirt.volumes[name] == nil {
		require.NoError(b.t, b.kubernetes.CoreV1().PersistentVolumeClaims(testNamespace).Delete(b.t.Context(), name, metav1.DeleteOptions{}))
	}
}

// importedClaim makes the claim of the root disk, which was imported.
func (b *bench) importedClaim() {
	b.t.Helper()
	vs := b.server("web")
	name := vs.Status.VM.Name
	b.kubevirt.volumes[name].Status.Phase = cdiv1.Succeeded
	b.claimFor(vs)
	claim := b.claim(name)
	claim.OwnerReferences = []metav1.OwnerReference{{
		Kind: kindDataVolume, Name: name, UID: b.kubevirt.volumes[name].UID, Controller: ptr.To(true),
	}}
	claim.Status.Phase = corev1.ClaimBound
	_, err := b.kubernetes.CoreV1().PersistentVolumeClaims(testNamespace).Update(b.t.Context(), claim, metav1.UpdateOptions{})
	require.NoError(b.t, err)
	b.settle("web")
}

// A deletion asks for each object once, and reads nothing that the caches have shown to be gone.
func TestDeletionAsksForNoMoreThanItMust(t *testing.T) {
	all := []string{"delete DataVolume", "delete VirtualMachine", "delete secrets", "delete services", "patch virtualservers"}
	for name, test := range map[string]struct {
		spec  func(*v1beta1.VirtualServerSpec)
		first func(*bench)
		want  []string
	}{
		"of a machine whose disk was imported": {first: (*bench).importedClaim, want: all},
		"of a machine whose disk has no claim": {want: all},
		"of a machine without a Service": {
			spec:  func(spec *v1beta1.VirtualServerSpec) { spec.Network.TCP = nil },
			first: (*bench).importedClaim,
			want:  []string{"delete DataVolume", "delete VirtualMachine", "delete secrets", "get services", "patch virtualservers"},
		},
		"of a machine without cloud-init": {
			spec:  func(spec *v1beta1.VirtualServerSpec) { spec.CloudInit = "" },
			first: (*bench).importedClaim,
			want:  []string{"delete DataVolume", "delete VirtualMachine", "delete services", "get secrets", "patch virtualservers"},
		},
		"of a machine that is held": {
			spec: func(spec *v1beta1.VirtualServerSpec) { spec.Storage.Root.Ephemeral = true },
			want: []string{"delete DataVolume", "delete secrets", "delete services", "get VirtualMachine", "get VirtualMachineInstance",
				"patch virtualservers"},
		},
		"of a disk that stays": {
			spec:  func(spec *v1beta1.VirtualServerSpec) { spec.Storage.Root.DeletionPolicy = v1beta1.DeletionPolicyRetain },
			first: (*bench).importedClaim,
			want: []string{"delete DataVolume", "delete VirtualMachine", "delete secrets", "delete services", "patch persistentvolumeclaims",
				"patch virtualservers"},
		},
		"of a running machine": {
			first: func(b *bench) {
				b.importedClaim()
				name := b.server("web").Status.VM.Name
				vmi := instance("run", kubevirtv1.Running)
				vmi.Namespace, vmi.Name, vmi.Labels = testNamespace, name, map[string]string{translate.LabelUID: "vs-uid"}
				vmi.DeletionTimestamp = ptr.To(metav1.Now())
				b.kubevirt.instances[name] = vmi
				b.settle("web")
			},
			want: all,
		},
		"that another process began": {
			first: func(b *bench) {
				b.importedClaim()
				name := b.server("web").Status.VM.Name
				delete(b.kubevirt.machines, name)
				require.NoError(b.t, b.kubernetes.CoreV1().Services(testNamespace).Delete(b.t.Context(), name, metav1.DeleteOptions{}))
				b.memories = memories{}
			},
			want: []string{"delete DataVolume", "delete secrets", "get VirtualMachine", "get VirtualMachineInstance", "get services",
				"patch virtualservers"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			vs := testServer()
			if test.spec != nil {
				test.spec(&vs.Spec)
			}
			b := newBench(t, vs)
			b.settle("web")
			if test.first != nil {
				test.first(b)
			}
			machine := b.server("web").Status.VM.Name
			assert.Equal(t, test.want, b.delete("web", func() {
				if b.kubevirt.machines[machine] == nil {
					delete(b.kubevirt.instances, machine)
				}
				b.collect(machine)
			}))
			assert.Empty(t, b.kubevirt.machines)
			assert.Empty(t, b.kubevirt.volumes)
		})
	}
}
