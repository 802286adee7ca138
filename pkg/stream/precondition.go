package stream

import (
	"regexp"
	"strings"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

// nodeFailure is what Go's HTTP client says of a node that virt-api could not ask.
var nodeFailure = regexp.MustCompile(`\b(?:Get|Put) "https://[^"]*": (.*)`)

// precondition returns the error that virt-api meant by a 500, or nil if it is one. It answers a read that it cannot carry out
// with a plain 500, whatever is wrong, and any failure on the way to the node too. Source: httpGetRequestHandler and
// putRequestHandler in kubevirt pkg/virt-api/rest/subresource.go, and client-go's kubecli/handler.go.
func (a answer) precondition(server *tensorstack.VirtualServer) error {
	message := a.message()
	failure := nodeFailure.FindStringSubmatch(message)
	switch {
	case failure != nil:
		return unavailable("the node of the machine cannot be reached: " + failure[1])
	case strings.HasPrefix(message, "No virt-handler on node "):
		return unavailable("the node of the machine cannot be reached: " + message)
	case strings.HasPrefix(message, "virtualmachineinstance") && strings.HasSuffix(message, "not found"),
		strings.HasSuffix(message, "VMI is not running"), strings.Contains(message, "because phase is "):
		return conflict(server.Name, "the machine is not running (%s)", stateOf(server))
	case strings.Contains(message, "No graphics devices"):
		return conflict(server.Name, "the machine has no screen")
	case strings.Contains(strings.ToLower(message), "guest agent"):
		return conflict(server.Name, "no guest agent answers in the machine (%s): install qemu-guest-agent in the guest and start it there",
			aboutMachine(withoutPreamble(message)))
	case strings.HasPrefix(message, "Operation cannot be fulfilled on "):
		return conflict(server.Name, "%s", aboutMachine(withoutPreamble(message)))
	case strings.Contains(message, "admission webhook"):
		// virt-api turns a denial of its own webhook into a 500, as for a machine whose disks cannot be migrated.
		_, denial, _ := strings.Cut(message, "denied the request: ")
		return conflict(server.Name, "KubeVirt does not allow it: %s", denial)
	}
	return nil
}
