package copies

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func using(claims ...string) *tensorstack.VirtualServer {
	vs := &tensorstack.VirtualServer{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web"}}
	for _, name := range claims {
		vs.Spec.Storage.Filesystems = append(vs.Spec.Storage.Filesystems, tensorstack.Filesystem{Name: "fs-" + name,
			VolumeSource: tensorstack.VolumeSource{Ephemeral: &tensorstack.EphemeralSource{
				PersistentVolumeClaim: &tensorstack.PersistentVolumeClaimSource{ClaimName: name}}}})
	}
	return vs
}

func claimOf(name string, class *string, change func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}}
	claim.Spec.StorageClassName = class
	if change != nil {
		change(claim)
	}
	return claim
}

func TestRefusesWhatCanNeverBeCopied(t *testing.T) {
	client := fake.NewClientset(
		&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "fast"}, Provisioner: "csi.example.com"},
		&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "by-hand"}, Provisioner: "kubernetes.io/no-provisioner"},
		claimOf("good", ptr.To("fast"), nil), claimOf("by-hand", ptr.To("by-hand"), nil), claimOf("static", ptr.To(""), nil),
		claimOf("unclear", nil, nil), claimOf("late-class", ptr.To("not-there-yet"), nil),
		claimOf("without", nil, func(c *corev1.PersistentVolumeClaim) { c.Status.Phase = corev1.ClaimBound }),
		claimOf("block", ptr.To("fast"), func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeMode = ptr.To(corev1.PersistentVolumeBlock) }),
	)
	factory := informers.NewSharedInformerFactory(client, 0)
	plugin := NewPlugin()
	require.Error(t, plugin.ValidateInitialization())
	plugin.SetExternalKubeInformerFactory(factory)
	require.NoError(t, plugin.ValidateInitialization())
	factory.StartWithContext(t.Context())
	factory.WaitForCacheSyncWithContext(t.Context())
	validate := func(vs, old *tensorstack.VirtualServer) error {
		operation := admission.Create
		var before *tensorstack.VirtualServer
		if old != nil {
			operation, before = admission.Update, old
		}
		return plugin.Validate(t.Context(), admission.NewAttributesRecord(vs, before, v1beta1.SchemeGroupVersion.WithKind("VirtualServer"), "ns",
			"web", v1beta1.Resource("virtualservers").WithVersion("v1beta1"), "", operation, nil, false, nil), nil)
	}
	for name, want := range map[string]string{
		"good": "", "missing": "", "unclear": "", "late-class": "",
		"by-hand": "made by hand", "static": "has no StorageClass", "without": "has no StorageClass", "block": "Block volume",
	} {
		t.Run(name, func(t *testing.T) {
			err := validate(using("good", name), nil)
			if want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, want)
			assert.ErrorContains(t, err, "spec.storage.filesystems[1].ephemeral.persistentVolumeClaim")
			assert.NoError(t, validate(using("good", name), using(name)), "what it had is no news")
			assert.Error(t, validate(using("good", name), using("good")))
		})
	}
}
