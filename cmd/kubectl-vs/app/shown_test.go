package app

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// A text that is said already is not said once more.
func TestNothingIsSaidTwice(t *testing.T) {
	pending := func(message string) func(*v1beta1.VirtualServer) {
		return func(vs *v1beta1.VirtualServer) {
			vs.Status.PendingOperation = &v1beta1.Operation{Type: v1beta1.OperationStop, RequestedBy: "ann", Message: message}
		}
	}
	for want, test := range map[string]struct{ message, operation string }{
		"Stopping: It waits for KubeVirt.":                      {"It waits for KubeVirt.", "It waits for KubeVirt."},
		"Stopping: It waits for KubeVirt":                       {"It waits for KubeVirt", "It waits for KubeVirt."},
		"Stopping: VMI m: the guest shuts down (Stop: not yet)": {"VMI m: the guest shuts down", "not yet"},
		"Stopping: VMI m: it waits for the node":                {"VMI m: it waits for the node", "it waits for the node"},
		"Stopping (Stop: it waits)":                             {"", "it waits"},
		"Stopping: the guest shuts down":                        {"the guest shuts down", ""},
	} {
		assert.Equal(t, want, progress(machine(is(v1beta1.StatusStopping, test.message), pending(test.operation))))
	}
	vs := machine(is(v1beta1.StatusStopping, "It waits for KubeVirt."), pending("It waits for KubeVirt."),
		condition(v1beta1.ConditionReconciled, metav1.ConditionFalse, "Waiting", "It waits for KubeVirt."))
	chain := &bytes.Buffer{}
	writeChain(chain, explain(&evidence{server: vs}, at(0).Time))
	assert.Equal(t, "VirtualServer my-vs: Stopping: It waits for KubeVirt.\n  Operation Stop by ann: pending.\n    Condition Reconciled: Waiting\n", chain.String())
}

// why tells what waits for a restart, and what went wrong lately, though the machine runs.
func TestWhyOfAMachineThatRuns(t *testing.T) {
	failed := func(before time.Duration) func(*v1beta1.VirtualServer) {
		return func(vs *v1beta1.VirtualServer) {
			vs.Status.LastFailure = &v1beta1.MachineFailure{Reason: "OOMKilled", Message: "The guest ran out of memory.", Time: metav1.NewTime(at(0).Add(-before))}
		}
	}
	waits := condition(v1beta1.ConditionRestartRequired, metav1.ConditionTrue, "SpecChanged", "Restart the machine to apply: spec.resources.memory: 1Gi -> 2Gi")
	const runs, oom = "VirtualServer my-vs: Running\n", ". The guest ran out of memory.\n"
	for name, test := range map[string]struct {
		server      *v1beta1.VirtualServer
		chain, hint string
	}{
		"nothing":          {machine(), runs, ""},
		"a restart":        {machine(waits), runs + "  Condition RestartRequired: SpecChanged, Restart the machine to apply: spec.resources.memory: 1Gi -> 2Gi\n", "kubectl vs restart my-vs"},
		"a failure":        {machine(failed(time.Minute)), runs + "  Last failure: OOMKilled, 60s ago" + oom, ""},
		"of the night":     {machine(failed(9 * time.Hour)), runs + "  Last failure: OOMKilled, 9h ago" + oom, ""},
		"long ago":         {machine(failed(48 * time.Hour)), runs, ""},
		"both":             {machine(waits, failed(time.Hour)), runs + "  Condition RestartRequired: SpecChanged, Restart the machine to apply: spec.resources.memory: 1Gi -> 2Gi\n    Last failure: OOMKilled, 60m ago" + oom, "kubectl vs restart my-vs"},
		"not yet over":     {machine(failed(time.Minute), condition(v1beta1.ConditionFailure, metav1.ConditionTrue, "OOMKilled", "It died.")), runs + "  Condition Failure: OOMKilled, It died.\n", ""},
		"an edit, stopped": {machine(is(v1beta1.StatusStopped, ""), condition(v1beta1.ConditionRestartRequired, metav1.ConditionFalse, "NotRunning", "")), "VirtualServer my-vs: Stopped\n", "kubectl vs start my-vs"},
	} {
		t.Run(name, func(t *testing.T) {
			out, found := &bytes.Buffer{}, &evidence{server: test.server}
			writeChain(out, explain(found, at(0).Time))
			assert.Equal(t, test.chain, out.String())
			assert.Equal(t, test.hint, aSession(t).hint(found))
		})
	}
}

func TestSizesAreThoseOfTheRun(t *testing.T) {
	for _, test := range []struct {
		runs *v1beta1.RunningResources
		want string
	}{
		{nil, "2, 4Gi"},
		{&v1beta1.RunningResources{Cores: 2, Memory: resource.MustParse("4096Mi")}, "2, 4Gi"},
		{&v1beta1.RunningResources{Cores: 1, Memory: resource.MustParse("4Gi")}, "1, 4Gi (2, 4Gi after a restart)"},
		{&v1beta1.RunningResources{Cores: 2, Memory: resource.MustParse("512Mi")}, "2, 512Mi (2, 4Gi after a restart)"},
		{&v1beta1.RunningResources{Cores: 8, Memory: resource.MustParse("16Gi")}, "8, 16Gi (2, 4Gi after a restart)"},
	} {
		vs := machine()
		vs.Status.Resources = test.runs
		assert.Equal(t, test.want, sizes(vs))
	}
}

// What a dry run of create prints is meant to be kept in a file and applied.
func TestADryRunPrintsAPlan(t *testing.T) {
	here := newCluster(t)
	for _, arguments := range [][]string{
		{"--dry-run=client"}, {"--dry-run=client", "--cores=4", "--gpu=nvidia.com/A100"}, {"--dry-run=client", "-n", "team", "--tcp=22,80"},
		{"--dry-run=client", "--run-strategy=Halted", "--storage-class=fast"}, {"--dry-run=client", "--image=docker://quay.io/fedora"},
	} {
		for _, format := range []string{"yaml", "json"} {
			got := here.runs(t, nil, append([]string{"create", "my-vs", "-o", format}, arguments...)...)
			require.Zero(t, got.code, got.err)
			plan := map[string]any{}
			require.NoError(t, yaml.Unmarshal([]byte(got.out), &plan))
			assert.NotContains(t, plan, "status")
			assert.NotContains(t, plan["metadata"], "creationTimestamp")
			require.NoError(t, yaml.UnmarshalStrict([]byte(got.out), &v1beta1.VirtualServer{}))
		}
	}
	made := machine(func(vs *v1beta1.VirtualServer) {
		vs.UID, vs.ResourceVersion, vs.Generation, vs.CreationTimestamp = "u", "7", 1, at(1)
		vs.Labels, vs.ManagedFields = map[string]string{"a": "b"}, []metav1.ManagedFieldsEntry{{Manager: "m"}}
	})
	planned, err := plan(made)
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"name": "my-vs", "namespace": "team", "labels": map[string]any{"a": "b"}}, planned.Object["metadata"], "of the server's answer, too")
	assert.NotContains(t, planned.Object, "status")
}

func TestWhichLogIsAskedFor(t *testing.T) {
	number := func(n int64) *int64 { return &n }
	for name, test := range map[string]struct {
		wanted logging
		want   corev1.PodLogOptions
		err    string
	}{
		"all":                {logging{tail: -1}, corev1.PodLogOptions{}, ""},
		"the last lines":     {logging{tail: 5}, corev1.PodLogOptions{TailLines: number(5)}, ""},
		"no line":            {logging{tail: 0, follow: true}, corev1.PodLogOptions{TailLines: number(0), Follow: true}, ""},
		"since":              {logging{tail: -1, since: 90 * time.Second}, corev1.PodLogOptions{SinceSeconds: number(90)}, ""},
		"less than a second": {logging{tail: -1, since: time.Millisecond}, corev1.PodLogOptions{SinceSeconds: number(1)}, ""},
		"with times":         {logging{tail: -1, timestamps: true}, corev1.PodLogOptions{Timestamps: true}, ""},
		"the future":         {logging{tail: -1, since: -time.Second}, corev1.PodLogOptions{}, "--since must be greater than 0"},
		"a negative tail":    {logging{tail: -2}, corev1.PodLogOptions{}, "--tail must be at least 0"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := test.wanted.options()
			if test.err != "" {
				require.ErrorContains(t, err, test.err)
				return
			}
			require.NoError(t, err)
			test.want.Container = consoleLogContainer
			assert.Equal(t, &test.want, got)
		})
	}
}

// The run before is that of another instance: one that was moved has several pods.
func TestThePodOfTheRunBefore(t *testing.T) {
	pod := func(name string, second int, run string) corev1.Pod {
		return *launcher(name, second, func(pod *corev1.Pod) {
			pod.Labels["kubevirt.io/created-by"] = run
			pod.Spec.InitContainers = []corev1.Container{{Name: consoleLogContainer}}
		})
	}
	pods := []corev1.Pod{pod("moved", 9, "run-2"), pod("first", 1, "run-0"), pod("started", 7, "run-2"), pod("before", 5, "run-1")}
	assert.Equal(t, "moved", consolePod(pods, false).Name)
	assert.Equal(t, "before", consolePod(pods, true).Name)
	assert.Nil(t, consolePod([]corev1.Pod{pods[0], pods[2]}, true), "no earlier run is left")
	assert.Nil(t, consolePod(nil, true))
	got := newCluster(t, machine()).runs(t, nil, "logs", "my-vs", "--previous")
	assert.Equal(t, `error: virtualserver "my-vs" has no serial log of an earlier run: KubeVirt keeps it as long as the pod of that run exists`, got.err)
}
