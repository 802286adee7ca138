package network

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"tensorstack.dev/virtualserver/test/realnode/child"
)

// RunSwitch starts the process that holds the switch's network namespace, builds the links, writes the process number to
// pidFile and stays until ctx is done. Everything built goes with that process.
func RunSwitch(ctx context.Context, plan Plan, nodes int, pidFile string) error {
	holder, err := child.Command(syscall.CLONE_NEWNET, "switch", "hold")
	if err != nil {
		return err
	}
	if err := holder.Start(); err != nil {
		return fmt.Errorf("switch: %w", err)
	}
	defer func() {
		_ = holder.Process.Kill()
		_ = holder.Wait()
	}()
	if err := BuildSwitch(plan, holder.Process.Pid, nodes); err != nil {
		return err
	}
	// Renamed when written: whoever reads it sees a whole number.
	if err := os.WriteFile(pidFile+".new", []byte(strconv.Itoa(holder.Process.Pid)+"\n"), 0o600); err != nil {
		return err
	}
	if err := os.Rename(pidFile+".new", pidFile); err != nil {
		return err
	}
	<-ctx.Done()
	return os.Remove(pidFile)
}
