package virtualserver

import (
	"testing"

	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

func TestTransitions(t *testing.T) {
	status := func(phase v1beta1.PrintableStatus, change ...func(*v1beta1.VirtualServerStatus)) v1beta1.VirtualServerStatus {
		s := v1beta1.VirtualServerStatus{ObservedGeneration: 1, PrintableStatus: phase}
		for _, c := range change {
			c(&s)
		}
		return s
	}
	condition := func(kind string, is metav1.ConditionStatus, reason, message string) func(*v1beta1.VirtualServerStatus) {
		return func(s *v1beta1.VirtualServerStatus) {
			s.Conditions = append(s.Conditions, metav1.Condition{Type: kind, Status: is, Reason: reason, Message: message})
		}
	}
	importing := func(lastError string) func(*v1beta1.VirtualServerStatus) {
		return func(s *v1beta1.VirtualServerStatus) { s.Import = &v1beta1.ImportStatus{LastError: lastError} }
	}
	failure := func(count int32) func(*v1beta1.VirtualServerStatus) {
		return func(s *v1beta1.VirtualServerStatus) {
			s.LastFailure = &v1beta1.MachineFailure{InstanceUID: "i", Reason: "OOMKilled", Message: "why", Count: count}
		}
	}
	imported := condition(v1beta1.ConditionDataImported, metav1.ConditionTrue, "Succeeded", "done")
	adopted := status(v1beta1.StatusRunning, imported)
	empty := v1beta1.VirtualServerStatus{}

	for _, test := range []struct {
		name          string
		before, after v1beta1.VirtualServerStatus
		want          []string
	}{
		{"nothing changes", status(v1beta1.StatusRunning), status(v1beta1.StatusRunning), nil},
		{"an import begins", empty, status(v1beta1.StatusProvisioning, importing("")), []string{"ImportStarted"}},
		{"an import fails", status(v1beta1.StatusProvisioning, importing("")), status(v1beta1.StatusProvisioning, importing("404")), []string{"ImportFailed"}},
		{"it fails in the same way again", status(v1beta1.StatusProvisioning, importing("404")), status(v1beta1.StatusProvisioning, importing("404")), nil},
		{"an import succeeds", status(v1beta1.StatusProvisioning, importing("")), status(v1beta1.StatusProvisioning, imported), []string{"ImportSucceeded"}},
		{"an adopted machine was imported long ago", empty, adopted, []string{"Running"}},
		{"the machine starts", status(v1beta1.StatusStarting), status(v1beta1.StatusRunning), []string{"Running"}},
		{"the machine stops", status(v1beta1.StatusStopping), status(v1beta1.StatusStopped), []string{"ShutDown"}},
		{"a machine that never ran", empty, status(v1beta1.StatusStopped), nil},
		{"pause", status(v1beta1.StatusRunning), status(v1beta1.StatusPaused), []string{"Paused"}},
		{"unpause", status(v1beta1.StatusPaused), status(v1beta1.StatusRunning), []string{"Unpaused"}},
		{"the node is lost", status(v1beta1.StatusRunning), status(v1beta1.StatusUnknown), []string{"NodeLost"}},
		{"the node is back", status(v1beta1.StatusUnknown), status(v1beta1.StatusRunning), []string{"NodeFound"}},
		{"no node", status(v1beta1.StatusStarting), status(v1beta1.StatusFailedUnschedulable), []string{"Unschedulable"}},
		{"a crash", status(v1beta1.StatusRunning), status(v1beta1.StatusStarting, failure(1)), []string{"Crashed"}},
		{"the same crash", status(v1beta1.StatusStarting, failure(1)), status(v1beta1.StatusStarting, failure(1)), nil},
		{"another crash", status(v1beta1.StatusStarting, failure(1)), status(v1beta1.StatusStarting, failure(2)), []string{"Crashed"}},
		{"crashes wait", status(v1beta1.StatusStarting), status(v1beta1.StatusCrashLoopBackOff), []string{"BackOff"}},
		{"an edit waits for a restart", status(v1beta1.StatusRunning),
			status(v1beta1.StatusRunning, condition(v1beta1.ConditionRestartRequired, metav1.ConditionTrue, "SpecChanged", "cores")), []string{"RestartRequired"}},
		{"something stands in the way", status(v1beta1.StatusRunning),
			status(v1beta1.StatusRunning, condition(v1beta1.ConditionReconciled, metav1.ConditionFalse, reasonQuota, "m")), []string{"ReconcileFailed"}},
		{"a deletion waits", status(v1beta1.StatusTerminating),
			status(v1beta1.StatusTerminating, condition(v1beta1.ConditionReconciled, metav1.ConditionFalse, reasonDeleting, "m")), nil},
		{"a disk is made anew", status(v1beta1.StatusProvisioning),
			status(v1beta1.StatusProvisioning, condition(v1beta1.ConditionReconciled, metav1.ConditionFalse, reasonImportingAgain, "m")), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var reasons []string
			for _, e := range transitions(&test.before, &test.after) {
				reasons = append(reasons, e.reason)
			}
			assert.Equal(t, test.want, reasons)
		})
	}
}
