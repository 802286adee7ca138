package stream

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/gorilla/websocket"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

// answer is what KubeVirt, or kube-apiserver in front of it, answered to a request that it refused.
type answer struct {
	code        int
	contentType string
	body        []byte
}

// status is the Status in the answer, or an empty one. Of a Status that was cut it is the message, or the beginning of it.
func (a answer) status() metav1.Status {
	status := metav1.Status{}
	mediaType, _, err := mime.ParseMediaType(a.contentType)
	if err != nil || mediaType != "application/json" {
		return status
	}
	if json.Unmarshal(a.body, &status) != nil {
		return metav1.Status{Message: cutMessage(a.body)}
	}
	return status
}

// messagePattern finds the message in a Status, as far as it is there, without an escape that was cut.
var messagePattern = regexp.MustCompile(`"message"\s*:\s*"((?:[^"\\]|\\[^u]|\\u[0-9a-fA-F]{4})*)`)

// cutMessage is what there is of the message in the beginning of a Status. The websocket library keeps 1024 bytes of a refusal.
func cutMessage(body []byte) string {
	found := messagePattern.FindSubmatch(body)
	if found == nil {
		return ""
	}
	message := ""
	if json.Unmarshal([]byte(`"`+string(found[1])+`"`), &message) != nil {
		return ""
	}
	// A character that was cut in two is read as this.
	return strings.TrimRight(message, string(unicode.ReplacementChar))
}

// aboutAnother says whether a 404 is about something else than the machine, such as a claim that the options name.
func (a answer) aboutAnother() bool {
	message := a.status().Message
	return message != "" && !strings.Contains(message, "virtualmachine")
}

// message is the text of a Status, or a plain text, as one short line.
func (a answer) message() string {
	text := string(a.body)
	if message := a.status().Message; message != "" {
		text = message
	}
	if text = printable(text); text == "" {
		text = http.StatusText(a.code)
	}
	const limit = 512
	return shorten(text, limit)
}

// printable makes one line of a text that somebody else wrote, without anything that a terminal would obey.
func printable(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text))
}

// refusal turns an answer into an error for the user, who asked for the VirtualServer name and never heard of the objects
// that KubeVirt talks about.
func (a answer) refusal(server *tensorstack.VirtualServer) error {
	switch {
	case a.code == http.StatusUnauthorized, a.code == http.StatusForbidden:
		// This is about our own account, not about the user, who was authorized before. A 401 would make the client log in again.
		return apierrors.NewServiceUnavailable(fmt.Sprintf(
			"KubeVirt refused the account of the VirtualServer API server; a cluster administrator must grant it the right: %s", a.message()))
	case a.code == http.StatusNotFound && a.aboutAnother():
		return conflict(server.Name, "%s", a.message())
	case a.code == http.StatusNotFound:
		// The VirtualServer exists; what KubeVirt does not know is its run.
		return conflict(server.Name, "the machine is not running (%s)", stateOf(server))
	case a.code == http.StatusConflict:
		return conflict(server.Name, "%s", aboutMachine(withoutPreamble(a.message())))
	case a.code == http.StatusBadRequest, a.code == http.StatusUnprocessableEntity:
		return apierrors.NewBadRequest(aboutMachine(a.message()))
	case a.code == http.StatusTooManyRequests:
		return apierrors.NewTooManyRequests(a.message(), 1)
	case a.code == http.StatusBadGateway, a.code == http.StatusServiceUnavailable, a.code == http.StatusGatewayTimeout:
		return unavailable("KubeVirt is not available: " + a.message())
	case a.code < http.StatusBadRequest:
		return apierrors.NewInternalError(fmt.Errorf("KubeVirt answered %d, which is not passed on", a.code))
	default:
		if err := a.precondition(server); err != nil {
			return err
		}
		return apierrors.NewInternalError(fmt.Errorf("KubeVirt answered %d: %s", a.code, a.message()))
	}
}

// operationRefusal is refusal for what is passed on. KubeVirt goes on to the node for a run that has ended or not begun, and what fails
// there it answers with 500.
func (a answer) operationRefusal(server *tensorstack.VirtualServer) error {
	err := a.refusal(server)
	switch {
	case !apierrors.IsInternalError(err) || readinessOf(server) == ready:
		return err
	case strings.Contains(a.message(), "not found"):
		return conflict(server.Name, "the machine is not running (%s)", stateOf(server))
	default:
		return conflict(server.Name, "the machine is not running (%s); KubeVirt says: %s", stateOf(server), a.message())
	}
}

// streamRefusal is refusal for a stream. There 400 means that the machine is not up yet, and the client may try again.
func (a answer) streamRefusal(server *tensorstack.VirtualServer, call Call) error {
	switch message := a.message(); {
	case a.code == http.StatusNotFound && willRun(server):
		return notYetError(server)
	case a.code == http.StatusNotFound:
		return neverError(server)
	case a.code == http.StatusInternalServerError && strings.Contains(message, "dialing VM: "):
		return guestRefusal(server, call, message)
	case a.code == http.StatusInternalServerError && strings.Contains(message, "dialing virt-handler: "):
		return nodeRefusal(server, call, message)
	}
	return a.refusal(server)
}

// guestRefusal is for a port that virt-api could not dial, for which it answers 500. Source: DialUnderlying of netDial in
// kubevirt pkg/virt-api/rest/dialers.go.
func guestRefusal(server *tensorstack.VirtualServer, call Call, message string) error {
	if strings.Contains(message, "connection refused") {
		refused := conflict(server.Name, "nothing listens on port %s of the machine", call.Port)
		return because(refused, server.Name, metav1.StatusCause{Type: v1beta1.CausePortClosed, Message: refused.ErrStatus.Message})
	}
	if slices.ContainsFunc(noAnswer(), func(words string) bool { return strings.Contains(message, words) }) {
		_, said, _ := strings.Cut(message, "dialing VM: ")
		silent := "the guest does not answer on its network, as before its system is up: " + said
		return retryLater(because(apierrors.NewServiceUnavailable(silent), server.Name, metav1.StatusCause{Type: v1beta1.CauseGuestUnreachable, Message: silent}))
	}
	return unavailable("the machine cannot be reached: " + message)
}

// noAnswer are the words in which Linux and Go say that nothing came back from an address.
func noAnswer() []string {
	return []string{"no route to host", "network is unreachable", "host is down", "connection timed out", "i/o timeout"}
}

// nodeRefusal is for a node that virt-api could not dial, for which it answers 500. Source: Dial of handlerDial in the same
// file. If the node refuses a session, all that virt-api passes on is that the handshake was bad. Source: VNCHandler and
// USBRedirHandler in kubevirt pkg/virt-handler/rest/console.go.
func nodeRefusal(server *tensorstack.VirtualServer, call Call, message string) error {
	if strings.Contains(message, websocket.ErrBadHandshake.Error()) {
		switch {
		case call.Kind == VNC && call.PreserveSession:
			return conflict(server.Name, "the node refuses it, most likely because somebody is connected to the %s who is not seen "+
				"here; preserveSession ends no session", call.Kind)
		case call.Kind == USBRedir:
			return conflict(server.Name, "the node refuses it, most likely because all slots of the machine for USB devices are taken")
		}
	}
	return unavailable("the node of the machine cannot be reached: " + message)
}

// withoutPreamble drops what a Conflict of KubeVirt says about its own object, because our Conflict says it about ours.
func withoutPreamble(message string) string {
	const preamble = "Operation cannot be fulfilled on "
	if !strings.HasPrefix(message, preamble) {
		return message
	}
	if _, rest, found := strings.Cut(message, `": `); found {
		return rest
	}
	return message
}

// aboutMachine puts what KubeVirt says about one of its objects into the words of a user, who never heard of these.
func aboutMachine(message string) string {
	switch message {
	case "VMI is already paused":
		return "the machine is paused already; unpause lets it go on"
	case "VMI is not paused":
		return "the machine is not paused, so there is nothing to unpause"
	case "VMI is paused":
		return "the machine is paused; unpause it first"
	}
	for _, object := range []string{"VMI ", "VM "} {
		if rest, found := strings.CutPrefix(message, object); found {
			return "the machine " + rest
		}
	}
	return message
}
