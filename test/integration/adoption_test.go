package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// waitStrategy waits for the strategy in force on both sides.
func waitStrategy(e *framework.Environment, name, machine string, want v1beta1.RunStrategy) {
	e.T.Helper()
	e.Wait(name, "has strategy "+string(want)+" here and in KubeVirt", func(vs *v1beta1.VirtualServer) string {
		found := e.Machine(machine)
		if vs.Status.RunStrategy != want || found == nil || found.Spec.RunStrategy == nil || string(*found.Spec.RunStrategy) != string(want) {
			return "not yet"
		}
		return ""
	})
}

// What people do to the VirtualMachine with KubeVirt's own tools is adopted, not fought.
func TestOperationsOnTheVirtualMachineAreAdopted(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine"))
	machine := e.WaitSettled("machine", v1beta1.StatusRunning).Status.VM.Name

	virt := func(arguments ...string) {
		t.Helper()
		result := e.Run("", "kubectl-virt", append([]string{"--namespace", e.Namespace}, arguments...)...)
		require.NoError(t, result.Err, result.Stderr)
	}
	virt("stop", machine)
	waitStrategy(e, "machine", machine, v1beta1.RunStrategyHalted)
	e.WaitStatus("machine", v1beta1.StatusStopped)
	virt("start", machine)
	waitStrategy(e, "machine", machine, v1beta1.RunStrategyAlways)
	first := e.WaitSettled("machine", v1beta1.StatusRunning).Status.VM.InstanceUID
	virt("restart", machine)
	e.Wait("machine", "runs in another instance", func(vs *v1beta1.VirtualServer) string {
		if vs.Status.PrintableStatus != v1beta1.StatusRunning || vs.Status.VM.InstanceUID == first {
			return "not yet"
		}
		return ""
	})
	virt("pause", "vm", machine)
	e.WaitStatus("machine", v1beta1.StatusPaused)
	virt("unpause", "vm", machine)
	e.WaitStatus("machine", v1beta1.StatusRunning)

	e.PatchMachine(machine, `{"spec":{"runStrategy":"Manual"}}`)
	waitStrategy(e, "machine", machine, v1beta1.RunStrategyManual)
}

func TestForeignFieldsOfTheVirtualMachineSurvive(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine"))
	machine := e.WaitSettled("machine", v1beta1.StatusRunning).Status.VM.Name
	e.PatchMachine(machine, `{"metadata":{"labels":{"backup":"nightly"}}}`)
	e.MustKubectl("patch", "virtualserver", "machine", "--type=merge", "-p", `{"spec":{"network":{"macAddress":"02:00:00:4c:1f:07"}}}`)
	e.Eventually("the address reaches the VirtualMachine", func() error {
		if e.Machine(machine).Spec.Template.Spec.Domain.Devices.Interfaces[0].MacAddress != "02:00:00:4c:1f:07" {
			return errMissing("the address")
		}
		return nil
	})
	assert.Equal(t, "nightly", e.Machine(machine).Labels["backup"])
}

func TestThingsDeletedByHandAreHealed(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine", func(vs *v1beta1.VirtualServer) {
		vs.Spec.CloudInit = "#cloud-config\nhostname: machine\n"
		vs.Spec.Network.TCP = []int32{22}
	}))
	vs := e.WaitSettled("machine", v1beta1.StatusRunning)
	machine, first := vs.Status.VM.Name, vs.Status.VM.InstanceUID

	require.NoError(t, e.Kube.CoreV1().Services(e.Namespace).Delete(e.Context, machine, metav1.DeleteOptions{}))
	require.NoError(t, e.Kube.CoreV1().Secrets(e.Namespace).Delete(e.Context, machine, metav1.DeleteOptions{}))
	e.Eventually("Service and Secret are back", func() error {
		if _, err := e.Kube.CoreV1().Services(e.Namespace).Get(e.Context, machine, metav1.GetOptions{}); err != nil {
			return err
		}
		_, err := e.Kube.CoreV1().Secrets(e.Namespace).Get(e.Context, machine, metav1.GetOptions{})
		return err
	})
	e.Delete("virtualmachines", machine)
	e.Wait("machine", "runs in a new instance", func(vs *v1beta1.VirtualServer) string {
		if vs.Status.PrintableStatus != v1beta1.StatusRunning || vs.Status.VM.InstanceUID == first {
			return "not yet"
		}
		return ""
	})
}

// An instance that somebody deletes is no failure: the run strategy says what follows.
func TestInstanceDeletedByHand(t *testing.T) {
	t.Parallel()
	for strategy, want := range map[v1beta1.RunStrategy]v1beta1.PrintableStatus{
		v1beta1.RunStrategyAlways: v1beta1.StatusRunning,
		v1beta1.RunStrategyManual: v1beta1.StatusStopped,
	} {
		t.Run(string(strategy), func(t *testing.T) {
			t.Parallel()
			e := framework.New(t)
			vs := createRunning(e, strategy)
			e.Delete("virtualmachineinstances", vs.Status.VM.Name)
			vs = e.Wait("machine", "ends up "+string(want), func(now *v1beta1.VirtualServer) string {
				if now.Status.PrintableStatus != want || now.Status.VM.InstanceUID == vs.Status.VM.InstanceUID {
					return "not yet"
				}
				return ""
			})
			assert.Equal(t, strategy, vs.Status.RunStrategy)
			assert.Nil(t, vs.Status.LastFailure)
		})
	}
}

// docs/status.md says what becomes of a root disk that somebody deletes.
func TestRootDiskDeletedByHand(t *testing.T) {
	t.Parallel()
	for _, resource := range []string{"datavolumes", "persistentvolumeclaims"} {
		t.Run(resource, func(t *testing.T) {
			t.Parallel()
			e := framework.New(t)
			e.Create(framework.Minimal("machine"))
			vs := e.WaitSettled("machine", v1beta1.StatusRunning)
			machine := vs.Status.VM.Name
			claim := claimUID(e, machine)
			require.NotEmpty(t, claim)

			e.MustKubectl("delete", resource, machine, "--wait=false")
			waits := e.WaitCondition("machine", v1beta1.ConditionReconciled, metav1.ConditionFalse)
			assert.Equal(t, "DiskDeleted", findCondition(waits, v1beta1.ConditionReconciled).Reason)
			assert.Equal(t, v1beta1.StatusRunning, waits.Status.PrintableStatus, "a running machine keeps its disk")
			assert.Equal(t, vs.Status.VM.InstanceUID, waits.Status.VM.InstanceUID)

			e.MustOperate("machine", "stop")
			e.Eventually("another disk is imported", func() error {
				if now := claimUID(e, machine); now == "" || now == claim {
					return errMissing("another claim")
				}
				return nil
			})
			e.WaitCondition("machine", v1beta1.ConditionDataImported, metav1.ConditionTrue)
			e.WaitCondition("machine", v1beta1.ConditionReconciled, metav1.ConditionTrue)
			e.WaitSettled("machine", v1beta1.StatusStopped)
			e.MustOperate("machine", "start")
			e.WaitSettled("machine", v1beta1.StatusRunning)
		})
	}
}

// A claim without a DataVolume is a disk that was imported before, and is kept as it is.
func TestClaimWhoseDataVolumeIsGone(t *testing.T) {
	t.Parallel()
	e := framework.New(t)
	e.Create(framework.Minimal("machine"))
	machine := e.WaitSettled("machine", v1beta1.StatusRunning).Status.VM.Name
	claim := claimUID(e, machine)
	e.Within(2*time.Minute, "the claim is marked as imported", func() error {
		if mark := e.MustKubectl("get", "pvc", machine, "-o", `jsonpath={.metadata.annotations.tensorstack\.dev/imported}`); mark != "true" {
			return fmt.Errorf("the mark is %q", mark)
		}
		return nil
	})
	e.MustKubectl("delete", "datavolume", machine, "--cascade=orphan")
	e.MustOperate("machine", "restart")
	e.Wait("machine", "runs again", func(vs *v1beta1.VirtualServer) string {
		if vs.Status.PrintableStatus != v1beta1.StatusRunning || vs.Status.PendingOperation != nil {
			return "not yet"
		}
		return ""
	})
	assert.Equal(t, claim, claimUID(e, machine), "the disk is the same")
	assert.Nil(t, e.DataVolume(machine))
	assert.Equal(t, metav1.ConditionTrue, findCondition(e.Get("machine"), v1beta1.ConditionDataImported).Status)
	e.MustKubectl("delete", "virtualserver", "machine", "--timeout=90s")
	nothingLeft(e)
}

// claimUID is the UID of the claim of a machine, or empty if there is none or it is being deleted.
func claimUID(e *framework.Environment, machine string) types.UID {
	e.T.Helper()
	claim, err := e.Kube.CoreV1().PersistentVolumeClaims(e.Namespace).Get(e.Context, machine, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && claim.DeletionTimestamp != nil {
		return ""
	}
	require.NoError(e.T, err)
	return claim.UID
}
