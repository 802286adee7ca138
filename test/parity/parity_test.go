package parity

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

func TestText(t *testing.T) {
	n := &Normalizer{}
	n.Name("test-abc", "NAMESPACE")
	n.Name("managed-virtualserver-9dda9", "MACHINE")
	assert.Equal(t, "NODE", n.Node("node-b"))
	assert.Equal(t, "NODE", n.Node("node-a"))
	assert.Empty(t, n.Node(""))
	for in, want := range map[string]string{
		"Pod virt-launcher-managed-virtualserver-9dda9-x7k2p: deleted at 2026-12-01T04:00:00Z":       "Pod LAUNCHER: deleted at TIME",
		"moving from node node-a to node-b":                                                          "moving from node NODE to NODE",
		"importing, 42.50%":                                                                          "importing, N%",
		"Get \"http://10.77.0.1:8080/x.qcow2\": dial 10.77.0.1:80":                                   "Get \"URL\": dial ADDRESS",
		"0/2 nodes are available":                                                                    "N/N nodes are available",
		"PVC test-abc/prime-0a1b2c3d-0000-4000-8000-0123456789ab":                                    "PVC NAMESPACE/HELPER-CLAIM",
		"deleted. This is judged by the times; it may also have shut down by itself at that moment.": "deleted.",
		"import failed, 3 restarts: no\n such file":                                                  "import failed, N restarts: no such file",
	} {
		assert.Equal(t, want, n.Text(in))
	}
}

func TestRecordingIsReadAsItWasWritten(t *testing.T) {
	r := Recording{}
	for _, value := range []string{"Pending", "Running", "Running", "Pending"} {
		r.Add("instance 1: phase", value)
	}
	r.Add("virtualserver 1: message", "-")
	again, err := Parse(r.String())
	require.NoError(t, err)
	assert.Equal(t, r, again)
	assert.Equal(t, []string{"Pending", "Running", "Pending"}, again["instance 1: phase"], "what comes twice in a row counts once")
	_, err = Parse("  value\n")
	assert.Error(t, err)
}

func TestCompare(t *testing.T) {
	golden := Recording{"a": {"1", "2", "3"}, "b": {"x"}}
	for what, test := range map[string]struct {
		got     Recording
		side    Side
		allowed []Difference
		lines   int
	}{
		"the same":                      {Recording{"a": {"1", "2", "3"}, "b": {"x"}}, OnlySimulated, nil, 0},
		"another order":                 {Recording{"a": {"1", "3", "2"}, "b": {"x"}}, OnlySimulated, nil, 1},
		"one is missing":                {Recording{"a": {"1", "3"}, "b": {"x"}}, OnlySimulated, nil, 1},
		"one is missing, known":         {Recording{"a": {"1", "3"}, "b": {"x"}}, OnlySimulated, []Difference{{Value: "2", Only: OnlyReal}}, 0},
		"one too many":                  {Recording{"a": {"1", "2", "3", "4"}, "b": {"x"}}, OnlySimulated, nil, 1},
		"one too many, known":           {Recording{"a": {"1", "2", "3", "4"}, "b": {"x"}}, OnlySimulated, []Difference{{Value: "4", Only: OnlySimulated}}, 0},
		"known of the other side":       {Recording{"a": {"1", "2", "3", "4"}, "b": {"x"}}, OnlySimulated, []Difference{{Value: "4", Only: OnlyReal}}, 1},
		"known of another scenario":     {Recording{"a": {"1", "3"}, "b": {"x"}}, OnlySimulated, []Difference{{Scenario: "t", Value: "2", Only: OnlyReal}}, 1},
		"known of another aspect":       {Recording{"a": {"1", "3"}, "b": {"x"}}, OnlySimulated, []Difference{{Aspect: "b", Value: "2", Only: OnlyReal}}, 1},
		"passing":                       {Recording{"a": {"1", "2", "1", "2", "3"}, "b": {"x"}}, OnlyReal, []Difference{{Value: "2", Only: Passing}}, 0},
		"an aspect is missing":          {Recording{"a": {"1", "2", "3"}}, OnlyReal, nil, 1},
		"an aspect is new":              {Recording{"a": {"1", "2", "3"}, "b": {"x"}, "c": {"y"}}, OnlyReal, nil, 1},
		"a part of a value is no value": {Recording{"a": {"1", "2", "3"}, "b": {"xy"}}, OnlySimulated, []Difference{{Value: "x", Only: Passing}}, 1},
	} {
		used := make([]bool, len(test.allowed))
		assert.Len(t, Compare("scenario", golden, test.got, test.side, test.allowed, used), test.lines, what)
	}
	flickers := Recording{"a": {"1", "2", "1"}}
	passing := []Difference{{Value: "2", Only: Passing}}
	assert.Empty(t, Compare("s", flickers, Recording{}, OnlySimulated, passing, make([]bool, 1)), "what does not change is not recorded")
	assert.Empty(t, Compare("s", Recording{}, flickers, OnlySimulated, passing, make([]bool, 1)))
	assert.Len(t, Compare("s", Recording{"a": {"1"}}, Recording{}, OnlySimulated, passing, make([]bool, 1)), 1, "an aspect that is new does")
	used := make([]bool, 2)
	Compare("s", golden, golden, OnlyReal, []Difference{{Value: "2", Only: Passing}, {Value: "z", Only: Passing}}, used)
	assert.Equal(t, []bool{true, false}, used)
}

func TestDifferencesHaveReasons(t *testing.T) {
	list, err := ParseDifferences([]byte("- aspect: 'x: .*'\n  only: real\n  reason: it is so\n"))
	require.NoError(t, err)
	assert.Equal(t, []Difference{{Aspect: "x: .*", Only: OnlyReal, Reason: "it is so"}}, list)
	for _, bad := range []string{"- only: real\n", "- reason: x\n", "- reason: x\n  only: both\n", "- reason: x\n  only: real\n  value: '('\n", "- oops: x\n"} {
		_, err := ParseDifferences([]byte(bad))
		assert.Error(t, err, bad)
	}
}

func TestRecorder(t *testing.T) {
	r := newRecorder()
	pod := &corev1.Pod{}
	pod.Name, pod.UID, pod.Labels = "virt-launcher-x", types.UID("u"), map[string]string{"kubevirt.io": "virt-launcher"}
	note := func(deleted bool) {
		t.Helper()
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(pod)
		require.NoError(t, err)
		require.NoError(t, r.note("pods", &unstructured.Unstructured{Object: content}, deleted))
	}
	pod.Status.Phase = corev1.PodPending
	pod.Status.Conditions = []corev1.PodCondition{{Type: "Odd", Status: "True", Reason: "R", Message: "m"}}
	note(false)
	note(false)
	first := r.Cut()
	assert.Equal(t, []string{"Pending"}, first["launcher 1: phase"])
	assert.Equal(t, []string{"True R: m"}, first["launcher 1: condition Odd"])
	pod.Status.Phase, pod.Status.Conditions = corev1.PodRunning, nil
	note(false)
	second := r.Cut()
	assert.Equal(t, Recording{"launcher 1: phase": {"Pending", "Running"}, "launcher 1: condition Odd": {"True R: m", "-"}}, second)
	note(true)
	assert.Equal(t, Recording{"launcher 1: object": {"there", "gone"}}, r.Cut())
	assert.Empty(t, r.Cut(), "what is gone is not carried on")
}
