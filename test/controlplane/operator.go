package controlplane

import (
	"context"
	"fmt"
	"syscall"
)

// operator starts and stops single components.
type operator interface {
	kill(ctx context.Context, name string) error
	hold(ctx context.Context, name string) error
	release(ctx context.Context, name string, args []string) error
}

// Kill ends a component at once with SIGKILL, as a crash would, and keeps it down until
// StartComponent.
func (c *ControlPlane) Kill(ctx context.Context, name string) error {
	return c.operator.kill(ctx, name)
}

// StopComponent ends a component in an orderly way and keeps it down until StartComponent.
func (c *ControlPlane) StopComponent(ctx context.Context, name string) error {
	return c.operator.hold(ctx, name)
}

// StartComponent starts a component again that Kill or StopComponent ended, with the same
// data, and waits until it is ready.
//
// args are added to its arguments, and win over them, until it is started the next time: a product that is to adopt a
// strange store needs a flag for once.
func (c *ControlPlane) StartComponent(ctx context.Context, name string, args ...string) error {
	return c.operator.release(ctx, name, args)
}

// Restart stops a component in an orderly way, starts it and waits until it is ready.
func (c *ControlPlane) Restart(ctx context.Context, name string) error {
	if err := c.operator.hold(ctx, name); err != nil {
		return err
	}
	return c.operator.release(ctx, name, nil)
}

// localOperator acts on the components of this process.
type localOperator struct {
	plane *ControlPlane
}

func (o *localOperator) kill(_ context.Context, name string) error {
	supervisor, err := o.plane.supervisorOf(name)
	if err == nil {
		supervisor.hold(syscall.SIGKILL)
	}
	return err
}

func (o *localOperator) hold(_ context.Context, name string) error {
	supervisor, err := o.plane.supervisorOf(name)
	if err == nil {
		supervisor.hold(syscall.SIGTERM)
	}
	return err
}

func (o *localOperator) release(ctx context.Context, name string, args []string) error {
	supervisor, err := o.plane.supervisorOf(name)
	if err != nil {
		return err
	}
	return supervisor.release(ctx, args)
}

func (c *ControlPlane) supervisorOf(name string) (*supervisor, error) {
	c.own.mu.Lock()
	defer c.own.mu.Unlock()
	for _, supervisor := range c.own.supervisors {
		if supervisor.name == name {
			return supervisor, nil
		}
	}
	return nil, fmt.Errorf("the control plane has no component %q", name)
}
