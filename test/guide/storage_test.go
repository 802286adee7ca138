package guide

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// serial and accountSerial are the serials of the guide's examples.
const serial, accountSerial = "CVLY623300HK240D", "SERVICEACCOUNT12"

// manySources has one volume of each kind, as disks in the order of the guide, and as file systems.
func manySources(vs *v1beta1.VirtualServer) {
	vs.Spec.Storage.AdditionalDisks = []v1beta1.AdditionalDisk{
		{Name: "disk-name", Serial: serial, VolumeSource: claimSource("pvc-as-disk")},
		{Name: "throw-away", Serial: "THROWAWAY", VolumeSource: v1beta1.VolumeSource{Ephemeral: &v1beta1.EphemeralSource{
			PersistentVolumeClaim: &v1beta1.PersistentVolumeClaimSource{ClaimName: "pvc-ephemeral"}}}},
		{Name: "config", Serial: "APPCONFIG", VolumeSource: configSource("app-config")},
		{Name: "account", Serial: accountSerial, VolumeSource: accountSource("serviceaccountdisk")},
	}
	vs.Spec.Storage.Filesystems = []v1beta1.Filesystem{
		{Name: "my-filesys", VolumeSource: claimSource("pvc-as-fs")},
		{Name: "config-fs", VolumeSource: configSource("app-config")},
	}
	// Longer than what KubeVirt takes in the machine itself (2048 bytes).
	vs.Spec.CloudInit = "#!/bin/sh\n" + strings.Repeat("# a long comment of a user who explains himself\n", 80) + "echo ran > /tmp/user-data-ran\n"
}

func claimSource(name string) v1beta1.VolumeSource {
	return v1beta1.VolumeSource{PersistentVolumeClaim: &v1beta1.PersistentVolumeClaimSource{ClaimName: name}}
}

func configSource(name string) v1beta1.VolumeSource {
	source := &v1beta1.ConfigMapSource{}
	source.Name = name
	return v1beta1.VolumeSource{ConfigMap: source}
}

func accountSource(name string) v1beta1.VolumeSource {
	return v1beta1.VolumeSource{ServiceAccount: &v1beta1.ServiceAccountSource{ServiceAccountName: name}}
}

func TestVolumesInTheGuest(t *testing.T) {
	e := newEnvironment(t)
	for name, size := range map[string]string{"pvc-as-disk": "512Mi", "pvc-ephemeral": "256Mi", "pvc-as-fs": "128Mi"} {
		claim(e, name, size)
	}
	// What is thrown away lies over a disk that exists.
	podThat(e, "maker", "dd if=/dev/zero of=/claim/pvc-ephemeral/disk.img bs=1M count=240 2>/dev/null; chmod 666 /claim/pvc-ephemeral/disk.img", "pvc-ephemeral")
	e.MustKubectl("create", "configmap", "app-config", "--from-literal=greeting=hello")
	e.MustKubectl("create", "serviceaccount", "serviceaccountdisk")
	vs := small(e, "volumes", manySources)
	e.Create(vs)
	g := boot(e, "volumes", "")

	t.Run("the root disk is vda and the others follow in order, with their sizes", func(t *testing.T) {
		sizes := g.in(t).run("for d in a b c; do echo $(cat /sys/block/vd$d/size); done")
		lines := strings.Fields(sizes)
		require.Len(t, lines, 3)
		// KubeVirt leaves a part of a file system free for what the file system itself needs.
		for i, want := range []int{1 << 30, 512 << 20, 240 << 20} {
			var sectors int
			_, err := fmt.Sscan(lines[i], &sectors)
			require.NoError(t, err)
			assert.InDelta(t, want, sectors*512, float64(want)*0.12, "disk %d", i)
		}
	})
	t.Run("the guide's command finds a disk by its serial", func(t *testing.T) {
		found := g.in(t).run("lsblk --nodeps -no name,serial | grep " + serial + " | cut -f1 -d' '")
		assert.Equal(t, "vdb", strings.TrimSpace(found))
	})
	t.Run("a claim as a disk is formatted and mounted as the guide does", func(t *testing.T) {
		g := g.in(t)
		g.run(`test "$(lsblk /dev/vdb)" && mkfs.ext4 -q /dev/vdb`)
		g.run("mkdir -p /mnt/vdb && mount -t ext4 /dev/vdb /mnt/vdb && echo kept > /mnt/vdb/file && umount /mnt/vdb && sync")
	})
	t.Run("a ConfigMap as a disk has its keys as files", func(t *testing.T) {
		g := g.in(t)
		g.run("mkdir -p /mnt/app-config; mount /dev/$(lsblk --nodeps -no name,serial | grep APPCONFIG | cut -f1 -d' ') /mnt/app-config")
		assert.Equal(t, "hello", strings.TrimSpace(g.run("cat /mnt/app-config/greeting")))
	})
	t.Run("a ServiceAccount as a disk has ca.crt, namespace and token, and the token works", func(t *testing.T) {
		g := g.in(t)
		g.run("mkdir -p /mnt/app-sa; mount /dev/$(lsblk --nodeps -no name,serial | grep " + accountSerial + " | cut -f1 -d' ') /mnt/app-sa")
		assert.Equal(t, "ca.crt namespace token", strings.Join(strings.Fields(g.run("ls /mnt/app-sa")), " "))
		assert.Equal(t, e.Namespace, strings.TrimSpace(g.run("cat /mnt/app-sa/namespace")))
		token := strings.Join(strings.Fields(g.run("cat /mnt/app-sa/token")), "")
		assert.Equal(t, "system:serviceaccount:"+e.Namespace+":serviceaccountdisk", whoAmI(e, token))
	})
	t.Run("a claim as a file system is seen from a pod and back", func(t *testing.T) {
		g := g.in(t)
		g.run("mkdir -p /mnt/file-sys && mount -t virtiofs my-filesys /mnt/file-sys && echo from-the-guest > /mnt/file-sys/guest && sync")
		assert.Equal(t, "from-the-guest\n", podThat(e, "reader", "cat /claim/pvc-as-fs/guest && echo from-a-pod > /claim/pvc-as-fs/pod", "pvc-as-fs"))
		assert.Equal(t, "from-a-pod", strings.TrimSpace(g.run("cat /mnt/file-sys/pod")))
	})
	t.Run("a ConfigMap as a file system has its keys as files", func(t *testing.T) {
		g := g.in(t)
		g.run("mkdir -p /mnt/config-fs && mount -t virtiofs config-fs /mnt/config-fs")
		assert.Equal(t, "hello", strings.TrimSpace(g.run("cat /mnt/config-fs/greeting")))
	})
	t.Run("cloud-init reaches the guest whole and is run", func(t *testing.T) {
		g := g.in(t)
		assert.Equal(t, "ran", strings.TrimSpace(g.run("cat /tmp/user-data-ran")))
		sum := sha256.Sum256([]byte(vs.Spec.CloudInit))
		found := g.run("mkdir -p /mnt/seed; mount -o ro $(blkid -t LABEL=cidata -o device) /mnt/seed && sha256sum /mnt/seed/user-data")
		assert.Contains(t, found, hex.EncodeToString(sum[:]))
	})
	if t.Failed() {
		return
	}
	behind := diskOf(e, "pvc-ephemeral")
	before := digest(t, behind)
	g.run("dd if=/dev/urandom of=/dev/vdc bs=64k count=16 && sync && echo root-kept > /boot/mine && sync")
	written := strings.Fields(g.run("dd if=/dev/vdc bs=64k count=16 2>/dev/null | sha256sum"))[0]
	require.Len(t, written, 2*sha256.Size)
	g = g.restart()
	t.Run("data on a claim and on the root disk survive a restart", func(t *testing.T) {
		g := g.in(t)
		assert.Equal(t, "kept", strings.TrimSpace(g.run("mkdir -p /mnt/vdb && mount -t ext4 /dev/vdb /mnt/vdb && cat /mnt/vdb/file")))
		assert.Equal(t, "root-kept", strings.TrimSpace(g.run("cat /boot/mine")))
	})
	t.Run("what was written to an ephemeral disk is lost, and its claim is unchanged byte by byte", func(t *testing.T) {
		assert.NotEqual(t, written, strings.Fields(g.in(t).run("dd if=/dev/vdc bs=64k count=16 2>/dev/null | sha256sum"))[0])
		assert.Equal(t, before, digest(t, behind))
	})
}

func TestEphemeralRootLosesWhatTheGuestWrote(t *testing.T) {
	e := newEnvironment(t)
	e.MustKubectl("create", "serviceaccount", "app-secret")
	e.Create(small(e, "ephemeral", func(vs *v1beta1.VirtualServer) {
		vs.Spec.Storage.Root.Ephemeral = true
		vs.Spec.Storage.Filesystems = []v1beta1.Filesystem{{Name: "sa-fs", VolumeSource: accountSource("app-secret")}}
	}))
	g := boot(e, "ephemeral", "")
	t.Run("a ServiceAccount as a file system has ca.crt, namespace and token", func(t *testing.T) {
		files := g.in(t).run("mkdir -p /mnt/app-sa && mount -t virtiofs sa-fs /mnt/app-sa && ls /mnt/app-sa")
		assert.Equal(t, "ca.crt namespace token", strings.Join(strings.Fields(files), " "))
	})
	behind := diskOf(e, g.e.MachineName("ephemeral"))
	before := digest(t, behind)
	g.run("echo lost > /boot/mine && sync")
	g = g.restart()
	_, code := g.try("test -e /boot/mine")
	assert.Equal(t, "1", code, "the file survived")
	assert.Equal(t, before, digest(t, behind), "the claim has changed")
}

// in is the guest for a subtest, whose failures it reports.
func (g *guest) in(t *testing.T) *guest {
	copied := *g
	copied.e = withT(g.e, t)
	return &copied
}

// whoAmI asks kube-apiserver whose token it is.
func whoAmI(e *framework.Environment, token string) string {
	e.T.Helper()
	result := e.Run("", "kubectl", "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}", "--token", token,
		"--kubeconfig", anonymousKubeconfig(e))
	require.NoError(e.T, result.Err, result.Stderr)
	return result.Stdout
}

// anonymousKubeconfig is a kubeconfig without a user.
func anonymousKubeconfig(e *framework.Environment) string {
	e.T.Helper()
	path := filepath.Join(e.T.TempDir(), "kubeconfig")
	for _, arguments := range [][]string{
		{"set-cluster", "c", "--server", e.Config.Host, "--certificate-authority", e.Plane.ClusterCAFile(), "--embed-certs"},
		{"set-context", "x", "--cluster", "c"}, {"use-context", "x"},
	} {
		result := e.Run("", "kubectl", append([]string{"config", "--kubeconfig", path}, arguments...)...)
		require.NoError(e.T, result.Err, result.Stderr)
	}
	return path
}

// diskOf is the image file behind a claim on this machine.
func diskOf(e *framework.Environment, claim string) string {
	e.T.Helper()
	volume := e.MustKubectl("get", "pvc", claim, "-o", "jsonpath={.spec.volumeName}")
	path := filepath.Join(e.Plane.VolumesDir(), volume, "disk.img")
	require.FileExists(e.T, path)
	return path
}

func digest(t *testing.T, path string) string {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	sum := sha256.New()
	_, err = io.Copy(sum, file)
	require.NoError(t, err)
	return hex.EncodeToString(sum.Sum(nil))
}
