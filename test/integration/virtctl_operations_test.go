package integration

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// virtctlOperations are the commands that change a machine that runs.
func virtctlOperations() []step {
	return []step{
		{"pause and unpause", func(_ *testing.T, v *virtctl) {
			for _, kind := range []string{"vm", "vmi"} {
				v.run("pause", kind, v.target)
				v.WaitStatus(v.server, v1beta1.StatusPaused)
				v.run("unpause", kind, v.target)
				v.WaitStatus(v.server, v1beta1.StatusRunning)
			}
		}},
		{"soft-reboot", func(_ *testing.T, v *virtctl) { v.reboots("soft-reboot") }},
		{"reset", func(_ *testing.T, v *virtctl) { v.reboots("reset") }},
		{"addvolume and removevolume", virtctlVolumes},
		{"addvolume --persist", virtctlPersistentVolume},
		{"memory-dump", virtctlMemoryDump},
		{"migrate", virtctlMigrate},
	}
}

// loginTime is when the guest was booted, in seconds.
func (v *virtctl) loginTime() float64 {
	v.T.Helper()
	list := struct{ Items []struct{ LoginTime float64 } }{}
	v.Eventually("the guest agent answers", func() error {
		result := v.RunIn(v.environ, "", "kubectl-virt", "userlist", v.target)
		if result.Err != nil {
			return notYet("%s", result.Stderr)
		}
		return json.Unmarshal([]byte(result.Stdout), &list)
	})
	require.Len(v.T, list.Items, 1)
	return list.Items[0].LoginTime
}

// reboots runs a command that boots the guest anew in the same instance.
func (v *virtctl) reboots(command string) {
	v.T.Helper()
	before, instance := v.loginTime(), v.Instance(v.machine).UID
	v.Eventually("a later second than that of the last boot", func() error {
		if now := float64(time.Now().Unix()); now <= before {
			return notYet("it is still %v", now)
		}
		return nil
	})
	v.run(command, v.target)
	assert.Greater(v.T, v.loginTime(), before, "the guest was booted anew")
	assert.Equal(v.T, instance, v.Instance(v.machine).UID, "in the same instance")
}

func virtctlVolumes(t *testing.T, v *virtctl) {
	v.claimWithADisk("extra", "1Gi")
	v.refused("is not a DataVolume or PersistentVolumeClaim", "addvolume", v.target, "--volume-name=missing")
	v.run("addvolume", v.target, "--volume-name=extra", "--serial=EXTRA01")
	v.waitVolume("extra", kubevirtv1.VolumeReady)
	guest := v.guest()
	// KubeVirt 1.7 lowers the serial of a disk that is added to a running guest, until the next start.
	assert.Contains(t, guest.Run("lsblk"), "extra01", "the guest sees the disk")

	v.run("removevolume", v.target, "--volume-name=extra")
	v.Eventually("the volume is gone from the instance", func() error {
		for _, volume := range v.Instance(v.machine).Status.VolumeStatus {
			if volume.Name == "extra" {
				return notYet("it is %s", volume.Phase)
			}
		}
		return nil
	})
	assert.NotContains(t, guest.Run("lsblk"), "extra01", "and from the guest")
}

func virtctlPersistentVolume(_ *testing.T, v *virtctl) {
	v.claimWithADisk("kept", "1Gi")
	inMachine := func() bool {
		return slices.ContainsFunc(v.Machine(v.machine).Spec.Template.Spec.Volumes, func(volume kubevirtv1.Volume) bool { return volume.Name == "kept" })
	}
	v.run("addvolume", v.target, "--volume-name=kept", "--persist")
	v.waitVolume("kept", kubevirtv1.VolumeReady)
	v.Eventually("the volume is in the VirtualMachine", func() error {
		if !inMachine() {
			return notYet("it is not")
		}
		return nil
	})
	v.run("removevolume", v.target, "--volume-name=kept", "--persist")
	v.Eventually("the volume has left the VirtualMachine", func() error {
		if inMachine() {
			return notYet("it is still there")
		}
		return nil
	})
}

func (v *virtctl) waitVolume(name string, want kubevirtv1.VolumePhase) {
	v.T.Helper()
	v.Eventually("volume "+name+" is "+string(want), func() error {
		for _, volume := range v.Instance(v.machine).Status.VolumeStatus {
			if volume.Name == name && volume.Phase == want {
				return nil
			}
		}
		return notYet("volumes: %+v", v.Instance(v.machine).Status.VolumeStatus)
	})
}

func virtctlMemoryDump(_ *testing.T, v *virtctl) {
	v.claim("dump", "2Gi")
	v.run("memory-dump", "get", v.target, "--claim-name=dump")
	v.Eventually("the memory is dumped", func() error {
		request := v.Machine(v.machine).Status.MemoryDumpRequest
		if request == nil || request.ClaimName != "dump" || request.Phase != kubevirtv1.MemoryDumpCompleted {
			return notYet("%+v", request)
		}
		return nil
	})
	v.run("memory-dump", "remove", v.target)
	v.Eventually("the dump is forgotten", func() error {
		if request := v.Machine(v.machine).Status.MemoryDumpRequest; request != nil {
			return notYet("%+v", request)
		}
		return nil
	})
}

func virtctlMigrate(t *testing.T, v *virtctl) {
	before := v.Instance(v.machine)
	v.run("migrate", v.target)
	v.Eventually("the machine runs on the other node", func() error {
		now := v.Instance(v.machine)
		if now.Status.NodeName == before.Status.NodeName || now.Status.MigrationState == nil || !now.Status.MigrationState.Completed {
			return notYet("node %s, migration %+v", now.Status.NodeName, now.Status.MigrationState)
		}
		return nil
	})
	assert.Equal(t, before.UID, v.Instance(v.machine).UID, "it was not restarted")
	v.Wait(v.server, "shows the new node", func(vs *v1beta1.VirtualServer) string {
		if vs.Status.PrintableStatus != v1beta1.StatusRunning || vs.Status.Node == before.Status.NodeName {
			return "not yet"
		}
		return ""
	})
}

// virtctlPower are the commands that end or begin a run of the machine. Here our own table speaks through the prefix.
func virtctlPower() []step {
	return []step{
		{"restart", func(_ *testing.T, v *virtctl) {
			before := v.Get(v.server).Status.VM.InstanceUID
			v.run("restart", v.target)
			v.Wait(v.server, "runs in another instance", func(vs *v1beta1.VirtualServer) string {
				if vs.Status.VM.InstanceUID == "" || vs.Status.VM.InstanceUID == before || vs.Status.PrintableStatus != v1beta1.StatusRunning {
					return "not yet"
				}
				return ""
			})
			v.WaitSettled(v.server, v1beta1.StatusRunning)
		}},
		{"stop", func(t *testing.T, v *virtctl) {
			v.run("stop", v.target)
			assert.Equal(t, v1beta1.RunStrategyHalted, v.WaitSettled(v.server, v1beta1.StatusStopped).Status.RunStrategy)
			if v.prefix {
				v.refused("stop is not possible under run strategy Halted", "stop", v.target)
			}
		}},
		{"start", func(t *testing.T, v *virtctl) {
			v.run("start", v.target)
			assert.Equal(t, v1beta1.RunStrategyAlways, v.WaitSettled(v.server, v1beta1.StatusRunning).Status.RunStrategy)
			if v.prefix {
				v.refused("start is not possible under run strategy Always", "start", v.target)
			}
		}},
		{"stop --force", func(_ *testing.T, v *virtctl) {
			v.run("stop", v.target, "--force", "--grace-period=0")
			v.WaitSettled(v.server, v1beta1.StatusStopped)
		}},
		{"start --paused", func(_ *testing.T, v *virtctl) {
			v.run("start", v.target, "--paused")
			v.WaitSettled(v.server, v1beta1.StatusPaused)
		}},
	}
}
