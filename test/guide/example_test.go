package guide

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/controlplane"
	"tensorstack.dev/virtualserver/test/framework"
)

// imageURL is the address in the guide's examples, which leads outside.
var imageURL = regexp.MustCompile(`https://cloud-images\.ubuntu\.com/\S+`)

// The guide's first example, as written but for the address of its image.
func TestFirstExampleOfTheGuide(t *testing.T) {
	e := newEnvironment(t)
	claim(e, "pvc-as-disk", "128Mi")
	claim(e, "pvc-as-fs", "64Mi")
	written := string(e.ReadFile("test", "testdata", "guide", "01-first-example.yaml"))
	require.Regexp(t, imageURL, written)
	apply(e, imageURL.ReplaceAllString(written, e.Plane.GuestURL(controlplane.SmallGuest)))
	g := boot(e, "vs-example", "")
	vs := e.Get("vs-example")
	memory := strings.Fields(g.run("grep MemTotal /proc/meminfo"))[1]
	assert.Len(t, memory, len("8000000"), "8Gi of memory: %s kB", memory)
	assert.Equal(t, "1", strings.TrimSpace(g.run("grep -c ^processor /proc/cpuinfo")))
	assert.Regexp(t, `^managed-virtualserver-[0-9a-f]{5}$`, vs.Status.VM.Name)
	ports := e.MustKubectl("get", "service", vs.Status.VM.Name, "-o", "jsonpath={.spec.ports[*].port}")
	assert.Equal(t, "80 5901", ports)
	// The example mounts it by cloud-init, which the small guest shows but does not obey.
	g.run("mkdir -p /mnt/file-sys && mount -t virtiofs my-filesys /mnt/file-sys")
}

// The power of a node is cut, and comes back.
func TestMachineOfANodeThatLosesItsPower(t *testing.T) {
	if os.Getenv("ALONE") == "" {
		t.Skip("takes the power from a node that other tests use: ALONE=1, see make test-node-loss")
	}
	e := newEnvironment(t)
	e.Create(small(e, "on-a-node", framework.WithStrategy(v1beta1.RunStrategyAlways)))
	boot(e, "on-a-node", "")
	vs := e.Get("on-a-node")
	require.NoError(t, e.Plane.Kill(e.Context, vs.Status.Node))
	began := time.Now()
	e.WaitStatus("on-a-node", v1beta1.StatusUnknown)
	t.Logf("Unknown %v after the power was cut", time.Since(began).Round(time.Second))
	require.NoError(t, e.Plane.StartComponent(e.Context, vs.Status.Node))
	began = time.Now()
	boot(e, "on-a-node", string(vs.Status.VM.InstanceUID))
	t.Logf("another instance has booted %v after the node was ready", time.Since(began).Round(time.Second))
	require.NotNil(t, e.Get("on-a-node").Status.LastFailure)
}

// A Debian with cloud-init, as the guide has it: a user with a password, commands, mounts, the guest agent. Its boot takes
// minutes under emulation.
func TestDebianWithCloudInit(t *testing.T) {
	if os.Getenv("GUEST") != "debian" {
		t.Skip("boots a Debian, which takes minutes under emulation: make test-guest")
	}
	e := newEnvironment(t)
	claim(e, "pvc-as-disk", "256Mi")
	e.MustKubectl("create", "serviceaccount", "serviceaccountdisk")
	vs := small(e, "debian", func(vs *v1beta1.VirtualServer) {
		vs.Spec.Resources.Memory.Add(vs.Spec.Resources.Memory)
		vs.Spec.Resources.Memory.Add(vs.Spec.Resources.Memory)
		vs.Spec.Resources.CPU.Cores.IntVal = 2
		vs.Spec.Storage.Root.PVC.Size.Add(vs.Spec.Storage.Root.PVC.Size)
		vs.Spec.Storage.Root.Source.HTTP.URL = e.Plane.GuestURL(controlplane.DebianGuest)
		vs.Spec.Storage.AdditionalDisks = []v1beta1.AdditionalDisk{
			{Name: "disk-name", VolumeSource: claimSource("pvc-as-disk")},
			{Name: "account", Serial: accountSerial, VolumeSource: accountSource("serviceaccountdisk")},
		}
		vs.Spec.CloudInit = `#cloud-config
user: ubuntu
password: ubuntu
chpasswd: { expire: False }
bootcmd:
- test "$(lsblk /dev/vdb)" && mkfs.ext4 /dev/vdb
- mkdir -p /mnt/vdb
mounts:
- [ "/dev/vdb", "/mnt/vdb", "ext4", "defaults,nofail", "0", "2" ]
write_files:
- path: /opt/whoami.py
  content: |
    # Asks the API, with the account's own token and authority, who that is.
    import json, ssl, urllib.request
    folder = "/mnt/app-sa/"
    trusted = ssl.create_default_context(cafile=folder + "ca.crt")
    question = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    request = urllib.request.Request(
        "https://10.96.0.1/apis/authentication.k8s.io/v1/selfsubjectreviews", data=json.dumps(question).encode(),
        headers={"Authorization": "Bearer " + open(folder + "token").read().strip(), "Content-Type": "application/json"})
    print(json.load(urllib.request.urlopen(request, context=trusted))["status"]["userInfo"]["username"])
runcmd:
- mkdir -p /mnt/app-sa
- mount /dev/$(lsblk --nodeps -no name,serial | grep ` + accountSerial + ` | cut -f1 -d' ') /mnt/app-sa
- python3 /opt/whoami.py > /var/tmp/whoami 2>&1
- [ sh, -c, "echo ran > /var/tmp/runcmd" ]
`
	})
	e.Create(vs)
	runs(e, "debian", "")
	g := login(e, "debian", "ubuntu", "ubuntu")
	e.Within(bootTimeout, "cloud-init has finished", func() error {
		_, code := g.try("test -e /var/tmp/runcmd")
		if code != "0" {
			return os.ErrNotExist
		}
		return nil
	})
	assert.Contains(t, g.run("mount"), "/dev/vdb on /mnt/vdb")
	assert.Contains(t, g.run("cat /var/tmp/whoami"), "system:serviceaccount:"+e.Namespace+":serviceaccountdisk",
		"the token works against the API from inside the guest")
	e.Within(bootTimeout, "the guest agent tells its system", func() error {
		return e.Run("", "kubectl", "vs", "-n", e.Namespace, "virt", "guestosinfo", "debian").Err
	})
	must(e, "kubectl", "vs", "-n", e.Namespace, "stop", "debian", "--wait", "--timeout", "5m")
}
