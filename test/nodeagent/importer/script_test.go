package importer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"

	"tensorstack.dev/virtualserver/test/nodeagent/faults"
)

func TestNewScript(t *testing.T) {
	failing := faults.Settings{Import: faults.Fail, ImportMessage: "disk full"}
	tests := map[string]struct {
		settings faults.Settings
		endpoint string
		outcome  faults.Mode
		message  string
	}{
		"good":            {faults.Defaults(), "https://example.com/image.qcow2", faults.OK, ""},
		"blank disk":      {faults.Defaults(), "", faults.OK, ""},
		"told to fail":    {failing, "https://example.com/x", faults.Fail, "disk full"},
		"default text":    {faults.Settings{Import: faults.Fail}, "https://example.com/x", faults.Fail, "expected status code 200, got 503"},
		"no host":         {faults.Defaults(), "https://does-not-exist.example/x", faults.Fail, "lookup does-not-exist.example: no such host"},
		"no file":         {faults.Defaults(), "https://example.com/404/image", faults.Fail, "got 404. Status: 404 Not Found"},
		"no image":        {faults.Defaults(), "docker://registry.example/does-not-exist:1", faults.Fail, "manifest unknown"},
		"not in a query":  {faults.Defaults(), "https://example.com/x?id=404", faults.OK, ""},
		"bad even if set": {faults.Settings{Import: faults.Stall}, "https://example.com/404", faults.Fail, "404 Not Found"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScript(test.settings, test.endpoint, time.Second)
			assert.Equal(t, test.outcome, s.outcome)
			assert.Contains(t, s.message, test.message)
		})
	}
}

// walk steps a container from a start and returns what it went through.
func walk(s script, steps int) (history []string, status corev1.ContainerStatus) {
	now := time.Unix(1000, 0)
	status.State.Running = &corev1.ContainerStateRunning{}
	since := now
	for range steps {
		before := describe(status)
		again := s.step(&status, since, now, func(n int32) time.Duration { return backoff(n, time.Second, 3*time.Second) })
		if after := describe(status); after != before {
			since = now
			history = append(history, after)
		}
		if again == 0 {
			return history, status
		}
		now = now.Add(again)
	}
	return history, status
}

func describe(status corev1.ContainerStatus) string {
	switch {
	case status.State.Running != nil:
		return "running"
	case status.State.Waiting != nil:
		return "waiting"
	case status.State.Terminated.ExitCode != 0:
		return "failed"
	}
	return "succeeded"
}

func TestStep(t *testing.T) {
	history, status := walk(script{outcome: faults.OK, duration: time.Second}, 10)
	assert.Equal(t, []string{"succeeded"}, history)
	assert.JSONEq(t, `{"scratchSpaceRequired":false,"preallocationApplied":false,"message":"Import Complete"}`, status.State.Terminated.Message)

	history, status = walk(script{outcome: faults.Fail, message: "no", duration: time.Second}, 9)
	assert.Equal(t, []string{"failed", "running", "failed", "waiting", "running", "failed", "waiting", "running"}, history)
	assert.Equal(t, int32(3), status.RestartCount)
	assert.Equal(t, "no", status.LastTerminationState.Terminated.Message)

	history, _ = walk(script{outcome: faults.Stall, progress: 10}, 10)
	assert.Empty(t, history, "a stalled import does nothing")
}

func TestHealedImportRestartsAtOnce(t *testing.T) {
	status := corev1.ContainerStatus{RestartCount: 5, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: crashLoop}}}
	now := time.Unix(1000, 0)
	script{outcome: faults.OK}.step(&status, now, now, func(int32) time.Duration { return time.Hour })
	assert.NotNil(t, status.State.Running)
	assert.Equal(t, int32(6), status.RestartCount)
}

func TestBackoff(t *testing.T) {
	for restarts, want := range map[int32]time.Duration{0: 0, 1: 1, 2: 2, 3: 4, 4: 5, 1000: 5} {
		assert.Equal(t, want, backoff(restarts, 1, 5), "restart %d", restarts)
	}
}

func TestPercent(t *testing.T) {
	s := script{duration: 10 * time.Second}
	assert.InDelta(t, 50, s.percent(5*time.Second), 0.001)
	assert.InDelta(t, 99, s.percent(time.Minute), 0.001, "only the end is the end")
	assert.InDelta(t, 42, script{outcome: faults.Stall, progress: 42}.percent(time.Hour), 0.001)
}
