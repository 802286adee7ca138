package integration

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// sharedClaim makes a claim of a class, and has it be bound.
func sharedClaim(e *framework.Environment, name string, change func(*corev1.PersistentVolumeClaim)) {
	e.T.Helper()
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}}
	claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
	claim.Spec.StorageClassName = ptr.To("cephfs-hdd")
	claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	if change != nil {
		change(claim)
	}
	_, err := e.Kube.CoreV1().PersistentVolumeClaims(e.Namespace).Create(e.Context, claim, metav1.CreateOptions{})
	require.NoError(e.T, err)
}

func ephemeralFilesystem(claim string) func(*v1beta1.VirtualServer) {
	return func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.Filesystems = []v1beta1.Filesystem{{Name: "data", VolumeSource: v1beta1.VolumeSource{
			Ephemeral: &v1beta1.EphemeralSource{PersistentVolumeClaim: &v1beta1.PersistentVolumeClaimSource{ClaimName: claim}}}}}
	}
}

// copyIn returns the claim that the instance of a machine has in place of an ephemeral one.
func copyIn(e *framework.Environment, machine string) string {
	e.T.Helper()
	instance := e.Instance(machine)
	require.NotNil(e.T, instance)
	for _, volume := range instance.Spec.Volumes {
		if volume.Name == "data" && volume.PersistentVolumeClaim != nil {
			return volume.PersistentVolumeClaim.ClaimName
		}
	}
	return ""
}

func TestEachRunHasItsCopyOfAnEphemeralClaim(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	sharedClaim(e, "shared", nil)
	vs := framework.Minimal("copies", framework.WithStrategy(v1beta1.RunStrategyAlways))
	ephemeralFilesystem("shared")(vs)
	e.Create(vs)
	seen := map[string]bool{}
	for range 3 {
		running := e.WaitStatus("copies", v1beta1.StatusRunning)
		machine := running.Status.VM.Name
		name := copyIn(e, machine)
		assert.False(t, seen[name], "%s has served before", name)
		seen[name] = true
		claim, err := e.Kube.CoreV1().PersistentVolumeClaims(e.Namespace).Get(e.Context, name, metav1.GetOptions{})
		require.NoError(t, err)
		assert.Equal(t, string(running.Status.VM.InstanceUID), claim.Annotations["tensorstack.dev/instance-uid"])
		template := e.Machine(machine).Spec.Template.Spec.Volumes
		for _, volume := range template {
			if volume.Name == "data" {
				assert.NotEqual(t, name, volume.PersistentVolumeClaim.ClaimName, "the next run gets another")
			}
		}
		condition := e.WaitCondition("copies", v1beta1.ConditionRestartRequired, metav1.ConditionFalse)
		assert.NotNil(t, condition)
		gone := running.Status.VM.InstanceUID
		e.MustOperate("copies", "restart")
		e.Wait("copies", "another instance runs", func(vs *v1beta1.VirtualServer) string {
			if vs.Status.PrintableStatus == v1beta1.StatusRunning && vs.Status.VM.InstanceUID != gone {
				return ""
			}
			return string(vs.Status.PrintableStatus)
		})
	}
	e.MustOperate("copies", "stop")
	e.WaitStatus("copies", v1beta1.StatusStopped)
	e.Eventually("no copy is left", func() error {
		left := e.MustKubectl("get", "pvc,dv,volumesnapshots", "-o", "jsonpath={.items[*].metadata.name}")
		for name := range seen {
			if strings.Contains(left, name) {
				return errMissing("the end of " + name)
			}
		}
		return nil
	})
}

func TestAnEphemeralClaimThatCannotBeCopiedIsRefused(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	sharedClaim(e, "by-hand", func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = ptr.To("") })
	vs := framework.Minimal("refused")
	ephemeralFilesystem("by-hand")(vs)
	// The server's cache may not have the claim yet, so each try is one without effect.
	e.Eventually("it is refused", func() error {
		_, err := e.Client().Create(e.Context, vs, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil {
			return errMissing("a refusal")
		}
		assert.ErrorContains(t, err, "spec.storage.filesystems[0].ephemeral.persistentVolumeClaim")
		assert.ErrorContains(t, err, "has no StorageClass")
		return nil
	})
}
