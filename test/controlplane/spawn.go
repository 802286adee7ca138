package controlplane

import (
	"os/exec"
	"runtime"
)

// spawner starts every child from one operating system thread that lives as long as the
// control plane. Linux sends the parent-death signal when the thread that forked ends,
// not the process, so a child started from an arbitrary thread could die early.
type spawner struct {
	requests chan spawnRequest
	finished chan struct{}
}

type spawnRequest struct {
	command *exec.Cmd
	result  chan error
}

func newSpawner() *spawner {
	s := &spawner{requests: make(chan spawnRequest), finished: make(chan struct{})}
	go func() {
		defer close(s.finished)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for request := range s.requests {
			request.result <- request.command.Start()
		}
	}()
	return s
}

// start runs the command in a process group of its own that dies with this process.
func (s *spawner) start(command *exec.Cmd) error {
	command.SysProcAttr = childAttributes()
	result := make(chan error, 1)
	s.requests <- spawnRequest{command: command, result: result}
	return <-result
}

// stop ends the thread. No start may be under way or follow.
func (s *spawner) stop() {
	close(s.requests)
	<-s.finished
}
