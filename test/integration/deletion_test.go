package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// nothingLeft waits until the namespace has no trace of a machine, except for the names in kept.
func nothingLeft(e *framework.Environment, kept ...string) {
	e.T.Helper()
	// The namespace controller waits up to a minute between two attempts.
	e.Within(4*time.Minute, "nothing is left of the machine", func() error {
		left, err := e.Remaining()
		if err != nil {
			return err
		}
		left = slices.DeleteFunc(left, func(name string) bool { return slices.Contains(kept, name) })
		if len(left) > 0 {
			return fmt.Errorf("still there: %v", left)
		}
		return nil
	})
}

func TestDeletionLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine", func(vs *v1beta1.VirtualServer) {
		vs.Spec.CloudInit = "#cloud-config\nhostname: machine\n"
		vs.Spec.Network.TCP = []int32{22}
	}))
	e.WaitStatus("machine", v1beta1.StatusRunning)
	watcher, err := e.Client().Watch(e.Context, metav1.ListOptions{FieldSelector: "metadata.name=machine"})
	require.NoError(t, err)
	defer watcher.Stop()

	e.MustKubectl("delete", "virtualserver", "machine", "--wait", "--timeout=90s")

	sawTerminating := false
	for event := range watcher.ResultChan() {
		if vs, ok := event.Object.(*v1beta1.VirtualServer); ok && vs.Status.PrintableStatus == v1beta1.StatusTerminating {
			sawTerminating = true
		}
		if event.Type == "DELETED" {
			break
		}
	}
	assert.True(t, sawTerminating, "the machine passes through Terminating")
	nothingLeft(e)
}

func TestDeletionCanKeepTheRootDisk(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine", func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.Root.DeletionPolicy = v1beta1.DeletionPolicyRetain
	}))
	name := e.WaitStatus("machine", v1beta1.StatusRunning).Status.VM.Name
	e.MustKubectl("delete", "virtualserver", "machine", "--wait", "--timeout=90s")
	nothingLeft(e, "persistentvolumeclaims/"+name)
	_, err := e.Kube.CoreV1().PersistentVolumeClaims(e.Namespace).Get(e.Context, name, metav1.GetOptions{})
	assert.NoError(t, err, "the root disk is kept")
}

// The ways are those of docs/status.md.
func TestAKeptRootDiskIsUsedAgain(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine", func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.Root.DeletionPolicy = v1beta1.DeletionPolicyRetain
	}))
	name := e.WaitStatus("machine", v1beta1.StatusRunning).Status.VM.Name
	e.MustKubectl("delete", "virtualserver", "machine", "--wait", "--timeout=90s")
	nothingLeft(e, "persistentvolumeclaims/"+name)
	found := e.MustKubectl("get", "pvc", "-l", "tensorstack.dev/retained-from=machine", "-o", "name")
	require.Equal(t, "persistentvolumeclaim/"+name, strings.TrimSpace(found))
	claims := e.Kube.CoreV1().PersistentVolumeClaims(e.Namespace)
	kept, err := claims.Get(e.Context, name, metav1.GetOptions{})
	require.NoError(t, err)
	untouched := func() {
		now, err := claims.Get(e.Context, name, metav1.GetOptions{})
		require.NoError(t, err)
		assert.Equal(t, kept.UID, now.UID)
		assert.Equal(t, kept.Spec, now.Spec)
		assert.Empty(t, now.OwnerReferences)
		assert.Nil(t, now.DeletionTimestamp)
		volumes := e.MustKubectl("get", "datavolumes", "-o", "name")
		assert.NotContains(t, volumes, name, "nothing fills the kept disk")
	}

	// A copy, even for a machine of the same name.
	e.Create(framework.Minimal("machine", func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.Root.Source = cdiv1.DataVolumeSource{PVC: &cdiv1.DataVolumeSourcePVC{Namespace: e.Namespace, Name: name}}
	}))
	again := e.WaitStatus("machine", v1beta1.StatusRunning)
	assert.NotEqual(t, name, again.Status.VM.Name, "it has a disk of its own")
	untouched()
	e.MustKubectl("delete", "virtualserver", "machine", "--wait", "--timeout=90s")
	nothingLeft(e, "persistentvolumeclaims/"+name)
	untouched()

	// The disk itself, beside another root disk.
	e.Create(framework.Minimal("other", func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.AdditionalDisks = []v1beta1.AdditionalDisk{{Name: "kept", VolumeSource: v1beta1.VolumeSource{
			PersistentVolumeClaim: &v1beta1.PersistentVolumeClaimSource{ClaimName: name}}}}
	}))
	e.WaitStatus("other", v1beta1.StatusRunning)
	untouched()
	e.MustKubectl("delete", "virtualserver", "other", "--wait", "--timeout=90s")
	nothingLeft(e, "persistentvolumeclaims/"+name)
	e.MustKubectl("delete", "pvc", name, "--timeout=60s")
	nothingLeft(e)
}

func TestDeletionOfTheNamespaceFinishes(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine"))
	e.WaitStatus("machine", v1beta1.StatusRunning)
	require.NoError(t, e.Kube.CoreV1().Namespaces().Delete(e.Context, e.Namespace, metav1.DeleteOptions{}))
	// The namespace controller backs off for up to a minute when it finds a pod that is still shutting down.
	e.Within(4*time.Minute, "the namespace is gone", func() error {
		_, err := e.Kube.CoreV1().Namespaces().Get(e.Context, e.Namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("the namespace is still there: %v", err)
	})
}
