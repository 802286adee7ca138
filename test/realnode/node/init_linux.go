package node

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"tensorstack.dev/virtualserver/test/realnode/rootfs"
)

// Init is the first process of a node: it builds the file system, starts the node's servers, and collects every process
// whose parent is gone, as the first process must. It returns only on an error or when the supervisor ends.
func Init(dir string) error {
	config, err := Load(dir)
	if err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(config.Name)); err != nil {
		return fmt.Errorf("host name: %w", err)
	}
	// The parent writes a line when the network is there, and closes the pipe without one if it never will be.
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return errors.New("the network was not set up")
	}
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	if err := rootfs.Enter(config.layout()); err != nil {
		return err
	}
	// Pods on different nodes reach each other through the nodes.
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return err
	}
	log, err := os.OpenFile(config.Log("supervisor"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	supervisor, err := os.StartProcess(executable, []string{executable, "supervise", "--dir", dir}, &os.ProcAttr{
		Dir: "/", Env: []string{"PATH=" + config.BinDir + ":/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"},
		Files: []*os.File{nil, log, log},
	})
	if err != nil {
		return fmt.Errorf("supervisor: %w", err)
	}
	for {
		pid, err := syscall.Wait4(-1, nil, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait for processes: %w", err)
		}
		if pid == supervisor.Pid {
			return errors.New("the supervisor ended")
		}
	}
}

// layout is the node's file system.
func (c Config) layout() rootfs.Layout {
	hosts := fmt.Sprintf("127.0.0.1 localhost\n%s %s\n", c.plan().Node(c.Index), c.Name)
	return rootfs.Layout{
		Root: c.root(), Data: c.Dir,
		Keep: map[string]string{
			"/var/lib/kubelet": c.data("kubelet"), "/var/lib/kubevirt": c.data("kubevirt"),
			"/var/lib/kubevirt-node-labeller": c.data("kubevirt-node-labeller"),
			"/var/log/pods":                   c.data("log-pods"), "/var/log/containers": c.data("log-containers"),
		},
		Bind:         []string{c.Volumes},
		BindReadOnly: []string{c.BinDir},
		Files: map[string]string{
			"/etc/hosts": hosts, "/etc/hostname": c.Name + "\n", "/etc/resolv.conf": "",
			"/etc/machine-id":     fmt.Sprintf("%032x\n", 1000*c.Lab+c.Index),
			"/run/kubevirt/.keep": "", "/run/kubevirt-private/.keep": "",
			"/run/kubevirt-libvirt-runtimes/.keep": "",
		},
		Devices: c.Devices,
	}
}
