package app

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// run runs a command that needs no server, and returns what it printed.
func run(t *testing.T, arguments ...string) (stdout string, err error) {
	t.Helper()
	t.Setenv("HOME", t.TempDir()) // Whoever runs the tests may have keys.
	return runAtHome(t, arguments...)
}

// runAtHome is run with the home that the test has set.
func runAtHome(t *testing.T, arguments ...string) (stdout string, err error) {
	t.Helper()
	t.Setenv("KUBECONFIG", t.TempDir()+"/none")
	out, errOut := &bytes.Buffer{}, &bytes.Buffer{}
	command := NewCommand(genericiooptions.IOStreams{In: strings.NewReader(""), Out: out, ErrOut: errOut})
	command.SetArgs(arguments)
	err = command.ExecuteContext(t.Context())
	return out.String(), err
}

// aSession is what a command has that was given these flags of the connection.
func aSession(t *testing.T, flags ...string) *session {
	t.Helper()
	s := newSession(discard())
	require.NoError(t, s.given.Parse(flags))
	return s
}

func discard() genericiooptions.IOStreams { return genericiooptions.NewTestIOStreamsDiscard() }

func at(seconds int) metav1.Time {
	return metav1.NewTime(time.Date(2026, 7, 1, 12, 0, seconds, 0, time.UTC))
}

// machine is a VirtualServer that runs.
func machine(edits ...func(*v1beta1.VirtualServer)) *v1beta1.VirtualServer {
	vs := &v1beta1.VirtualServer{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "my-vs"}}
	vs.Spec.RunStrategy = v1beta1.RunStrategyAlways
	vs.Spec.Resources = v1beta1.Resources{CPU: v1beta1.CPU{Cores: intstr.FromInt32(2)}, Memory: resource.MustParse("4Gi")}
	vs.Status.RunStrategy, vs.Status.PrintableStatus = v1beta1.RunStrategyAlways, v1beta1.StatusRunning
	vs.Status.VM.Name, vs.Status.Node = "managed-virtualserver-9dda9", "node-a"
	for _, edit := range edits {
		edit(vs)
	}
	return vs
}

// is sets the state that people see.
func is(status v1beta1.PrintableStatus, message string) func(*v1beta1.VirtualServer) {
	return func(vs *v1beta1.VirtualServer) { vs.Status.PrintableStatus, vs.Status.Message = status, message }
}

func requireLines(t *testing.T, want []string, text string) {
	t.Helper()
	require.Equal(t, strings.Join(want, "\n"), strings.TrimRight(text, "\n"))
}
