// Package guest is the border between the node agent and what runs a machine:
// today a simulation, later a real hypervisor such as QEMU.
package guest

import (
	"context"
	"errors"
	"io"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// ErrNotRunning says that the guest has ended or has not booted yet.
var ErrNotRunning = errors.New("the guest is not running")

// Disk is one block device of a machine.
type Disk struct {
	// Name is the volume's name in the machine's specification.
	Name string
	// Target is the device name inside the guest, such as vda.
	Target string
	// Serial is empty where the specification gives none.
	Serial string
	// Bytes is the device's size; 0 where it is not known.
	Bytes int64
}

// Machine is what a hypervisor needs to know to run a guest.
type Machine struct {
	UID             types.UID
	Namespace, Name string
	Hostname        string
	// IP is the loopback address on which the guest's own servers listen.
	IP string
	// Ports are the TCP ports that the guest serves.
	Ports []int32
	Disks []Disk
	CPUs  uint32
	// MemoryBytes is the guest's memory.
	MemoryBytes int64
	// Paused asks for a guest whose processors do not run yet.
	Paused bool
	// Attach says that the guest ran before the agent started: no boot.
	Attach bool
}

// State is where a guest is in its life.
type State string

// The states of a guest, in order; Paused and Running alternate.
const (
	Booting State = "Booting"
	Running State = "Running"
	Paused  State = "Paused"
	Exited  State = "Exited"
)

// Exit is the reason why a guest ended.
type Exit string

// The reasons of an end. Only PoweredOff is a clean one.
const (
	PoweredOff  Exit = "PoweredOff"
	Destroyed   Exit = "Destroyed"
	Crashed     Exit = "Crashed"
	Panicked    Exit = "Panicked"
	OutOfMemory Exit = "OutOfMemory"
)

// Status is a snapshot of a guest.
type Status struct {
	State State
	// Exit is set in state Exited only.
	Exit Exit
	// Frozen tells whether the guest's filesystems are frozen.
	Frozen bool
}

// System describes the operating system as the guest agent reports it.
type System struct {
	ID, Name, Version, Pretty, KernelRelease, KernelVersion, Machine string
	Timezone                                                         string
	AgentVersion                                                     string
	// Commands are the guest agent commands that it supports.
	Commands []string
	Booted   time.Time
}

// Guest is one running machine. All methods are safe for concurrent use and
// none of them waits for the guest: changes are told to the callback of Launch.
type Guest interface {
	Status() Status
	Machine() Machine
	System() System
	// SetDisks plugs and unplugs disks until the guest has these.
	SetDisks([]Disk)
	// Shutdown presses the power button.
	Shutdown()
	// End stops the guest at once for the given reason.
	End(Exit)
	// Reboot restarts the operating system; the machine stays.
	Reboot() error
	Pause() error
	Resume() error
	// Freeze stops writes to the filesystems, Thaw lets them go on.
	Freeze() error
	Thaw() error
	// Serial connects a terminal to the first serial port until the context
	// or the guest ends or the connection breaks.
	Serial(ctx context.Context, conn io.ReadWriteCloser) error
	// Display speaks the remote framebuffer protocol on the connection.
	Display(ctx context.Context, conn io.ReadWriteCloser) error
	// Screenshot returns the display as PNG.
	Screenshot() ([]byte, error)
	// Done is closed when the guest has ended.
	Done() <-chan struct{}
}

// Hypervisor runs guests.
type Hypervisor interface {
	// Launch starts a guest. changed is called after every change of its
	// Status; it must not block. The guest ends with the context.
	Launch(ctx context.Context, machine Machine, changed func()) (Guest, error)
	// Wait returns when all guests have ended.
	Wait()
}
