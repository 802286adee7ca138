package integration

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
