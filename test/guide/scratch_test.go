package guide

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/controlplane"
	"tensorstack.dev/virtualserver/test/framework"
	"tensorstack.dev/virtualserver/test/realnode/csi"
)

// throwAway has the claim pvc-name as an ephemeral filesystem, as the guide has it.
func throwAway(vs *v1beta1.VirtualServer) {
	vs.Spec.Storage.Filesystems = []v1beta1.Filesystem{{Name: "filesys-name", VolumeSource: v1beta1.VolumeSource{
		Ephemeral: &v1beta1.EphemeralSource{PersistentVolumeClaim: &v1beta1.PersistentVolumeClaimSource{ClaimName: "pvc-name"}}}}}
}

// claimOf makes a claim of a class.
func claimOf(e *framework.Environment, name, class, size string) {
	e.T.Helper()
	apply(e, fmt.Sprintf(`{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":%q},"spec":{"accessModes":["ReadWriteMany"],
		"storageClassName":%q,"resources":{"requests":{"storage":%q}}}}`, name, class, size))
}

// filesOf describes everything that is in a volume of the storage driver: names, owners, modes, times and contents.
func filesOf(e *framework.Environment, claim string) string {
	e.T.Helper()
	volume := e.MustKubectl("get", "pvc", claim, "-o", "jsonpath={.spec.volumeName}")
	handle := e.MustKubectl("get", "pv", volume, "-o", "jsonpath={.spec.csi.volumeHandle}")
	folder := filepath.Join(csi.Folder(e.Plane.VolumesDir()), "volumes", handle, "data")
	script := `cd "$0" && find . -printf '%p %u %g %m %s %T@ %y %l\n' | sort && find . -type f -print0 | sort -z | xargs -0 sha256sum`
	output, err := exec.CommandContext(e.Context, "sh", "-c", script, folder).CombinedOutput()
	require.NoError(e.T, err, string(output))
	return string(output)
}

// mounts mounts the filesystem and returns what is in it.
func (g *guest) mounts() string {
	g.e.T.Helper()
	return strings.Join(strings.Fields(g.run("mkdir -p /mnt/fs && mount -t virtiofs filesys-name /mnt/fs && ls /mnt/fs && cat /mnt/fs/given")), " ")
}

// writes changes, removes and adds files.
func (g *guest) writes() {
	g.e.T.Helper()
	g.run("echo mine > /mnt/fs/mine && echo changed > /mnt/fs/given && rm /mnt/fs/doomed && dd if=/dev/urandom of=/mnt/fs/large bs=64k count=16 2>/dev/null && sync")
	assert.Equal(g.e.T, "mine", strings.TrimSpace(g.run("cat /mnt/fs/mine")), "the guest may write")
}

// begins makes the claim with some files, and boots a machine that has it. The files are those of the user whom KubeVirt's
// virtiofs and CDI's copies are.
func begins(e *framework.Environment, name, class string) *guest {
	e.T.Helper()
	claimOf(e, "pvc-name", class, "128Mi")
	podThat(e, "filler", "cd /claim/pvc-name && echo first > given && echo x > doomed && mkdir -m 700 folder && dd if=/dev/urandom of=folder/data bs=64k count=8 "+
		"2>/dev/null && ln -s given link && chown -R 107:107 .", "pvc-name")
	e.Create(small(e, name, framework.WithStrategy(v1beta1.RunStrategyAlways), throwAway))
	return boot(e, name, "")
}

func TestEphemeralClaimAsAFileSystem(t *testing.T) {
	e := newEnvironment(t)
	const name = "throw-away"
	g := begins(e, name, controlplane.SnapshotClass)
	before := filesOf(e, "pvc-name")
	const given = "doomed folder given link first"
	expect := func(t *testing.T, g *guest, want string) {
		t.Helper()
		g = g.in(t)
		assert.Equal(t, want, g.mounts())
		g.writes()
		assert.Equal(t, before, filesOf(withT(e, t), "pvc-name"), "the claim is unchanged byte by byte")
	}
	t.Run("the guest sees the claim and may write, and the claim never changes", func(t *testing.T) { expect(t, g, given) })
	g = g.restart()
	t.Run("what was written is gone after a restart", func(t *testing.T) { expect(t, g, given) })
	t.Run("what was written is gone after a stop, and the next run sees what changed in the claim meanwhile", func(t *testing.T) {
		e := withT(e, t)
		e.MustOperate(name, "stop")
		e.WaitStatus(name, v1beta1.StatusStopped)
		assert.Equal(t, "pvc-name", leftOf(e, name), "a machine that has stopped holds no copy")
		podThat(e, "changer", "cd /claim/pvc-name && echo second > given && echo new > later", "pvc-name")
		before = filesOf(e, "pvc-name")
		e.MustOperate(name, "start")
		g = boot(e, name, "")
		expect(t, g, "doomed folder given later link second")
	})
	instance := e.Get(name).Status.VM.InstanceUID
	killQEMU(e, e.MachineName(name))
	g = boot(e, name, string(instance))
	t.Run("what was written is gone after a crash", func(t *testing.T) { expect(t, g, "doomed folder given later link second") })
	t.Run("a claim that has grown gives a larger copy", func(t *testing.T) {
		e := withT(e, t)
		e.MustKubectl("patch", "pvc", "pvc-name", "-p", `{"spec":{"resources":{"requests":{"storage":"192Mi"}}}}`)
		e.Within(bootTimeout, "the claim has grown", func() error {
			if size := e.MustKubectl("get", "pvc", "pvc-name", "-o", "jsonpath={.status.capacity.storage}"); size != "192Mi" {
				return fmt.Errorf("it has %s", size)
			}
			return nil
		})
		g.in(t).restart()
		assert.Contains(t, e.MustKubectl("get", "pvc", "-l", "tensorstack.dev/virtual-machine="+e.MachineName(name), "-o",
			"jsonpath={.items[*].status.capacity.storage}"), "192Mi")
	})
	t.Run("nothing is left of a machine that is deleted", func(t *testing.T) {
		e := withT(e, t)
		require.NoError(t, e.Client().Delete(e.Context, name, metav1.DeleteOptions{}))
		e.Within(bootTimeout, "only the claim is left", func() error {
			if left := leftOf(e, name); left != "pvc-name" {
				return fmt.Errorf("there are %s", left)
			}
			return nil
		})
	})
}

// leftOf lists the claims and snapshots that there are, but for the root disk.
func leftOf(e *framework.Environment, name string) string {
	e.T.Helper()
	var left []string
	root := ""
	if vs, err := e.Client().Get(e.Context, name, metav1.GetOptions{}); err == nil {
		root = vs.Status.VM.Name
	}
	for _, object := range strings.Fields(e.MustKubectl("get", "pvc,volumesnapshots", "-o", "jsonpath={.items[*].metadata.name}")) {
		if object != root {
			left = append(left, object)
		}
	}
	return strings.Join(left, " ")
}

// Without snapshots a copy is made while nobody writes to the claim, and who may write is named.
func TestEphemeralFileSystemWaitsForWriters(t *testing.T) {
	e := newEnvironment(t)
	const name, given = "no-snapshots", "doomed folder given link first"
	g := begins(e, name, "cephfs-hdd")
	assert.Equal(t, given, g.mounts())
	g.writes()
	e.MustOperate(name, "stop")
	e.WaitStatus(name, v1beta1.StatusStopped)
	apply(e, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"writer"},"spec":{"terminationGracePeriodSeconds":0,"containers":[{"name":"tools",
		"image":"`+toolsImage+`","imagePullPolicy":"IfNotPresent","command":["sleep","3600"],"volumeMounts":[{"name":"v","mountPath":"/v"}]}],
		"volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"pvc-name"}}]}}`)
	e.MustOperate(name, "start")
	e.WaitFor(bootTimeout, name, "names the writer", func(vs *v1beta1.VirtualServer) string {
		if !strings.Contains(vs.Status.Message, "it waits until nobody writes to the claim. Pod writer may") {
			return vs.Status.Message
		}
		return ""
	})
	e.MustKubectl("delete", "pod", "writer")
	assert.Equal(t, given, boot(e, name, "").mounts())
}

// The product is killed again and again while a run begins and ends, and a node loses its power.
func TestEphemeralFileSystemWhateverDies(t *testing.T) {
	if os.Getenv("ALONE") == "" {
		t.Skip("kills the product and a node that other tests use: ALONE=1, see make test-node-loss")
	}
	e := newEnvironment(t)
	const name, given = "whatever-dies", "doomed folder given link first"
	g := begins(e, name, controlplane.SnapshotClass)
	before := filesOf(e, "pvc-name")
	require.Equal(t, given, g.mounts())
	g.writes()
	gone := e.Get(name).Status.VM.InstanceUID
	killedAtEachStep(e, name, string(gone))
	g = boot(e, name, string(gone))
	assert.Equal(t, before, filesOf(e, "pvc-name"))
	require.Equal(t, given, g.mounts())
	g.writes()

	vs := e.Get(name)
	require.NoError(t, e.Plane.Kill(e.Context, vs.Status.Node))
	e.WaitStatus(name, v1beta1.StatusUnknown)
	require.NoError(t, e.Plane.StartComponent(e.Context, vs.Status.Node))
	g = boot(e, name, string(vs.Status.VM.InstanceUID))
	assert.Equal(t, given, g.mounts(), "what was written before the loss is gone")
	assert.Equal(t, before, filesOf(e, "pvc-name"))
}

// killedAtEachStep restarts the machine and kills the product each time that the next run has come one step further. Nothing goes
// on while the product is down, so that it is killed between any two of its steps.
func killedAtEachStep(e *framework.Environment, name, gone string) {
	e.T.Helper()
	of := "tensorstack.dev/virtual-machine=" + e.MachineName(name)
	seen := func(resource, path string) string {
		return e.MustKubectl("get", resource, "-l", of, "-o", "jsonpath="+path)
	}
	const copies = "{.items[*].metadata.annotations.tensorstack\\.dev/instance-uid}"
	steps := []struct{ after, resource, path string }{
		{"an instance is there", "vmi", "{.items[*].metadata.uid}"},
		{"a snapshot is there", "volumesnapshots", "{.items[*].metadata.name}"},
		{"the snapshot is ready", "volumesnapshots", "{.items[?(@.status.readyToUse==true)].metadata.name}"},
		{"the copy is begun", "dv", copies},
		{"the copy is filled", "dv", strings.Replace(copies, "[*]", `[?(@.status.phase=="Succeeded")]`, 1)},
		{"the machine runs", "vmi", `{.items[?(@.status.phase=="Running")].metadata.uid}`},
	}
	past := make([]string, len(steps))
	for i, step := range steps {
		past[i] = seen(step.resource, step.path)
	}
	e.MustOperate(name, "restart")
	for i, step := range steps {
		e.Within(bootTimeout, step.after, func() error {
			// A snapshot lasts for seconds, and is missed by who looks late. What comes after it is not.
			last := len(steps) - 1
			running := seen(steps[last].resource, steps[last].path)
			if now := seen(step.resource, step.path); now != "" && now != past[i] || running != "" && running != gone {
				return nil
			}
			if begun := seen("dv", copies); step.resource == "volumesnapshots" && begun != "" && begun != past[3] {
				return nil
			}
			return fmt.Errorf("not yet")
		})
		require.NoError(e.T, e.Plane.Kill(e.Context, controlplane.Product))
		require.NoError(e.T, e.Plane.StartComponent(e.Context, controlplane.Product))
		e.T.Logf("the product was killed when %s", step.after)
	}
}
