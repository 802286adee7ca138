package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Causes in the details of a refused stream. They tell programs what would help; the message, which people read, names no option of
// the API.
const (
	// CauseMachineStarting is a machine that is not up yet. The option in the field of the cause waits for it.
	CauseMachineStarting metav1.CauseType = "MachineStarting"
	// CauseSessionHeld is a console or screen that somebody else is connected to. The option in the field of the cause ends that.
	CauseSessionHeld metav1.CauseType = "SessionHeld"
	// CausePortClosed is a port of the guest that nothing listens on.
	CausePortClosed metav1.CauseType = "PortClosed"
	// CauseGuestUnreachable is a guest that does not answer on its network: its system has not brought it up yet, or has lost it.
	CauseGuestUnreachable metav1.CauseType = "GuestUnreachable"
)
