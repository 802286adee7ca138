package guide

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// What happens on nodes. These run one after another, for the others would notice.
func TestFailuresOfNodes(t *testing.T) {
	needsFailures(t)
	e := newEnvironment(t)
	log := newTimes(t)
	t.Run("out of memory", func(t *testing.T) { launcherIsKilledForMemory(withT(e, t), log) })
	t.Run("the guest's disk is full", func(t *testing.T) { guestFillsItsDisk(withT(e, t), log) })
	for _, strategy := range []v1beta1.RunStrategy{v1beta1.RunStrategyRerunOnFailure, v1beta1.RunStrategyAlways} {
		t.Run("drain under "+string(strategy), func(t *testing.T) { nodeIsDrained(withT(e, t), log, strategy) })
	}
	t.Run("kubelet is down", func(t *testing.T) { kubeletIsDown(withT(e, t), log) })
}

// launcherIsKilledForMemory makes the kernel kill the launcher: its container may use little more than it does, and the guest
// asks for more.
func launcherIsKilledForMemory(e *framework.Environment, log *times) {
	const name = "hungry"
	e.Create(small(e, name, framework.WithStrategy(v1beta1.RunStrategyRerunOnFailure)))
	g := boot(e, name, "")
	before := e.Get(name)
	limitMemory(e, before.Status.VM.Name, 8<<20)
	began := time.Now()
	g.send("dd if=/dev/urandom of=/tmp/much bs=1M count=120")
	log.expect(e, name, "launcher killed for want of memory", began, shown{v1beta1.StatusRunning, v1beta1.ConditionFailure, metav1.ConditionFalse,
		"Recovered", "OOMKilled", "Crashed"})
	vs := runs(e, name, string(before.Status.VM.InstanceUID))
	require.NotNil(e.T, vs.Status.LastFailure)
	assert.Equal(e.T, "OOMKilled", vs.Status.LastFailure.Reason)
	assert.Equal(e.T, v1beta1.RunStrategyRerunOnFailure, vs.Status.RunStrategy)
}

// limitMemory lets the container of a machine's hypervisor use only so much more memory than it does, in bytes.
func limitMemory(e *framework.Environment, machine string, more int64) {
	e.T.Helper()
	output, err := exec.CommandContext(e.Context, "pgrep", "-f", "guest="+e.Namespace+"_"+machine+",").Output()
	require.NoError(e.T, err)
	groups, err := os.ReadFile(filepath.Join("/proc", strings.Fields(string(output))[0], "cgroup"))
	require.NoError(e.T, err)
	for _, file := range memoryFiles(string(groups)) {
		used, err := os.ReadFile(file.usage)
		if err != nil {
			continue
		}
		bytes, err := strconv.ParseInt(strings.TrimSpace(string(used)), 10, 64)
		require.NoError(e.T, err)
		require.NoError(e.T, os.WriteFile(file.limit, []byte(strconv.FormatInt(bytes+more, 10)), 0))
		return
	}
	require.FailNow(e.T, "no cgroup that limits memory", string(groups))
}

type memoryFile struct{ usage, limit string }

// memoryFiles are where the memory of a cgroup is told and limited, under version 1 and 2.
func memoryFiles(groups string) []memoryFile {
	var files []memoryFile
	for _, line := range strings.Split(groups, "\n") {
		fields := strings.SplitN(line, ":", 3)
		if len(fields) != 3 {
			continue
		}
		switch fields[1] {
		case "memory":
			dir := filepath.Join("/sys/fs/cgroup/memory", fields[2])
			files = append(files, memoryFile{filepath.Join(dir, "memory.usage_in_bytes"), filepath.Join(dir, "memory.limit_in_bytes")})
		case "":
			dir := filepath.Join("/sys/fs/cgroup", fields[2])
			files = append(files, memoryFile{filepath.Join(dir, "memory.current"), filepath.Join(dir, "memory.max")})
		}
	}
	return files
}

// guestFillsItsDisk shows that a full disk is the guest's own affair: it reads the error, and the machine runs on.
func guestFillsItsDisk(e *framework.Environment, log *times) {
	const name = "full"
	claim(e, "little", "64Mi")
	e.Create(small(e, name, func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.AdditionalDisks = []v1beta1.AdditionalDisk{{Name: "data", VolumeSource: claimSource("little")}}
	}))
	g := boot(e, name, "")
	g.run("mkfs.ext4 -q /dev/vdb && mkdir -p /mnt/data && mount -t ext4 /dev/vdb /mnt/data")
	began := time.Now()
	output, code := g.try("dd if=/dev/zero of=/mnt/data/all bs=1M 2>&1; sync")
	assert.Contains(e.T, output, "No space left on device", "exit code %s", code)
	vs := e.Get(name)
	log.add("the guest's disk is full", time.Since(began), string(vs.Status.PrintableStatus)+", the guest alone reads it")
	assert.Equal(e.T, v1beta1.StatusRunning, vs.Status.PrintableStatus)
	assert.True(e.T, meta.IsStatusConditionTrue(vs.Status.Conditions, v1beta1.ConditionReady))
	assert.Nil(e.T, vs.Status.LastFailure)
	require.NoError(e.T, e.Client().Delete(e.Context, name, metav1.DeleteOptions{}))
}

// nodeIsDrained drains a node as an administrator does. The machine shuts down and starts on the other node.
func nodeIsDrained(e *framework.Environment, log *times, strategy v1beta1.RunStrategy) {
	name := "drained-" + strings.ToLower(string(strategy))
	e.Create(small(e, name, framework.WithStrategy(strategy)))
	boot(e, name, "")
	before := e.Get(name)
	node := before.Status.Node
	began := time.Now()
	e.T.Cleanup(func() { e.MustKubectl("uncordon", node) })
	drained := make(chan framework.Result, 1)
	go func() {
		drained <- e.Run("", "kubectl", "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=4m",
			"--pod-selector=kubevirt.io=virt-launcher")
	}()
	log.expect(e, name, "drain under "+string(strategy)+", while it shuts down", began, shown{v1beta1.StatusStopping, v1beta1.ConditionFailure,
		metav1.ConditionFalse, "Evicting", "(?i)evict", ""})
	vs := runs(e, name, string(before.Status.VM.InstanceUID))
	log.add("drain under "+string(strategy)+", until it runs again", time.Since(began), "on "+vs.Status.Node)
	result := <-drained
	assert.NoError(e.T, result.Err, result.Stderr)
	assert.NotEqual(e.T, node, vs.Status.Node)
	assert.Equal(e.T, strategy, vs.Status.RunStrategy)
	require.NotNil(e.T, vs.Status.LastFailure)
	assert.Equal(e.T, "Evicted", vs.Status.LastFailure.Reason)
	require.NoError(e.T, e.Client().Delete(e.Context, name, metav1.DeleteOptions{}))
}

// kubeletIsDown stops the kubelet under a machine, whose guest runs on, and starts it again.
func kubeletIsDown(e *framework.Environment, log *times) {
	const name = "unseen"
	e.Create(small(e, name))
	g := boot(e, name, "")
	g.run("touch " + marker)
	before := e.Get(name)
	hold := filepath.Join(e.Plane.NodeDir(before.Status.Node), "hold-kubelet")
	require.NoError(e.T, os.WriteFile(hold, nil, 0o600))
	release := func() { _ = os.Remove(hold) }
	e.T.Cleanup(release)
	began := time.Now()
	vs := log.expect(e, name, "kubelet is down", began, shown{v1beta1.StatusUnknown, v1beta1.ConditionReady, metav1.ConditionUnknown,
		"NodeLost", "Node .*: not heard from since", "NodeLost"})
	assert.Contains(e.T, vs.Status.Message, before.Status.Node)
	release()
	began = time.Now()
	log.expect(e, name, "kubelet is back", began, shown{v1beta1.StatusRunning, v1beta1.ConditionReady, metav1.ConditionTrue, "Running", "", "NodeFound"})
	// The node is not heard from for a moment, and the guest never noticed.
	e.Within(bootTimeout, "the guest is reached again", func() error {
		if _, code := g.try("test -e " + marker); code != "0" {
			return fmt.Errorf("exit code %s", code)
		}
		return nil
	})
	assert.Equal(e.T, before.Status.VM.InstanceUID, e.Get(name).Status.VM.InstanceUID, "in the same instance")
}
