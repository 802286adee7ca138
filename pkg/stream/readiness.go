package stream

import (
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// readiness says whether a stream to a machine can be opened now, may be opened later, or will not be.
type readiness int

const (
	ready readiness = iota
	notYet
	never
)

// readinessOf judges a machine by its status. KubeVirt has the last word when the stream is opened.
func readinessOf(server *tensorstack.VirtualServer) readiness {
	status := &server.Status
	if !server.DeletionTimestamp.IsZero() {
		return never
	}
	switch status.PrintableStatus {
	case tensorstack.StatusRunning, tensorstack.StatusPaused, tensorstack.StatusMigrating,
		tensorstack.StatusStopping, tensorstack.StatusUnknown:
		return ready
	case tensorstack.StatusTerminating:
		return never
	}
	if willRun(server) {
		return notYet
	}
	return never
}

// willRun says whether a machine that is down comes up without anybody doing anything more.
func willRun(server *tensorstack.VirtualServer) bool {
	status := &server.Status
	if operation := status.PendingOperation; operation != nil {
		return operation.Type != tensorstack.OperationStop
	}
	strategy := status.RunStrategy
	if strategy == "" {
		strategy = server.Spec.RunStrategy
	}
	stopped := status.PrintableStatus == tensorstack.StatusStopped
	switch strategy {
	case tensorstack.RunStrategyAlways:
		return true
	case tensorstack.RunStrategyRerunOnFailure:
		return !stopped
	case tensorstack.RunStrategyManual:
		// Only an operation starts it; one that was carried out shows as Starting.
		return status.PrintableStatus == tensorstack.StatusStarting ||
			status.PrintableStatus == tensorstack.StatusFailedUnschedulable
	default:
		return false
	}
}

// readinessError is nil for a machine that is ready. Otherwise it is 400 for one that is not up yet, because virtctl waits on
// exactly that code, and 409 for one that will not come up. Source: kubevirt.io/client-go/kubecli/vmi.go.
func readinessError(server *tensorstack.VirtualServer) error {
	switch readinessOf(server) {
	case ready:
		return nil
	case notYet:
		return notYetError(server)
	default:
		return neverError(server)
	}
}

func notYetError(server *tensorstack.VirtualServer) error {
	refused := apierrors.NewBadRequest(fmt.Sprintf("virtualserver %q is not up yet (%s)", server.Name, stateOf(server)))
	return because(refused, server.Name, metav1.StatusCause{
		Type: v1beta1.CauseMachineStarting, Field: "wait", Message: "wait=SECONDS waits for it",
	})
}

// because adds a cause to a refusal. Programs read it; what people read names no option of the API, since they may be at any command
// line.
func because(refused *apierrors.StatusError, name string, cause metav1.StatusCause) error {
	if refused.ErrStatus.Details == nil {
		refused.ErrStatus.Details = &metav1.StatusDetails{Group: v1beta1.GroupName, Kind: "virtualservers", Name: name}
	}
	refused.ErrStatus.Details.Causes = append(refused.ErrStatus.Details.Causes, cause)
	return refused
}

func neverError(server *tensorstack.VirtualServer) error {
	advice := "start it first"
	if !server.DeletionTimestamp.IsZero() || server.Status.PrintableStatus == tensorstack.StatusTerminating {
		advice = "it is being deleted"
	}
	return conflict(server.Name, "the machine is not running and will not start by itself (%s): %s", stateOf(server), advice)
}

// stateOf is the state of a machine for people, with the reason if one is known.
func stateOf(server *tensorstack.VirtualServer) string {
	state := string(server.Status.PrintableStatus)
	if state == "" {
		state = "no status yet"
	}
	if server.Status.Message != "" {
		state += ": " + server.Status.Message
	}
	return state
}

// conflict is 409 with a message for people. The library's own begins with a sentence about updates.
func conflict(name, format string, arguments ...any) *apierrors.StatusError {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusConflict,
		Reason:  metav1.StatusReasonConflict,
		Message: fmt.Sprintf("virtualservers.%s %q: %s", v1beta1.GroupName, name, fmt.Sprintf(format, arguments...)),
		Details: &metav1.StatusDetails{Group: v1beta1.GroupName, Kind: "virtualservers", Name: name},
	}}
}
