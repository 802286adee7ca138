package simguest

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/pkg/sftp"

	"tensorstack.dev/virtualserver/test/nodeagent/guest"
	"tensorstack.dev/virtualserver/test/nodeagent/rfb"
	"tensorstack.dev/virtualserver/test/nodeagent/serial"
)

// Guest implements guest.Guest.
type Guest struct {
	machine guest.Machine
	options Options
	changed func()
	// ctx is the guest's own life; it is kept because the guest is the owner
	// of everything that runs inside it.
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}
	// power holds one press of the power button.
	power chan struct{}
	// files is what was copied to the guest; it lives as long as the guest.
	files sftp.Handlers

	mu       sync.Mutex
	status   guest.Status
	launched time.Time
}

var _ guest.Guest = &Guest{}

// run is the guest's life from power-on to its end.
func (g *Guest) run() {
	defer close(g.done)
	defer g.cancel()
	boot := g.options.Boot
	if g.machine.Attach {
		boot = 0
	}
	if !g.sleep(boot) {
		g.stop(guest.Destroyed)
		return
	}
	state := guest.Running
	if g.machine.Paused {
		state = guest.Paused
	}
	g.change(func(s *guest.Status) bool { s.State = state; return true })
	servers := listen(g.ctx, g)
	defer servers.Wait()
	defer g.cancel()
	for {
		select {
		case <-g.ctx.Done():
			g.stop(guest.Destroyed)
			return
		case <-g.power:
			if g.Status().State == guest.Paused {
				// Nobody is there to see the button while processors stand still.
				continue
			}
			g.sleep(g.options.Shutdown)
			g.stop(guest.PoweredOff)
			return
		}
	}
}

func (g *Guest) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-g.ctx.Done():
		return false
	}
}

// change applies f to a guest that has not ended, and tells if f changed it.
func (g *Guest) change(f func(*guest.Status) bool) bool {
	g.mu.Lock()
	did := g.status.State != guest.Exited && f(&g.status)
	g.mu.Unlock()
	if did {
		g.changed()
	}
	return did
}

// stop ends the guest; the first reason counts.
func (g *Guest) stop(reason guest.Exit) {
	g.change(func(s *guest.Status) bool {
		*s = guest.Status{State: guest.Exited, Exit: reason}
		return true
	})
	g.cancel()
}

// Status returns a snapshot.
func (g *Guest) Status() guest.Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.status
}

// Machine returns what the guest is made of now.
func (g *Guest) Machine() guest.Machine {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.machine
}

// SetDisks plugs and unplugs disks.
func (g *Guest) SetDisks(disks []guest.Disk) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.machine.Disks = disks
}

// Done is closed when the guest has ended.
func (g *Guest) Done() <-chan struct{} { return g.done }

// Shutdown presses the power button.
func (g *Guest) Shutdown() {
	select {
	case g.power <- struct{}{}:
	default:
	}
}

// End stops the guest at once.
func (g *Guest) End(reason guest.Exit) { g.stop(reason) }

// Reboot restarts the operating system.
func (g *Guest) Reboot() error {
	return g.when(guest.Running, func(s *guest.Status) {
		s.Frozen = false
		g.launched = time.Now()
	})
}

// Pause stops the processors.
func (g *Guest) Pause() error {
	return g.when(guest.Running, func(s *guest.Status) { s.State = guest.Paused })
}

// Resume lets the processors run.
func (g *Guest) Resume() error {
	return g.when(guest.Paused, func(s *guest.Status) { s.State = guest.Running })
}

// Freeze stops writes to the filesystems.
func (g *Guest) Freeze() error {
	return g.when(guest.Running, func(s *guest.Status) { s.Frozen = true })
}

// Thaw undoes Freeze.
func (g *Guest) Thaw() error {
	return g.when(guest.Running, func(s *guest.Status) { s.Frozen = false })
}

func (g *Guest) when(state guest.State, f func(*guest.Status)) error {
	did := g.change(func(s *guest.Status) bool {
		if s.State != state {
			return false
		}
		f(s)
		return true
	})
	if !did {
		return guest.ErrNotRunning
	}
	return nil
}

// Serial connects a terminal.
func (g *Guest) Serial(ctx context.Context, conn io.ReadWriteCloser) error {
	ctx, cancel := g.within(ctx)
	defer cancel()
	return serial.Serve(ctx, conn, system{g})
}

// Display connects a viewer.
func (g *Guest) Display(ctx context.Context, conn io.ReadWriteCloser) error {
	ctx, cancel := g.within(ctx)
	defer cancel()
	return rfb.Serve(ctx, conn, g.machine.Namespace+"/"+g.machine.Name, rfb.Display(g.shade()))
}

// Screenshot returns the display as PNG.
func (g *Guest) Screenshot() ([]byte, error) { return rfb.PNG(rfb.Display(g.shade())) }

// shade gives every machine a colour of its own.
func (g *Guest) shade() byte {
	var sum byte
	for i := range len(g.machine.UID) {
		sum += g.machine.UID[i]
	}
	return sum
}

// within returns a context that ends with ctx and with the guest.
func (g *Guest) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(g.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// System describes the simulated operating system.
func (g *Guest) System() guest.System {
	g.mu.Lock()
	defer g.mu.Unlock()
	return guest.System{
		ID: "simulated", Name: "Simulated Linux", Version: "1.0", Pretty: "Simulated Linux 1.0",
		KernelRelease: "6.12.0-simulated", KernelVersion: "#1 SMP", Machine: "x86_64",
		Timezone: "UTC, 0", AgentVersion: "9.0.0", Booted: g.launched,
		Commands: []string{
			"guest-exec", "guest-exec-status", "guest-fsfreeze-freeze", "guest-fsfreeze-status", "guest-fsfreeze-thaw",
			"guest-get-fsinfo", "guest-get-host-name", "guest-get-osinfo", "guest-get-time", "guest-get-timezone",
			"guest-get-users", "guest-info", "guest-network-get-interfaces", "guest-ping", "guest-set-user-password",
			"guest-shutdown", "guest-ssh-add-authorized-keys", "guest-ssh-get-authorized-keys", "guest-ssh-remove-authorized-keys",
		},
	}
}

// system is the guest as seen from its own shell.
type system struct{ *Guest }

func (s system) Hostname() string      { return s.machine.Hostname }
func (s system) Uptime() time.Duration { return time.Since(s.Guest.System().Booted) }
func (s system) Disks() []guest.Disk   { return s.Machine().Disks }
func (s system) PowerOff()             { s.stop(guest.PoweredOff) }
func (s system) Panic()                { s.stop(guest.Panicked) }

// Reboot cannot fail in a guest whose shell runs.
func (s system) Reboot() { _ = s.Guest.Reboot() }
