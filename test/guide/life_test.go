package guide

import (
	"bytes"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// killQEMU ends the hypervisor of a machine as a crash would.
func killQEMU(e *framework.Environment, machine string) {
	e.T.Helper()
	output, err := exec.CommandContext(e.Context, "pgrep", "-f", "guest="+e.Namespace+"_"+machine+",").Output()
	require.NoError(e.T, err)
	for _, pid := range strings.Fields(string(output)) {
		number, err := strconv.Atoi(pid)
		require.NoError(e.T, err)
		process, err := os.FindProcess(number)
		require.NoError(e.T, err)
		require.NoError(e.T, process.Kill())
	}
}

func TestRunStrategiesAndTheEndOfAGuest(t *testing.T) {
	for _, test := range []struct {
		name     string
		strategy v1beta1.RunStrategy
		end      string // in the guest, or "kill" for QEMU from outside
		again    bool
		failure  bool
	}{
		{"always-poweroff", v1beta1.RunStrategyAlways, "poweroff", true, false},
		{"rerun-poweroff", v1beta1.RunStrategyRerunOnFailure, "poweroff", false, false},
		{"rerun-kill", v1beta1.RunStrategyRerunOnFailure, "kill", true, true},
		{"manual-kill", v1beta1.RunStrategyManual, "kill", false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := newEnvironment(t)
			e.Create(small(e, test.name, framework.WithStrategy(test.strategy)))
			if test.strategy == v1beta1.RunStrategyManual {
				e.WaitFor(bootTimeout, test.name, "can be started", func(vs *v1beta1.VirtualServer) string {
					if vs.Status.PrintableStatus != v1beta1.StatusStopped || vs.Status.Import == nil || vs.Status.Import.Phase != "Succeeded" {
						return "not stopped with its disk imported"
					}
					return ""
				})
				e.MustKubectl("create", "--raw", framework.Path(e.Namespace)+"/"+test.name+"/start", "-f", "/dev/null")
			}
			g := boot(e, test.name, "")
			before := string(e.Get(test.name).Status.VM.InstanceUID)
			if test.end == "kill" {
				killQEMU(e, e.MachineName(test.name))
			} else {
				g.send(test.end)
			}
			if test.again {
				boot(e, test.name, before)
			} else {
				e.WaitFor(bootTimeout, test.name, "has stopped for good", func(vs *v1beta1.VirtualServer) string {
					if vs.Status.PrintableStatus != v1beta1.StatusStopped {
						return "not Stopped"
					}
					return ""
				})
			}
			assert.Equal(t, test.strategy, e.Get(test.name).Status.RunStrategy)
			failed := e.Get(test.name).Status.LastFailure != nil
			assert.Equal(t, test.failure, failed, "status.lastFailure")
		})
	}
}

// send types a command whose end nobody waits for.
func (g *guest) send(command string) {
	g.e.T.Helper()
	require.NoError(g.e.T, g.connection.WriteMessage(2, []byte(command+"\n")))
}

func TestOperationsOnARunningGuest(t *testing.T) {
	e := newEnvironment(t)
	const name = "operated"
	e.Create(small(e, name, func(vs *v1beta1.VirtualServer) {
		vs.Spec.Network.MACAddress = "de:ad:00:00:be:af"
		vs.Spec.Network.TCP, vs.Spec.Network.UDP = []int32{80}, []int32{5353}
		vs.Spec.Network.DNSPolicy = corev1.DNSClusterFirst
		vs.Spec.Network.DNSConfig = &corev1.PodDNSConfig{Searches: []string{"example.internal"}}
	}))
	g := boot(e, name, "")
	machine := e.MachineName(name)

	t.Run("the MAC address is the one asked for", func(t *testing.T) {
		assert.Equal(t, "de:ad:00:00:be:af", strings.TrimSpace(g.in(t).run("cat /sys/class/net/eth0/address")))
	})
	t.Run("the DNS policy and configuration reach the guest, and names of the cluster resolve there", func(t *testing.T) {
		g := g.in(t)
		assert.Contains(t, g.run("cat /etc/resolv.conf"), "example.internal")
		assert.Contains(t, g.run("nslookup kubernetes.default.svc.cluster.local"), "10.96.0.1")
	})
	t.Run("the Service has the machine's name and reaches TCP and UDP ports", func(t *testing.T) {
		g.in(t).run("echo hello-over-tcp > /www/index.html")
		assert.Contains(t, podThat(withT(e, t), "client", "wget -qO- http://"+machine+"/index.html"), "hello-over-tcp")
		// The guest serves one sender after another, so the datagram is sent again until it comes back.
		script := "for i in 1 2 3 4 5 6 7 8 9; do exec 3<>/dev/udp/" + machine + "/5353; echo hello-over-udp >&3; " +
			"answer=$(timeout 3 head -n 1 <&3) && [ -n \"$answer\" ] && break; done; echo $answer"
		assert.Contains(t, podOf(withT(e, t), bashImage, "datagrams", script), "hello-over-udp")
	})
	t.Run("kubectl port-forward to the Service", func(t *testing.T) {
		assert.Contains(t, throughPortForward(withT(e, t), machine), "hello-over-tcp")
	})
	t.Run("pause and unpause", func(t *testing.T) {
		e := withT(e, t)
		must(e, "kubectl", "vs", "-n", e.Namespace, "pause", name)
		e.WaitStatus(name, v1beta1.StatusPaused)
		must(e, "kubectl", "virt", "-n", e.Namespace, "unpause", "vm", machine)
		e.WaitStatus(name, v1beta1.StatusRunning)
		g.in(t).run("true")
	})
	t.Run("a screenshot is a picture", func(t *testing.T) {
		e := withT(e, t)
		path := filepath.Join(t.TempDir(), "screen.png")
		must(e, "kubectl", "vs", "-n", e.Namespace, "vnc", name, "--screenshot", path)
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		picture, err := png.Decode(bytes.NewReader(content))
		require.NoError(t, err)
		assert.GreaterOrEqual(t, picture.Bounds().Dx(), 320)
	})
	t.Run("kubectl virt works by the machine's name and by the VirtualServer's", func(t *testing.T) {
		e := withT(e, t)
		e.Eventually("the guest agent answers", func() error {
			return e.Run("", "kubectl", "virt", "-n", e.Namespace, "guestosinfo", machine).Err
		})
		byMachine := must(e, "kubectl", "virt", "-n", e.Namespace, "guestosinfo", machine)
		byName := must(e, "kubectl", "vs", "-n", e.Namespace, "virt", "guestosinfo", name)
		assert.Contains(t, byMachine, "guestAgentVersion")
		assert.Contains(t, byName, "guestAgentVersion")
	})
	t.Run("a kernel panic reboots the guest in the same instance", func(t *testing.T) {
		g := g.in(t)
		before := g.e.Get(name).Status.VM.InstanceUID
		g.run("echo marker > /tmp/marker")
		g.send("echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger")
		found, err := g.read("GUEST-READY", bootTimeout)
		require.NoError(t, err)
		require.True(t, found, "the guest did not come back: %q", tail(g.unread))
		g.connect()
		_, code := g.try("test -e /tmp/marker")
		assert.Equal(t, "1", code)
		assert.Equal(t, before, g.e.Get(name).Status.VM.InstanceUID)
	})
	g.restart()
	t.Run("the MAC address is kept over a restart", func(t *testing.T) {
		assert.Equal(t, "de:ad:00:00:be:af", e.Instance(machine).Spec.Domain.Devices.Interfaces[0].MacAddress)
	})
	t.Run("stop shuts the guest down, and the strategy becomes Halted", func(t *testing.T) {
		e := withT(e, t)
		must(e, "kubectl", "vs", "-n", e.Namespace, "stop", name, "--wait", "--timeout", "5m")
		vs := e.WaitStatus(name, v1beta1.StatusStopped)
		assert.Equal(t, v1beta1.RunStrategyHalted, vs.Status.RunStrategy)
		assert.Nil(t, vs.Status.LastFailure, "a guest that shuts down when asked is no failure")
	})
}

// must runs a command that must succeed and returns its output.
func must(e *framework.Environment, program string, arguments ...string) string {
	e.T.Helper()
	result := e.Run("", program, arguments...)
	require.NoError(e.T, result.Err, "%s %v: %s%s", program, arguments, result.Stdout, result.Stderr)
	return result.Stdout
}

// withT is the environment for a subtest.
func withT(e *framework.Environment, t *testing.T) *framework.Environment {
	copied := *e
	copied.T = t
	return &copied
}
