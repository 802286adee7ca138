package guide

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// marker is a file of the guest's memory: it is there as long as the guest runs without a boot.
const marker = "/tmp/marker"

// byBothNames runs a command of kubectl virt by the machine's name, and by the VirtualServer's, which must say the same.
func byBothNames(e *framework.Environment, name, command string) string {
	e.T.Helper()
	machine := must(e, "kubectl", "virt", "-n", e.Namespace, command, e.MachineName(name))
	virtualServer := must(e, "kubectl", "vs", "-n", e.Namespace, "virt", command, name)
	assert.NotEmpty(e.T, machine, command)
	assert.NotEmpty(e.T, virtualServer, command)
	return machine + virtualServer
}

// bootsAnew waits until the guest has a shell and nothing in memory from before, in the same instance.
func (g *guest) bootsAnew(instance types.UID) {
	g.e.T.Helper()
	found, err := g.read("GUEST-READY", bootTimeout)
	if err == nil {
		require.True(g.e.T, found, "the guest did not come back: %q", tail(g.unread))
	}
	g.connect()
	g.run("dmesg -n 1")
	_, code := g.try("test -e " + marker)
	assert.Equal(g.e.T, "1", code, "the guest was not booted anew")
	assert.Equal(g.e.T, instance, g.e.Get(g.name).Status.VM.InstanceUID, "in the same instance")
}

// What can be done to a guest that runs, beyond what TestOperationsOnARunningGuest does.
func TestRebootHotplugAndMigrationOfAGuest(t *testing.T) {
	e := newEnvironment(t)
	const name = "moving"
	e.Create(small(e, name, func(vs *v1beta1.VirtualServer) {
		// A machine moves only if both nodes may use its disk.
		vs.Spec.Storage.Root.PVC.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
	}))
	g := boot(e, name, "")
	instance := e.Get(name).Status.VM.InstanceUID

	t.Run("the guest agent tells users, file systems and system by both names", func(t *testing.T) {
		e := withT(e, t)
		e.Within(bootTimeout, "the guest agent answers", func() error {
			return e.Run("", "kubectl", "virt", "-n", e.Namespace, "guestosinfo", e.MachineName(name)).Err
		})
		assert.Contains(t, byBothNames(e, name, "guestosinfo"), "kernelRelease")
		assert.Contains(t, byBothNames(e, name, "userlist"), "root")
		assert.Contains(t, byBothNames(e, name, "fslist"), "/boot")
	})
	t.Run("a volume is added to the guest while it runs, and removed", func(t *testing.T) { hotplugs(g.in(t)) })
	t.Run("the guest moves to the other node without a boot", func(t *testing.T) { migrates(g.in(t)) })
	// The console is another node's now.
	g.connect()
	t.Run("reset boots the guest anew at once", func(t *testing.T) {
		g := g.in(t)
		g.run("touch " + marker)
		must(g.e, "kubectl", "virt", "-n", g.e.Namespace, "reset", g.e.MachineName(name))
		g.bootsAnew(instance)
	})
	g.connect()
	t.Run("softreboot asks the guest to boot anew", func(t *testing.T) {
		g := g.in(t)
		g.run("touch " + marker)
		g.e.Within(bootTimeout, "the guest agent, by which it is asked, answers", func() error {
			return g.e.Run("", "kubectl", "virt", "-n", g.e.Namespace, "guestosinfo", g.e.MachineName(name)).Err
		})
		must(g.e, "kubectl", "vs", "-n", g.e.Namespace, "virt", "soft-reboot", name)
		g.bootsAnew(instance)
	})
}

func hotplugs(g *guest) {
	e := g.e
	claim(e, "extra", "128Mi")
	addsNothing(e, g.name)
	podThat(e, "maker", "dd if=/dev/zero of=/claim/extra/disk.img bs=1M count=64 2>/dev/null; chmod 666 /claim/extra/disk.img", "extra")
	must(e, "kubectl", "vs", "-n", e.Namespace, "virt", "addvolume", g.name, "--volume-name=extra", "--serial=EXTRA01")
	// The small guest has no udev, which would note the new disk's serial for lsblk by itself. KubeVirt 1.7 gives a disk that
	// is added to a running guest its serial in lower case (virt-launcher lowers the whole XML), until the next start.
	const find = "disk-records; lsblk --nodeps -no name,serial | grep -i EXTRA01 | cut -f1 -d' '"
	disk := ""
	e.Within(bootTimeout, "the guest sees the disk", func() error {
		if disk = strings.TrimSpace(g.run(find)); disk == "" {
			return fmt.Errorf("no disk EXTRA01 yet")
		}
		return nil
	})
	g.run("mkfs.ext4 -q /dev/" + disk + " && mkdir -p /mnt/extra && mount -t ext4 /dev/" + disk + " /mnt/extra && echo x > /mnt/extra/x && umount /mnt/extra")
	must(e, "kubectl", "virt", "-n", e.Namespace, "removevolume", e.MachineName(g.name), "--volume-name=extra")
	e.Within(bootTimeout, "the disk is gone from the guest", func() error {
		if left := strings.TrimSpace(g.run(find)); left != "" {
			return fmt.Errorf("%s is there still", left)
		}
		return nil
	})
}

// addsNothing adds an empty claim: KubeVirt makes no disk in one that is added to a guest that runs, other than in one that the
// guest starts with. The VirtualServer says so.
func addsNothing(e *framework.Environment, name string) {
	e.T.Helper()
	claim(e, "empty", "64Mi")
	must(e, "kubectl", "vs", "-n", e.Namespace, "virt", "addvolume", name, "--volume-name=empty")
	vs := e.WaitFor(bootTimeout, name, "says that the volume cannot reach the guest", func(vs *v1beta1.VirtualServer) string {
		if meta.FindStatusCondition(vs.Status.Conditions, v1beta1.ConditionVolumesReady) == nil {
			return "it does not"
		}
		return ""
	})
	told := meta.FindStatusCondition(vs.Status.Conditions, v1beta1.ConditionVolumesReady)
	assert.Equal(e.T, "NoDiskInClaim", told.Reason)
	assert.Contains(e.T, told.Message, "Volume empty does not reach the guest: its claim empty holds no disk.")
	must(e, "kubectl", "vs", "-n", e.Namespace, "virt", "removevolume", name, "--volume-name=empty")
	e.WaitFor(bootTimeout, name, "says no more of it", func(vs *v1beta1.VirtualServer) string {
		if meta.FindStatusCondition(vs.Status.Conditions, v1beta1.ConditionVolumesReady) != nil {
			return "it does still"
		}
		return ""
	})
}

func migrates(g *guest) {
	e := g.e
	before := e.Get(g.name).Status
	g.run("touch " + marker)
	must(e, "kubectl", "vs", "-n", e.Namespace, "virt", "migrate", g.name)
	e.WaitFor(bootTimeout, g.name, "runs on another node", func(vs *v1beta1.VirtualServer) string {
		if vs.Status.PrintableStatus != v1beta1.StatusRunning || vs.Status.Node == before.Node || vs.Status.Node == "" {
			return "on " + vs.Status.Node
		}
		return ""
	})
	g.connect()
	g.run("test -e " + marker)
	assert.Equal(e.T, before.VM.InstanceUID, e.Get(g.name).Status.VM.InstanceUID)
}

// Ready follows the guest's run: it is withdrawn with the one, and comes back when the guest agent of the next one answers.
func TestReadyFollowsTheGuestsRun(t *testing.T) {
	e := newEnvironment(t)
	const name = "ready"
	e.Create(small(e, name, framework.WithStrategy(v1beta1.RunStrategyAlways)))
	e.MustKubectl("wait", "--for=condition=Ready", "--timeout="+bootTimeout.String(), "virtualserver/"+name)
	vs := e.Get(name)
	require.Equal(t, v1beta1.StatusRunning, vs.Status.PrintableStatus)
	boot(e, name, "")
	answered := func(vs *v1beta1.VirtualServer) string {
		if agent := vs.Status.GuestAgent; agent == nil || agent.InstanceUID != vs.Status.VM.InstanceUID {
			return "the guest agent has not answered"
		}
		return ""
	}
	e.WaitFor(bootTimeout, name, "has a guest agent", answered)
	killQEMU(e, vs.Status.VM.Name)
	e.WaitCondition(name, v1beta1.ConditionReady, "False")
	began := runs(e, name, string(vs.Status.VM.InstanceUID))
	if ready := meta.FindStatusCondition(began.Status.Conditions, v1beta1.ConditionReady); ready.Status != "True" {
		assert.Equal(t, "GuestStarting", ready.Reason)
	}
	e.MustKubectl("wait", "--for=condition=Ready", "--timeout="+bootTimeout.String(), "virtualserver/"+name)
	now := e.Get(name)
	assert.Empty(t, answered(now), "Ready has waited for the guest agent")
	g := boot(e, name, string(vs.Status.VM.InstanceUID))
	g.run("true")
	require.NotNil(t, now.Status.LastFailure, "the end that nobody asked for is told")
	assert.Equal(t, v1beta1.RunStrategyAlways, now.Status.RunStrategy)
}
