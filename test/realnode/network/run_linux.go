package network

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
)

// RunSwitch starts the process that holds the switch's network namespace, builds the links, writes the process number to
// pidFile and stays until ctx is done. Everything built goes with that process.
func RunSwitch(ctx context.Context, plan Plan, nodes int, pidFile string) error {
	// The child dies with the thread that starts it.
	runtime.LockOSThread()
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	child := exec.Command(executable, "switch", "hold")
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := child.Start(); err != nil {
		return fmt.Errorf("switch: %w", err)
	}
	defer func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	}()
	if err := BuildSwitch(plan, child.Process.Pid, nodes); err != nil {
		return err
	}
	// Renamed when written: whoever reads it sees a whole number.
	if err := os.WriteFile(pidFile+".new", []byte(strconv.Itoa(child.Process.Pid)+"\n"), 0o600); err != nil {
		return err
	}
	if err := os.Rename(pidFile+".new", pidFile); err != nil {
		return err
	}
	<-ctx.Done()
	return os.Remove(pidFile)
}
