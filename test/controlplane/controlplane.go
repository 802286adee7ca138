package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"tensorstack.dev/virtualserver/test/realnode/network"
)

// ControlPlane is a running control plane: one that this process started, or one of
// another process that it attached to.
type ControlPlane struct {
	options      Options
	paths        layout
	cas          authorities
	clusterCAPEM []byte
	ports        ports
	// server is kube-apiserver's URL.
	server  string
	admin   *rest.Config
	client  kubernetes.Interface
	dynamic dynamic.Interface
	applier *applier
	// labAddress is this machine's address in the network of real nodes.
	labAddress netip.Addr

	// operator acts on components: here, or in the process that owns them.
	operator operator
	// own is nil for an attached control plane.
	own *ownership
}

// ownership is what only the process that started the control plane has.
type ownership struct {
	lock      *os.File
	allocator *portAllocator
	spawner   *spawner
	cancel    context.CancelFunc
	context   context.Context
	loops     sync.WaitGroup
	control   *controlServer
	started   time.Time
	// lab is what real nodes have on this machine. Nil with simulated ones.
	lab *network.Claim

	mu          sync.Mutex
	supervisors []*supervisor
	ready       bool
	failure     error
	failed      chan struct{}
	// stateFile orders the writers of the state file.
	stateFile sync.Mutex
	stopOnce  sync.Once
	stopErr   error
}

// Start starts a control plane and returns when all of it is ready. Ending ctx afterwards
// does not stop it; Stop does. On an error nothing is left running.
func Start(ctx context.Context, options Options) (*ControlPlane, error) {
	if err := options.complete(); err != nil {
		return nil, fmt.Errorf("start the control plane: %w", err)
	}
	c := &ControlPlane{options: options, paths: layout{root: options.StateDir}}
	if err := c.prepare(); err != nil {
		return nil, fmt.Errorf("start the control plane: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, options.StartTimeout,
		fmt.Errorf("the control plane is not ready after %v", options.StartTimeout))
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	finished := make(chan struct{})
	watching := make(chan struct{})
	// A component that gives up ends the start at once. Owned by this call.
	go func() {
		defer close(watching)
		select {
		case <-c.own.failed:
			fail(c.own.failure)
		case <-finished:
		}
	}()
	err := runSteps(ctx, c.steps())
	close(finished)
	<-watching
	if err != nil {
		if cause := c.Err(); cause != nil {
			err = cause
		}
		return nil, errors.Join(fmt.Errorf("start the control plane: %w", err), c.Stop())
	}
	c.own.mu.Lock()
	c.own.ready = true
	c.own.mu.Unlock()
	c.saveState()
	c.report("control plane is ready after %.1f s", time.Since(c.own.started).Seconds())
	return c, nil
}

// prepare makes everything that needs no running server.
func (c *ControlPlane) prepare() (err error) {
	lock, err := lockStateDir(c.paths)
	if err != nil {
		return err
	}
	runCtx, cancel := context.WithCancel(context.Background())
	c.own = &ownership{lock: lock, context: runCtx, cancel: cancel, failed: make(chan struct{}), started: time.Now()}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	why := ""
	if c.options.Nodes, why, err = c.options.Nodes.resolve(c.options.BinDir, c.options.ImageDir); err != nil {
		return err
	}
	if why != "" {
		c.report("%s", why)
	}
	if err := c.checkPrograms(); err != nil {
		return err
	}
	if err := forgetKilled(c.paths.root); err != nil {
		return err
	}
	if err := c.paths.reset(); err != nil {
		return err
	}
	if err := os.MkdirAll(c.paths.data("tmp"), 0o700); err != nil {
		return err
	}
	if c.own.allocator, err = newPortAllocator(); err != nil {
		return err
	}
	if c.ports, err = takePorts(c.own.allocator); err != nil {
		return err
	}
	c.server = loopbackURL(c.ports.KubeAPIServer)
	if c.real() {
		if err := c.claimLab(); err != nil {
			return fmt.Errorf("lab: %w", err)
		}
	}
	if c.cas, err = writeCertificates(c.paths, c.apiServerAddresses()); err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	c.clusterCAPEM = c.cas[clusterCA].certPEM
	if err := c.writeKubernetesKubeconfigs(); err != nil {
		return err
	}
	if err := c.connect(); err != nil {
		return err
	}
	c.own.spawner = newSpawner()
	local := &localOperator{plane: c}
	c.operator = local
	c.own.control, err = startControlServer(local, c.fail)
	return err
}

// connect makes the administrator's clients.
func (c *ControlPlane) connect() (err error) {
	if c.client, err = kubernetes.NewForConfig(c.admin); err != nil {
		return err
	}
	if c.dynamic, err = dynamic.NewForConfig(c.admin); err != nil {
		return err
	}
	c.applier, err = newApplier(c.admin)
	return err
}

// checkPrograms says at once what is not built yet.
func (c *ControlPlane) checkPrograms() error {
	programs := []string{"kube", "kubevirt-manifests", VirtAPI, VirtController, "cdi-manifests", CDIAPIServer, CDIController}
	if !c.options.WithoutNodeAgent && !c.real() {
		programs = append(programs, NodeAgent)
	}
	if c.real() {
		programs = append(programs, CSIProvisioner, CSISnapshotter, SnapshotController, snapshotCRDs)
	}
	if !c.options.WithoutProduct {
		programs = append(programs, Product)
	}
	var missing []string
	for _, program := range programs {
		if _, err := os.Stat(c.Binary(program)); err != nil {
			missing = append(missing, program)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("programs are missing in %s (run make build): %v", c.options.BinDir, missing)
	}
	return nil
}

// startComponent supervises a component and waits until it is ready.
func (c *ControlPlane) startComponent(ctx context.Context, component component) error {
	begin := time.Now()
	supervisor := newSupervisor(component, supervisorHost{
		paths: c.paths, binDir: c.options.BinDir, spawner: c.own.spawner,
		changed: c.saveState, failed: c.fail, removeLease: c.removeLease, report: c.report,
	})
	c.own.mu.Lock()
	c.own.supervisors = append(c.own.supervisors, supervisor)
	c.own.loops.Add(1)
	c.own.mu.Unlock()
	go func() {
		defer c.own.loops.Done()
		supervisor.run(c.own.context)
	}()
	if err := supervisor.waitReady(ctx); err != nil {
		return err
	}
	c.report("%-26s ready in %4.1f s", component.name, time.Since(begin).Seconds())
	return nil
}

// fail records the first reason why the control plane cannot go on.
func (c *ControlPlane) fail(err error) {
	c.own.mu.Lock()
	defer c.own.mu.Unlock()
	if c.own.failure == nil && c.own.context.Err() == nil {
		c.own.failure = err
		close(c.own.failed)
	}
}

// Failed is closed when a component will not run any more; Err then says why. It is nil
// for an attached control plane.
func (c *ControlPlane) Failed() <-chan struct{} {
	if c.own == nil {
		return nil
	}
	return c.own.failed
}

// Err is the reason for which Failed was closed.
func (c *ControlPlane) Err() error {
	if c.own == nil {
		return nil
	}
	c.own.mu.Lock()
	defer c.own.mu.Unlock()
	return c.own.failure
}

// Stop ends every process, those that use others first, and waits for them. A stop of an
// attached control plane does nothing: it belongs to the process that started it.
func (c *ControlPlane) Stop() error {
	if c.own == nil {
		return nil
	}
	c.own.stopOnce.Do(func() { c.own.stopErr = c.stop() })
	return c.own.stopErr
}

func (c *ControlPlane) stop() error {
	var errs []error
	c.own.mu.Lock()
	supervisors := slices.Clone(c.own.supervisors)
	c.own.ready = false
	c.own.mu.Unlock()
	if c.own.control != nil {
		// From now on nobody attaches.
		c.saveState()
		errs = append(errs, c.own.control.stop())
	}
	for tier := tierProduct; tier >= tierStore; tier-- {
		var group sync.WaitGroup
		for _, supervisor := range supervisors {
			if supervisor.tier == tier {
				group.Go(func() { supervisor.hold(syscall.SIGTERM) })
			}
		}
		group.Wait()
	}
	c.own.cancel()
	c.own.loops.Wait()
	if c.own.spawner != nil {
		c.own.spawner.stop()
	}
	if c.own.allocator != nil {
		c.own.allocator.release()
	}
	errs = append(errs, c.releaseLab())
	if err := os.Remove(c.paths.stateFile()); err != nil && !os.IsNotExist(err) {
		errs = append(errs, err)
	}
	errs = append(errs, c.own.lock.Close())
	return errors.Join(errs...)
}

// report prints one line of progress with the time since the start.
func (c *ControlPlane) report(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	c.own.mu.Lock()
	defer c.own.mu.Unlock()
	_, _ = fmt.Fprintf(c.options.Log, "[%5.1fs] %s\n", time.Since(c.own.started).Seconds(), line)
}

// lockStateDir makes sure that only one launcher uses the directory.
func lockStateDir(paths layout) (*os.File, error) {
	if err := os.MkdirAll(paths.root, 0o755); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(paths.lockFile(), os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	// InUse holds the lock for a moment, so one failure says little.
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	err = waitFor(ctx, probeInterval, func(context.Context) error {
		return syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	})
	if err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("another control plane uses %s: stop it first or choose another state directory", paths.root)
	}
	return lock, nil
}

// real tells whether nodes are real.
func (c *ControlPlane) real() bool {
	return c.options.Nodes == RealNodes && !c.options.WithoutNodeAgent
}

// Binary is the path of a program of the control plane, such as kubectl or kubectl-virt.
func (c *ControlPlane) Binary(name string) string { return filepath.Join(c.options.BinDir, name) }

// StateDir is where certificates, data and logs are.
func (c *ControlPlane) StateDir() string { return c.options.StateDir }

// LogFile is the log of a component.
func (c *ControlPlane) LogFile(component string) string { return c.paths.logFile(component) }
