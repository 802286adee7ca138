package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	// A process that lives this long was healthy: its failure count starts anew.
	healthyAfter = 10 * time.Second
	// maxQuickExits in a row mean that restarting will not help.
	maxQuickExits = 5
	firstBackoff  = 200 * time.Millisecond
)

// errNotWanted means that the component was held while it was about to start.
var errNotWanted = errors.New("the component is held")

// supervisor keeps one component running until it is told otherwise.
type supervisor struct {
	component
	host supervisorHost

	mu sync.Mutex
	// wanted is false while the component is held or stopped.
	wanted  bool
	status  ComponentStatus
	process *os.Process
	// extra arguments were asked for when the component was last released.
	extra    []string
	exited   chan struct{}
	quick    int
	finished chan struct{}
	// wake tells the loop that wanted has changed.
	wake chan struct{}
}

// supervisorHost is what a supervisor needs from the control plane.
type supervisorHost struct {
	paths   layout
	binDir  string
	spawner *spawner
	// changed is called after each change of a status.
	changed func()
	// failed is called once when the component will not run any more.
	failed func(error)
	// removeLease deletes a Lease that a dead process left.
	removeLease func(ctx context.Context, lease string) error
	// report prints a line for people.
	report func(format string, args ...any)
}

func newSupervisor(component component, host supervisorHost) *supervisor {
	return &supervisor{
		component: component, host: host, wanted: true,
		status:   ComponentStatus{Name: component.name, Phase: phaseStarting},
		finished: make(chan struct{}), wake: make(chan struct{}, 1),
	}
}

// run is the supervisor's goroutine. It ends when ctx does, or when the component keeps
// dying, with the process gone.
func (s *supervisor) run(ctx context.Context) {
	defer close(s.finished)
	defer s.setPhase(phaseStopped)
	for ctx.Err() == nil {
		if !s.isWanted() {
			select {
			case <-ctx.Done():
			case <-s.wake:
			}
			continue
		}
		started := time.Now()
		exit, err := s.launch()
		if errors.Is(err, errNotWanted) {
			continue
		}
		if err != nil {
			s.host.failed(fmt.Errorf("%s does not start: %w", s.name, err))
			return
		}
		stopLooking := s.noteReadyAgain(ctx)
		select {
		case <-ctx.Done():
			s.terminate(exit)
			stopLooking()
			return
		case <-exit:
		}
		stopLooking()
		if !s.isWanted() || ctx.Err() != nil {
			continue
		}
		if !s.backOff(ctx, time.Since(started)) {
			return
		}
	}
}

// noteReadyAgain looks in the background for the moment when a process that replaced a dead
// one is ready. The caller ends that with the returned function.
func (s *supervisor) noteReadyAgain(ctx context.Context) (stop func()) {
	if s.ready == nil || s.snapshot().Phase != phaseRestarting {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	noted := make(chan struct{})
	go func() {
		defer close(noted)
		if waitFor(ctx, probeInterval, s.ready) == nil {
			s.setPhase(phaseReady)
			s.host.report("%s is ready again", s.name)
		}
	}()
	return func() {
		cancel()
		<-noted
	}
}

// launch starts the process and returns a channel that closes when it is gone.
func (s *supervisor) launch() (<-chan struct{}, error) {
	log, err := os.OpenFile(s.host.paths.logFile(s.name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	s.mu.Lock()
	args := slices.Concat(s.args, s.extra)
	s.mu.Unlock()
	command := exec.Command(s.host.binDir+"/"+s.program, args...)
	command.Dir = s.host.paths.root
	command.Stdout, command.Stderr = log, log
	command.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.host.paths.data(""), "TMPDIR=" + s.host.paths.data("tmp"),
	}, s.env...)

	exit, err := s.spawn(command)
	if err != nil {
		return nil, err
	}
	s.host.changed()
	return exit, nil
}

// spawn starts the command unless the component was held in the meantime.
func (s *supervisor) spawn(command *exec.Cmd) (<-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.wanted {
		return nil, errNotWanted
	}
	if err := s.host.spawner.start(command); err != nil {
		return nil, err
	}
	exit := make(chan struct{})
	s.process, s.exited = command.Process, exit
	s.status.PID = command.Process.Pid
	// Its owner is run, which waits for exit before it does anything else.
	go func() {
		// The exit status is in the component's own log; what matters here is that it ended.
		_ = command.Wait()
		s.mu.Lock()
		s.process, s.status.PID = nil, 0
		s.mu.Unlock()
		close(exit)
	}()
	return exit, nil
}

// backOff waits before the next start. It returns false if there should be none.
func (s *supervisor) backOff(ctx context.Context, lived time.Duration) bool {
	s.mu.Lock()
	if lived >= healthyAfter {
		s.quick = 0
	}
	s.quick++
	s.status.Restarts++
	quick := s.quick
	s.mu.Unlock()
	s.setPhase(phaseRestarting)
	if quick >= maxQuickExits {
		s.host.failed(fmt.Errorf("%s ended %d times in a row within %v; the end of %s:\n%s",
			s.name, quick, healthyAfter, s.host.paths.logFile(s.name), logTail(s.host.paths.logFile(s.name), 20)))
		return false
	}
	delay := firstBackoff << (quick - 1)
	s.host.report("%s ended after %v, starting it again in %v", s.name, lived.Round(time.Millisecond), delay)
	select {
	case <-ctx.Done():
		return true
	case <-time.After(delay):
	}
	s.clearLease(ctx)
	return true
}

func (s *supervisor) clearLease(ctx context.Context) {
	if s.lease == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := s.host.removeLease(ctx, s.lease); err != nil {
		s.host.report("lease of %s stays until it expires: %v", s.name, err)
	}
}

// waitReady waits until the probe passes, and fails early if the supervisor gives up.
func (s *supervisor) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-s.finished:
			cancel(errors.New("it has stopped"))
		case <-ctx.Done():
		}
	}()
	if s.ready != nil {
		if err := waitFor(ctx, probeInterval, s.ready); err != nil {
			return fmt.Errorf("%s is not ready (log: %s): %w", s.name, s.host.paths.logFile(s.name), err)
		}
	}
	s.setPhase(phaseReady)
	return nil
}

// hold ends the process with the signal and keeps it down until release.
func (s *supervisor) hold(signal syscall.Signal) {
	s.mu.Lock()
	s.wanted = false
	process, exit := s.process, s.exited
	s.mu.Unlock()
	if process != nil {
		if signal == syscall.SIGKILL {
			signalGroup(process, signal)
			<-exit
		} else {
			s.terminate(exit)
		}
	}
	s.setPhase(phaseHeld)
}

// release lets a held component run again.
func (s *supervisor) release(ctx context.Context, args []string) error {
	s.clearLease(ctx)
	s.mu.Lock()
	s.wanted, s.quick, s.extra = true, 0, args
	s.status.Phase = phaseStarting
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return s.waitReady(ctx)
}

// terminate asks the process to end, and after the grace period makes it.
func (s *supervisor) terminate(exit <-chan struct{}) {
	s.mu.Lock()
	process := s.process
	s.mu.Unlock()
	if process == nil {
		return
	}
	signalGroup(process, syscall.SIGTERM)
	select {
	case <-exit:
	case <-time.After(s.grace):
		signalGroup(process, syscall.SIGKILL)
		<-exit
	}
}

// signalGroup reaches grandchildren too. The group may be gone already.
func signalGroup(process *os.Process, signal syscall.Signal) {
	_ = syscall.Kill(-process.Pid, signal)
}

func (s *supervisor) isWanted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wanted
}

func (s *supervisor) setPhase(phase string) {
	s.mu.Lock()
	s.status.Phase = phase
	s.mu.Unlock()
	s.host.changed()
}

func (s *supervisor) snapshot() ComponentStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}
