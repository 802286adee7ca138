package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/framework"
)

// virtctl is the real virtctl in the hands of one user, and the machine that it is tried on.
type virtctl struct {
	*framework.Environment
	// server is the VirtualServer, machine the name of its VirtualMachine, and target what virtctl is told.
	server, machine, target string
	// environ holds the user's kubeconfig.
	environ []string
	// prefix is true for the ways that lead through our own server.
	prefix bool
}

// step is one command of virtctl, or two that belong together, with a check of what it did.
type step struct {
	name string
	run  func(t *testing.T, v *virtctl)
}

// way is one of the ways in which people use virtctl.
type way struct {
	name string
	open func(e *framework.Environment, machine string) (kubeconfig, target string)
	// prefix is true for the ways that lead through our own server.
	prefix bool
}

func ways() []way {
	return []way{
		{name: "on the machine itself", open: func(e *framework.Environment, machine string) (string, string) {
			return e.UserWith("kubevirt-user", kubevirtRights()...).Kubeconfig, machine
		}},
		{name: "through the prefix by the VirtualServer's name", prefix: true, open: func(e *framework.Environment, _ string) (string, string) {
			return e.PrefixKubeconfig(e.UserWith("vs-user", virtualServerRights()...)), "my-vs"
		}},
		{name: "through the prefix by the machine's name", prefix: true, open: func(e *framework.Environment, machine string) (string, string) {
			return e.PrefixKubeconfig(e.UserWith("vs-user", virtualServerRights()...)), machine
		}},
	}
}

// kubevirtRights are what a user needs who works with KubeVirt alone.
func kubevirtRights() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{APIGroups: []string{"subresources.kubevirt.io"}, Resources: []string{
			"virtualmachineinstances/console", "virtualmachineinstances/vnc", "virtualmachineinstances/vnc/screenshot",
			"virtualmachineinstances/portforward", "virtualmachines/portforward", "virtualmachineinstances/usbredir",
			"virtualmachineinstances/guestosinfo", "virtualmachineinstances/filesystemlist", "virtualmachineinstances/userlist",
		}, Verbs: []string{"get"}},
		{APIGroups: []string{"subresources.kubevirt.io"}, Resources: []string{
			"virtualmachines/start", "virtualmachines/stop", "virtualmachines/restart", "virtualmachines/migrate",
			"virtualmachines/addvolume", "virtualmachines/removevolume", "virtualmachines/memorydump", "virtualmachines/removememorydump",
			"virtualmachineinstances/pause", "virtualmachineinstances/unpause", "virtualmachineinstances/softreboot",
			"virtualmachineinstances/reset", "virtualmachineinstances/addvolume", "virtualmachineinstances/removevolume",
		}, Verbs: []string{"update"}},
		{APIGroups: []string{"kubevirt.io"}, Resources: []string{"virtualmachines", "virtualmachineinstances"}, Verbs: []string{"get"}},
		{APIGroups: []string{"cdi.kubevirt.io"}, Resources: []string{"datavolumes"}, Verbs: []string{"get"}},
		{APIGroups: []string{""}, Resources: []string{"persistentvolumeclaims"}, Verbs: []string{"get"}},
	}
}

// virtualServerRights are on virtualservers and their subresources only.
func virtualServerRights() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{APIGroups: []string{"tensorstack.dev"}, Resources: []string{"virtualservers"}, Verbs: []string{"get"}},
		{APIGroups: []string{"tensorstack.dev"}, Resources: []string{
			"virtualservers/console", "virtualservers/vnc", "virtualservers/portforward", "virtualservers/usbredir",
		}, Verbs: []string{"get", "create"}},
		{APIGroups: []string{"tensorstack.dev"}, Resources: []string{
			"virtualservers/vnc/screenshot", "virtualservers/guestosinfo", "virtualservers/filesystemlist", "virtualservers/userlist",
		}, Verbs: []string{"get"}},
		{APIGroups: []string{"tensorstack.dev"}, Resources: []string{
			"virtualservers/start", "virtualservers/stop", "virtualservers/restart", "virtualservers/pause", "virtualservers/unpause",
			"virtualservers/softreboot", "virtualservers/reset", "virtualservers/addvolume", "virtualservers/removevolume",
			"virtualservers/migrate", "virtualservers/memorydump", "virtualservers/removememorydump",
		}, Verbs: []string{"update"}},
	}
}

// Every command of the real virtctl that goes through subresources works in every way, and does what it says.
func TestVirtctl(t *testing.T) {
	t.Parallel()
	for _, way := range ways() {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			e := framework.New(t)
			e.Create(framework.Minimal("my-vs", func(vs *v1beta1.VirtualServer) {
				// A migration needs a disk that two nodes can use at once.
				vs.Spec.Storage.Root.PVC.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
			}))
			e.WaitSettled("my-vs", v1beta1.StatusRunning)
			machine := e.WaitAgent("my-vs").Status.VM.Name
			kubeconfig, target := way.open(e, machine)
			v := &virtctl{Environment: e, server: "my-vs", machine: machine, target: target, environ: e.As(kubeconfig), prefix: way.prefix}
			if way.prefix {
				v.hasNoRightsInKubeVirt(t)
			}
			for _, steps := range [][]step{virtctlReads(), virtctlStreams(), virtctlOperations(), virtctlPower()} {
				for _, step := range steps {
					if !t.Run(step.name, func(t *testing.T) { step.run(t, v.in(t)) }) {
						return
					}
				}
			}
		})
	}
}

// hasNoRightsInKubeVirt shows that it is the prefix that lets the user through.
func (v *virtctl) hasNoRightsInKubeVirt(t *testing.T) {
	t.Helper()
	require.Error(t, v.RunIn(v.environ, "", "kubectl-virt", "--server", v.Config.Host, "guestosinfo", v.machine).Err)
	direct := v.RunIn(v.environ, "", "kubectl", "--server", v.Config.Host, "get", "--raw",
		kubeVirtPath(v.Namespace, "virtualmachineinstances", v.machine, "guestosinfo"))
	require.Error(t, direct.Err)
	assert.Contains(t, direct.Stderr, "forbidden")
}

// in is the same user in a subtest.
func (v *virtctl) in(t *testing.T) *virtctl {
	environment, copied := *v.Environment, *v
	environment.T = t
	copied.Environment = &environment
	return &copied
}

// run runs a command that must succeed, and returns what it printed to standard output.
func (v *virtctl) run(arguments ...string) string {
	v.T.Helper()
	result := v.RunIn(v.environ, "", "kubectl-virt", arguments...)
	require.NoError(v.T, result.Err, "virtctl %s\n%s%s", strings.Join(arguments, " "), result.Stdout, result.Stderr)
	return result.Stdout
}

// refused runs a command that must fail with a message.
func (v *virtctl) refused(message string, arguments ...string) {
	v.T.Helper()
	result := v.RunIn(v.environ, "", "kubectl-virt", arguments...)
	require.Error(v.T, result.Err, "virtctl %s", strings.Join(arguments, " "))
	assert.Contains(v.T, result.Stdout+result.Stderr, message)
}

// claim creates a claim of the default StorageClass.
func (v *virtctl) claim(name, size string) {
	v.T.Helper()
	_, err := v.Kube.CoreV1().PersistentVolumeClaims(v.Namespace).Create(v.Context, &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}},
		},
	}, metav1.CreateOptions{})
	require.NoError(v.T, err)
}

// claimWithADisk makes a claim in which somebody has made a disk: KubeVirt makes none in a claim that is added to a running guest.
func (v *virtctl) claimWithADisk(name, size string) {
	v.T.Helper()
	v.claim(name, size)
	v.MustKubectl("annotate", "pvc", name, framework.DiskAnnotation+"=true")
}

// guest is the console of the machine in the hands of an administrator, who takes it over from nobody.
func (v *virtctl) guest() *framework.Console {
	v.T.Helper()
	console := v.OpenConsole(v.Config, framework.Path(v.Namespace)+"/"+v.server+"/console?wait=60")
	console.Login()
	return console
}

// needs skips a form of a command whose program is not installed, and says so.
func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); errors.Is(err, exec.ErrNotFound) {
		t.Skipf("%s is not installed, so this form of the command is not tried", program)
	}
}

// file writes a file for a test to send.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// notYet is the error of a condition that may still come true.
func notYet(format string, arguments ...any) error { return fmt.Errorf(format, arguments...) }
