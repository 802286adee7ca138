// Package simguest simulates guests: no processor runs, but the life cycle, the
// serial line, the display and a few servers answer as a booted system would.
package simguest

import (
	"context"
	"sync"
	"time"

	"github.com/pkg/sftp"

	"tensorstack.dev/virtualserver/test/nodeagent/guest"
)

// Options are the times that a simulated operating system takes.
type Options struct {
	// Boot is the time from power-on to a running system.
	Boot time.Duration
	// Shutdown is the time from the power button to power-off.
	Shutdown time.Duration
}

// Hypervisor implements guest.Hypervisor.
type Hypervisor struct {
	options Options
	guests  sync.WaitGroup
}

var _ guest.Hypervisor = &Hypervisor{}

// New returns a hypervisor without guests.
func New(options Options) *Hypervisor { return &Hypervisor{options: options} }

// Launch starts a simulated guest.
func (h *Hypervisor) Launch(ctx context.Context, machine guest.Machine, changed func()) (guest.Guest, error) {
	ctx, cancel := context.WithCancel(ctx)
	g := &Guest{
		machine:  machine,
		options:  h.options,
		changed:  changed,
		ctx:      ctx,
		cancel:   cancel,
		done:     make(chan struct{}),
		power:    make(chan struct{}, 1),
		files:    sftp.InMemHandler(),
		status:   guest.Status{State: guest.Booting},
		launched: time.Now(),
	}
	h.guests.Go(g.run)
	return g, nil
}

// Wait returns when all guests have ended.
func (h *Hypervisor) Wait() { h.guests.Wait() }
