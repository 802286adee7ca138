package importer

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/test/nodeagent/faults"
	"tensorstack.dev/virtualserver/test/nodeagent/node"
)

// crashLoop is the reason of a container that waits for its next try.
const crashLoop = "CrashLoopBackOff"

// script is what an import is going to do.
type script struct {
	outcome  faults.Mode // OK, Fail or Stall
	message  string
	progress float64
	duration time.Duration
}

// newScript reads the settings of the pod's namespace; a source that cannot
// exist fails whatever they say, and with the text of CDI's own importer.
func newScript(settings faults.Settings, endpoint string, duration time.Duration) script {
	s := script{outcome: settings.Import, message: settings.ImportMessage, progress: settings.ImportProgress, duration: duration}
	if settings.ImportTime > 0 {
		s.duration = settings.ImportTime
	}
	if s.outcome == faults.Fail && s.message == "" {
		s.message = "Unable to connect to http data source: expected status code 200, got 503. Status: 503 Service Unavailable"
	}
	if message := unreachable(endpoint); message != "" {
		s.outcome, s.message = faults.Fail, message
	}
	return s
}

// unreachable is the importer's error for an address that the simulation
// takes for a missing one; it is empty for all others.
func unreachable(endpoint string) string {
	parsed, err := url.Parse(endpoint)
	if err != nil {
		return fmt.Sprintf("Unable to connect to http data source: %v", err)
	}
	missing := func(text string) bool {
		return strings.Contains(text, "does-not-exist") || strings.Contains(text, "404")
	}
	switch {
	case !missing(parsed.Host) && !missing(parsed.Path):
		return ""
	case parsed.Scheme == "docker" || parsed.Scheme == "oci-archive":
		return fmt.Sprintf("Unable to process data: Failed to read registry image: reading manifest latest in %s%s: manifest unknown",
			parsed.Host, parsed.Path)
	case strings.Contains(parsed.Host, "does-not-exist"):
		return fmt.Sprintf("Unable to connect to http data source: Get %q: dial tcp: lookup %s: no such host", endpoint, parsed.Hostname())
	}
	return "Unable to connect to http data source: expected status code 200, got 404. Status: 404 Not Found"
}

// backoff is the wait before the n-th restart, n counted from 0: the first is
// immediate, as a kubelet's is.
func backoff(restarts int32, first, longest time.Duration) time.Duration {
	if restarts == 0 {
		return 0
	}
	return min(first<<min(restarts-1, 16), longest)
}

// show is how long an ended container stays visible as such before it waits
// for its restart; CDI takes the error text from that state only.
const show = 700 * time.Millisecond

// step moves the importer's container on. since is when it entered its present
// state. A positive result is the time until the next step.
func (s script) step(status *corev1.ContainerStatus, since, now time.Time, wait func(restarts int32) time.Duration) time.Duration {
	elapsed := now.Sub(since)
	switch {
	case status.State.Running != nil:
		if s.outcome == faults.Stall {
			return 0
		}
		if left := s.duration - elapsed; left > 0 {
			return left
		}
		s.end(status, now)
		if s.outcome == faults.Fail {
			return show
		}
	case status.State.Terminated != nil:
		ended := status.State.Terminated
		if ended.ExitCode == 0 {
			return 0
		}
		if left := show - elapsed; left > 0 {
			return left
		}
		if wait(status.RestartCount) <= 0 {
			restart(status, now)
			return max(s.duration, time.Millisecond)
		}
		status.LastTerminationState = corev1.ContainerState{Terminated: ended}
		status.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
			Reason: crashLoop, Message: "back-off restarting failed container importer",
		}}
		return wait(status.RestartCount)
	case status.State.Waiting != nil:
		// A healed import need not wait for the end of its back-off.
		if left := wait(status.RestartCount) - elapsed; left > 0 && s.outcome == faults.Fail {
			return left
		}
		restart(status, now)
		return max(s.duration, time.Millisecond)
	}
	return 0
}

func (s script) end(status *corev1.ContainerStatus, now time.Time) {
	ended := corev1.ContainerStateTerminated{Message: succeeded("Import Complete")}
	if s.outcome == faults.Fail {
		ended = corev1.ContainerStateTerminated{ExitCode: 1, Message: s.message}
	}
	node.Terminate(status, ended, metav1.NewTime(now))
}

// succeeded is the termination message of CDI's workers.
func succeeded(text string) string {
	return fmt.Sprintf(`{"scratchSpaceRequired":false,"preallocationApplied":false,"message":%q}`, text)
}

func restart(status *corev1.ContainerStatus, now time.Time) {
	if status.State.Terminated != nil {
		status.LastTerminationState = corev1.ContainerState{Terminated: status.State.Terminated}
	}
	started := true
	status.RestartCount++
	status.Ready, status.Started = true, &started
	status.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(now)}}
}

// percent is the progress of a container that has run for elapsed.
func (s script) percent(elapsed time.Duration) float64 {
	if s.outcome == faults.Stall {
		return s.progress
	}
	if s.duration <= 0 {
		return 99
	}
	return min(99, 100*float64(elapsed)/float64(s.duration))
}
