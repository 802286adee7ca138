package guide

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/controlplane"
	"tensorstack.dev/virtualserver/test/framework"
)

const (
	// toolsImage is an image with BusyBox that real nodes have.
	toolsImage = "docker.io/local/tools:lab"
	// bashImage is one with bash, which can send datagrams.
	bashImage = "docker.io/library/cdi-importer:v1.65.0"
)

// newEnvironment gives a test a namespace on real nodes. Where real nodes are asked for, simulated ones are a failure.
func newEnvironment(t *testing.T) *framework.Environment {
	t.Helper()
	measureBoot(t)
	t.Parallel()
	e := framework.New(t)
	if !e.Plane.RealNodes() {
		require.NotEqual(t, string(controlplane.RealNodes), os.Getenv("NODE"), "the control plane has simulated nodes")
		t.Skip("needs real nodes, on which guests boot: make up NODE=real")
	}
	return e
}

// small is a VirtualServer with the small guest.
func small(e *framework.Environment, name string, edits ...func(*v1beta1.VirtualServer)) *v1beta1.VirtualServer {
	vs := framework.Minimal(name)
	vs.Spec.Resources.Memory = resource.MustParse("256Mi")
	vs.Spec.Storage.Root.Source = cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{URL: e.Plane.GuestURL(controlplane.SmallGuest)}}
	for _, edit := range edits {
		edit(vs)
	}
	return vs
}

// claim makes a claim of the default class.
func claim(e *framework.Environment, name, size string) {
	e.T.Helper()
	manifest := fmt.Sprintf(`{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":%q},"spec":{"accessModes":["ReadWriteMany"],
		"resources":{"requests":{"storage":%q}}}}`, name, size)
	apply(e, manifest)
}

func apply(e *framework.Environment, manifest string) {
	e.T.Helper()
	result := e.KubectlInput(manifest, "apply", "-f", "-")
	require.NoError(e.T, result.Err, result.Stderr)
}

// guest is the shell of a guest on its serial console.
type guest struct {
	e          *framework.Environment
	name       string
	connection *websocket.Conn
	incoming   chan message
	unread     string
}

// boot waits until the machine runs and its guest has a shell. instance is the UID of an instance that must be gone, if not
// empty.
func boot(e *framework.Environment, name, gone string) *guest {
	e.T.Helper()
	runs(e, name, gone)
	g := &guest{e: e, name: name}
	g.connect()
	// What the kernel has to say would come between.
	g.run("dmesg -n 1")
	return g
}

// runs waits until the machine runs, in another instance than gone.
func runs(e *framework.Environment, name, gone string) *v1beta1.VirtualServer {
	e.T.Helper()
	return e.WaitFor(bootTimeout, name, "runs", func(vs *v1beta1.VirtualServer) string {
		if vs.Status.PrintableStatus != v1beta1.StatusRunning || string(vs.Status.VM.InstanceUID) == gone {
			return "not running, or still the instance of before"
		}
		return ""
	})
}

// connect opens the console and waits for the shell, which comes when the guest is up.
func (g *guest) connect() {
	g.e.T.Helper()
	deadline := time.Now().Add(bootTimeout)
	g.e.Within(bootTimeout, "console of "+g.name, func() error {
		connection, _, err := framework.Dial(g.e.Context, g.e.Config, framework.Path(g.e.Namespace)+"/"+g.name+"/console?takeOver=true")
		if err != nil {
			return err
		}
		g.connection, g.unread = connection, ""
		g.listen()
		return g.awaitShell(deadline)
	})
	g.e.T.Cleanup(func() { _ = g.connection.Close() })
}

// awaitShell presses Enter until the shell answers.
func (g *guest) awaitShell(deadline time.Time) error {
	for time.Now().Before(deadline) {
		if err := g.connection.WriteMessage(websocket.BinaryMessage, []byte("\necho SH\"\"ELL\n")); err != nil {
			return err
		}
		found, err := g.read("SHELL", 5*time.Second)
		if err != nil {
			return err
		}
		if found {
			return nil
		}
	}
	return fmt.Errorf("no shell, last seen: %q", tail(g.unread))
}

func tail(text string) string { return text[max(0, len(text)-600):] }

// listen reads from the connection until it ends, for a connection whose read has timed out cannot be used again.
func (g *guest) listen() {
	incoming, connection := make(chan message, 1024), g.connection
	g.incoming = incoming
	go func() {
		for {
			_, text, err := connection.ReadMessage()
			select {
			case incoming <- message{string(text), err}:
			case <-g.e.Context.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
}

// read reads until the text has come or the time is over, and drops what came before it.
func (g *guest) read(text string, limit time.Duration) (bool, error) {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for {
		if _, after, found := strings.Cut(g.unread, text); found {
			g.unread = after
			return true, nil
		}
		select {
		case message := <-g.incoming:
			if message.err != nil {
				return false, message.err
			}
			g.unread += message.text
		case <-deadline.C:
			return false, nil
		}
	}
}

type message struct {
	text string
	err  error
}

// run runs a command in the guest and returns what it printed. The command must succeed.
func (g *guest) run(command string) string {
	g.e.T.Helper()
	output, code := g.try(command)
	require.Equal(g.e.T, "0", code, "%s in %s: %s", command, g.name, output)
	return output
}

// try runs a command and returns what it printed and its exit code.
func (g *guest) try(command string) (output, code string) {
	g.e.T.Helper()
	// The quotes keep the echo of the command from looking like its end.
	require.NoError(g.e.T, g.connection.WriteMessage(websocket.BinaryMessage, []byte("echo BE\"\"GIN; "+command+"; echo EN\"\"D $?.\n")))
	found, err := g.read("BEGIN\r\n", commandTimeout)
	require.NoError(g.e.T, err)
	require.True(g.e.T, found, "%s in %s does not begin: %q", command, g.name, tail(g.unread))
	end := regexp.MustCompile(`(?s)^(.*?)END (\d+)\.`)
	deadline := time.Now().Add(commandTimeout)
	for {
		if match := end.FindStringSubmatch(g.unread); match != nil {
			g.unread = g.unread[len(match[0]):]
			return strings.ReplaceAll(match[1], "\r\n", "\n"), match[2]
		}
		require.True(g.e.T, time.Now().Before(deadline), "%s in %s does not end: %q", command, g.name, tail(g.unread))
		require.NoError(g.e.T, g.more(time.Second))
	}
}

// more waits a moment for further output.
func (g *guest) more(limit time.Duration) error {
	select {
	case message := <-g.incoming:
		g.unread += message.text
		return message.err
	case <-time.After(limit):
		return nil
	}
}

// restart restarts the machine by the subresource and waits for the new guest.
func (g *guest) restart() *guest {
	g.e.T.Helper()
	before := g.e.Get(g.name).Status.VM.InstanceUID
	g.e.MustKubectl("create", "--raw", framework.Path(g.e.Namespace)+"/"+g.name+"/restart", "-f", "/dev/null")
	return boot(g.e, g.name, string(before))
}

// podThat runs a command in a pod of toolsImage with the claims mounted at /claim/NAME, and returns what it printed.
func podThat(e *framework.Environment, name, command string, claims ...string) string {
	e.T.Helper()
	return podOf(e, toolsImage, name, command, claims...)
}

func podOf(e *framework.Environment, image, name, command string, claims ...string) string {
	e.T.Helper()
	shell := "sh"
	if image == bashImage {
		shell = "bash"
	}
	pod := &corev1.Pod{}
	pod.APIVersion, pod.Kind, pod.Name = "v1", "Pod", name
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	container := corev1.Container{Name: "tools", Image: image, ImagePullPolicy: corev1.PullIfNotPresent, Command: []string{shell, "-c", command}}
	for _, claim := range claims {
		container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: claim, MountPath: "/claim/" + claim})
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: claim, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}})
	}
	pod.Spec.Containers = []corev1.Container{container}
	manifest, err := json.Marshal(pod)
	require.NoError(e.T, err)
	apply(e, string(manifest))
	e.Within(bootTimeout, "pod "+name+" ends well", func() error {
		phase := e.MustKubectl("get", "pod", name, "-o", "jsonpath={.status.phase}")
		require.NotEqual(e.T, "Failed", phase, e.Kubectl("logs", name).Stdout)
		if phase != "Succeeded" {
			return fmt.Errorf("phase %s", phase)
		}
		return nil
	})
	return e.MustKubectl("logs", name)
}

// login logs in on the console of a guest that asks for it.
func login(e *framework.Environment, name, user, password string) *guest {
	e.T.Helper()
	g := &guest{e: e, name: name}
	var err error
	g.connection, _, err = framework.Dial(e.Context, e.Config, framework.Path(e.Namespace)+"/"+name+"/console?takeOver=true")
	require.NoError(e.T, err)
	e.T.Cleanup(func() { _ = g.connection.Close() })
	g.listen()
	for _, step := range []struct{ prompt, answer string }{{"login: ", user}, {"assword: ", password}, {"$ ", ""}} {
		found, err := g.read(step.prompt, 2*bootTimeout)
		require.NoError(e.T, err)
		require.True(e.T, found, "no %q: %q", step.prompt, tail(g.unread))
		if step.answer != "" {
			g.send(step.answer)
		}
	}
	return g
}
