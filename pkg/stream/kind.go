package stream

import "fmt"

// Kind names a stream. It is also the name of the subresource that serves it.
type Kind string

const (
	// Console is the serial console.
	Console Kind = "console"
	// VNC is the graphical console.
	VNC Kind = "vnc"
	// PortForward is a connection to a port of the machine.
	PortForward Kind = "portforward"
	// USBRedir lends a USB device of the client to the machine.
	USBRedir Kind = "usbredir"
)

// Subprotocol is the only websocket subprotocol that KubeVirt speaks: raw bytes in binary messages.
// Source: PlainStreamProtocolName in kubevirt.io/client-go/subresources.
const Subprotocol = "plain.kubevirt.io"

// Kinds lists all streams. Their subresources are long-running for the filters of the API server.
func Kinds() []Kind {
	return []Kind{Console, VNC, PortForward, USBRedir}
}

// LongRunningSubresources are the names that a server must give to its long-running check. Otherwise a stream holds a
// seat of priority and fairness all its life, and its request is cut after a minute.
func LongRunningSubresources() []string {
	names := make([]string, 0, len(Kinds()))
	for _, kind := range Kinds() {
		names = append(names, string(kind))
	}
	return names
}

// exclusive says that KubeVirt gives the stream to one client at a time and drops the older one.
// Source: newStopChan in kubevirt pkg/virt-handler/rest/console.go.
func (k Kind) exclusive() bool {
	return k == Console || k == VNC
}

// endedByGuest says that the far end is a program in the guest, which may be done with the stream.
func (k Kind) endedByGuest() bool {
	return k == PortForward
}

// Port is a port of a machine.
type Port struct {
	// Number is 1 to 65535.
	Number int
	// Protocol is tcp or udp.
	Protocol string
}

// String is the port as users write it, such as 53/udp.
func (p Port) String() string {
	if p.Number == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%s", p.Number, p.Protocol)
}
