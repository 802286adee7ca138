package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"tensorstack.dev/virtualserver/test/realnode/cgroup"
	"tensorstack.dev/virtualserver/test/realnode/child"
	"tensorstack.dev/virtualserver/test/realnode/imagestore"
	"tensorstack.dev/virtualserver/test/realnode/network"
)

// Run starts the node and stays until its first process ends or ctx is done, which is a power loss for the node. The
// folder of an earlier run of the same node is used again, as a disk would be.
func Run(ctx context.Context, dir string) error {
	config, err := Load(dir)
	if err != nil {
		return err
	}
	if err := config.prepare(); err != nil {
		return fmt.Errorf("node %s: %w", config.Name, err)
	}
	wait, release, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = wait.Close() }()
	first, err := child.Command(syscall.CLONE_NEWNS|syscall.CLONE_NEWPID|syscall.CLONE_NEWNET|syscall.CLONE_NEWUTS|syscall.CLONE_NEWIPC,
		"init", "--dir", dir)
	if err != nil {
		return err
	}
	first.Stdin, first.Stdout, first.Stderr = wait, os.Stdout, os.Stderr
	if err := first.Start(); err != nil {
		_ = release.Close()
		return fmt.Errorf("node %s: first process: %w", config.Name, err)
	}
	joined := config.join(first.Process.Pid)
	if joined == nil {
		// The child waits for this line before it starts anything that needs a network.
		_, joined = release.WriteString("go\n")
	}
	_ = release.Close()
	if joined != nil {
		_ = first.Process.Kill()
		return errors.Join(fmt.Errorf("node %s: %w", config.Name, joined), first.Wait())
	}
	ended := make(chan error, 1)
	go func() { ended <- first.Wait() }()
	select {
	case err = <-ended:
		err = fmt.Errorf("node %s ended: %w", config.Name, errors.Join(err, errors.New("see "+config.Log("supervisor"))))
	case <-ctx.Done():
		_ = first.Process.Kill()
		<-ended
	}
	return err
}

// prepare makes what the node needs on the machine.
func (c Config) prepare() error {
	for _, folder := range []string{c.Dir, c.data(""), filepath.Dir(c.Log("")), c.file("cni"), c.root(), c.Volumes} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	files, err := c.files()
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(c.file(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if err := imagestore.Copy(c.ImageStore, c.data("containerd")); err != nil {
		return err
	}
	return cgroup.Make(cgroup.Root, c.cgroup())
}

// join links the node to the lab's network.
func (c Config) join(pid int) error {
	text, err := os.ReadFile(c.SwitchPIDFile)
	if err != nil {
		return fmt.Errorf("the lab's switch: %w", err)
	}
	switchPID, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("the lab's switch: %s: %w", c.SwitchPIDFile, err)
	}
	return network.Join(c.plan(), c.Index, pid, switchPID, c.Nodes, c.Services)
}
